// What a run is told: by the ready file of `anteroom dev` (READY_FILE), by single variables over it, or by nothing.

/**
 * @typedef {object} Ready
 * @property {string} [url]
 * @property {string} [adminUrl]
 * @property {string} [adminToken]
 * @property {{prefix: string, count: number, password: string}} [users]
 */

/** @type {Ready} */
const ready = __ENV.READY_FILE ? JSON.parse(open(__ENV.READY_FILE)) : {};

/** @param {string | undefined} url */
const withoutSlash = (url) => (url ?? '').replace(/\/+$/, '');

export const BASE_URL = withoutSlash(__ENV.BASE_URL || ready.url || 'http://127.0.0.1:8080');

/** The operators' listener. Empty where a service is measured from outside: then what needs it is left out. */
export const ADMIN_URL = withoutSlash(__ENV.ADMIN_URL || ready.adminUrl);
export const ADMIN_TOKEN = __ENV.ADMIN_TOKEN || ready.adminToken || '';

/** Accounts are the prefix and a number of five digits, from 1 on. */
export const USERS = {
  prefix: __ENV.USER_PREFIX || ready.users?.prefix || 'user',
  count: whole('USER_COUNT', ready.users?.count ?? 2000),
  password: __ENV.USER_PASSWORD || ready.users?.password || '',
};

export const ROOM = __ENV.ROOM || 'main';
export const SCHEDULE = __ENV.SCHEDULE || '12345';

/** The cores that the service and its stores have, and the machine's memory: what their use is a share of. 0: unknown. */
export const SERVICE_CORES = whole('SERVICE_CORES', 0);
export const MEMORY_MB = whole('MEMORY_MB', 0);

/** The folder for the results; without one they are only printed. */
export const OUT = __ENV.OUT || '';

/**
 * A whole number from the environment.
 * @param {string} name
 * @param {number} fallback
 * @returns {number}
 */
export function whole(name, fallback) {
  const text = __ENV[name];
  if (text === undefined || text === '') {
    return fallback;
  }
  if (!/^[0-9]+$/.test(text)) {
    throw new Error(`${name} must be a whole number, not '${text}'`);
  }
  return Number(text);
}

/**
 * A length of time from the environment, in seconds: `90`, `90s`, `15m` or `2h`.
 * @param {string} name
 * @param {number} fallback
 * @returns {number}
 */
export function seconds(name, fallback) {
  const text = __ENV[name];
  if (text === undefined || text === '') {
    return fallback;
  }
  const [, number, unit] = /^([0-9]+)(s|m|h|)$/.exec(text) ?? [];
  if (!number) {
    throw new Error(`${name} must be a length of time such as 90s, 15m or 2h, not '${text}'`);
  }
  return Number(number) * ({ m: 60, h: 3600 }[unit] ?? 1);
}
