// Waiting, in promises: a user who waits stops nobody else in the same VU.

import { setTimeout } from 'k6/timers';

/**
 * Pauses of a VU end at one of these moments, ms apart: k6 walks through all of its timers for each new one, which with some
 * thousand users in one VU is a tenth of its time.
 */
const APART_MS = 10;

/** @type {Map<number, (() => void)[]>} whose pause ends at which of them */
const ending = new Map();

/**
 * @param {number} ms at least so long, and no more than `APART_MS` longer
 * @returns {Promise<void>}
 */
export const pause = (ms) =>
  new Promise((resolve) => {
    const moment = Math.ceil((Date.now() + ms) / APART_MS);
    const others = ending.get(moment);
    if (others) {
      others.push(resolve);
      return;
    }
    const all = [resolve];
    ending.set(moment, all);
    setTimeout(() => {
      ending.delete(moment);
      all.forEach((end) => end());
    }, moment * APART_MS - Date.now());
  });

/**
 * A number between two others.
 * @param {number} low
 * @param {number} high
 */
export const between = (low, high) => low + Math.random() * (high - low);

/**
 * @template T
 * @param {readonly T[]} list
 * @returns {T}
 */
export const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

/**
 * The same in another order.
 * @template T
 * @param {readonly T[]} list
 * @returns {T[]}
 */
export function shuffled(list) {
  const rest = [...list];
  for (let i = rest.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1));
    [rest[i], rest[j]] = [rest[j], rest[i]];
  }
  return rest;
}
