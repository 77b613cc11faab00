// Waiting, in promises: a user who waits stops nobody else in the same VU.

import { setTimeout } from 'k6/timers';

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
export const pause = (ms) => new Promise((resolve) => setTimeout(() => resolve(), ms));

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
