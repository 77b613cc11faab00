// Demo accounts, each for one user of a test.

import { USERS } from './config.js';

/** @typedef {{username: string, password: string}} Account */

/**
 * The nth demo account, from 0 on.
 * @param {number} n
 * @returns {Account}
 */
export function account(n) {
  if (n >= USERS.count) {
    throw new Error(`there are ${USERS.count} demo accounts, this test needs number ${n + 1}: see --users of anteroom dev`);
  }
  return { username: `${USERS.prefix}${String(n + 1).padStart(5, '0')}`, password: USERS.password };
}

/**
 * As many demo accounts, from one on.
 * @param {number} first
 * @param {number} count
 * @returns {Account[]}
 */
export function accounts(first, count) {
  return Array.from({ length: count }, (_, i) => account(first + i));
}
