// The way into the room: a login, and polling as told until one is admitted.

import { Trend } from 'k6/metrics';
import { leave, login, position, send } from './api.js';
import { pause } from './time.js';

/** From the answer to the login until one was seen to be admitted. Not a request's latency: it is what the room is for. */
export const waited = new Trend('waited', true);

/**
 * @typedef {object} Place
 * @property {string} userId
 * @property {'verifying'|'scheduled'|'waiting'|'active'|'expired'|'left'} status
 * @property {number | null} position
 * @property {number} epoch
 * @property {number} pollAfterMs
 * @property {{p50Seconds: number, p90Seconds: number} | null} eta
 * @property {string | null} activeUntil
 * @property {string} [token]
 * @property {string} serverTime
 */

/**
 * Somebody on the way in, or in.
 * @typedef {object} Visitor
 * @property {import('./accounts.js').Account} account
 * @property {string} token the one to use from now on
 * @property {Place | null} place the last one told; null when the last answer was a refusal
 */

/**
 * What is told to those who want to follow a visitor: each answer, and when it was asked for and had.
 * @typedef {(visitor: Visitor, askedAt: number, answeredAt: number) => void} Watcher
 */

/** Whoever has one of these will be told another one later. */
const UNDECIDED = ['verifying', 'scheduled', 'waiting'];

/**
 * Takes a place and waits until it is a visit. Whoever has a token already has a place, and only asks how it stands.
 * @param {import('./accounts.js').Account} account
 * @param {Watcher} [watch]
 * @returns {Promise<Visitor>} `place` is active, or how it ended instead
 */
export async function enter(account, watch = () => {}) {
  /** @type {Visitor} */
  const visitor = { account, token: account.token ?? '', place: null };
  await ask(visitor, account.token ? position() : login(account), watch);
  const since = Date.now();
  while (visitor.place && UNDECIDED.includes(visitor.place.status)) {
    await pause(visitor.place.pollAfterMs);
    await ask(visitor, position(), watch);
  }
  if (isActive(visitor)) {
    waited.add(Date.now() - since);
  }
  return visitor;
}

/** @param {Visitor} visitor */
export const isActive = (visitor) => visitor.place?.status === 'active';

/**
 * Gives everything back: place, visit and holds.
 * @param {Visitor} visitor
 */
export async function goAway(visitor) {
  visitor.place = null;
  return send(leave(), visitor.token);
}

/**
 * @param {Visitor} visitor
 * @param {import('./api.js').Call} call
 * @param {Watcher} watch
 */
async function ask(visitor, call, watch) {
  const askedAt = Date.now();
  const answer = await send(call, visitor.token);
  visitor.place = answer.status === 200 ? answer.body : null;
  visitor.token = visitor.place?.token ?? visitor.token;
  watch(visitor, askedAt, Date.now());
}
