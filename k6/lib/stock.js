// What there is to buy: enough schedules that a long test does not sell out, visited in turn, so that nobody comes to the
// limit of seats per user and schedule.

import { dates, send } from './api.js';
import { SCHEDULE } from './config.js';

/** Smaller schedules, such as the demo's own, are for other tests: a crowd would sell them out. */
const WORTH_A_VISIT = 500;

/**
 * Which schedule a user tries, first, second, third.
 * @typedef {(attempt: number) => string} Turn
 */

/** @type {Turn} */
export const demoSchedule = () => SCHEDULE;

/**
 * Each turn of a user begins with another schedule of the list.
 * @param {string[]} scheduleIds
 * @param {number} turn
 * @returns {Turn}
 */
export const inTurn = (scheduleIds, turn) => (attempt) =>
  scheduleIds.length > 0 ? scheduleIds[(turn + attempt) % scheduleIds.length] : SCHEDULE;

/**
 * How many seats a list of schedules, as text, shows of one; none where it does not show it.
 * @param {string | null} text
 * @param {string} scheduleId
 * @returns {number}
 */
export function shownSeats(text, scheduleId) {
  const list = text ?? '';
  const at = list.indexOf(`"scheduleId":"${scheduleId}"`);
  return at < 0 ? 0 : JSON.parse(list.slice(list.lastIndexOf('{', at), list.indexOf('}', at) + 1)).availableSeats;
}

/**
 * Which schedules there are, asked once for all users, and that they suffice. For `setup`.
 * @param {string} token
 * @param {number} [needed] seats
 * @returns {Promise<string[]>}
 */
export async function stock(token, needed = 0) {
  /** @type {{scheduleId: string, availableSeats: number}[]} */
  const shown = (await send(dates(), token)).body?.dates ?? [];
  const ids = shown.filter((date) => date.availableSeats >= WORTH_A_VISIT).map((date) => date.scheduleId);
  const free = shown.reduce((sum, date) => sum + date.availableSeats, 0);
  if (ids.length === 0 || free < needed) {
    throw new Error(`${needed} seats are needed, ${free} are left: anteroom seed --schedules 60 --seats 1000`);
  }
  return ids;
}

/**
 * A seat from anywhere in the text of a list of seats, null when there is none.
 * @param {string | null} text
 * @returns {{seatId: string, price: number} | null}
 */
export function anySeat(text) {
  const list = text ?? '';
  const from = Math.floor(Math.random() * list.length);
  const behind = list.indexOf('"seatId"', from);
  const at = behind >= 0 ? behind : list.lastIndexOf('"seatId"', from);
  if (at < 0) {
    return null;
  }
  return JSON.parse(list.slice(list.lastIndexOf('{', at), list.indexOf('}', at) + 1));
}
