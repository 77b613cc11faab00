// Demo accounts, each for one user of a test.

import { SharedArray } from 'k6/data';
import { USERS } from './config.js';

/**
 * @typedef {object} Account
 * @property {string} username
 * @property {string} password
 * @property {string} [token] one that was made beforehand: whoever has it need not log in
 */

/** What `anteroom seed --tokens` wrote, for the first so many accounts. @type {{userId: string, token: string}[]} */
const tokens = new SharedArray('tokens', () => (__ENV.TOKENS ? JSON.parse(open(__ENV.TOKENS)) : []));

/** Whether this run begins with everyone logged in. */
export const hasTokens = tokens.length > 0;

/**
 * The nth demo account, from 0 on.
 * @param {number} n
 * @returns {Account}
 */
export function account(n) {
  if (n >= USERS.count) {
    throw new Error(`there are ${USERS.count} demo accounts, this test needs number ${n + 1}: see --users of anteroom dev`);
  }
  const who = { username: `${USERS.prefix}${String(n + 1).padStart(5, '0')}`, password: USERS.password };
  return n < tokens.length ? { ...who, token: tokens[n].token } : who;
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
