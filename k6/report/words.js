// How figures are written.

/** @param {number | undefined | null} value */
export const percent = (value) => (value === undefined || value === null ? '-' : `${shown(value * 100)} %`);

/** @param {number | undefined | null} value */
export function shown(value) {
  if (value === undefined || value === null || Number.isNaN(value)) {
    return '-';
  }
  return Number.isInteger(value) || Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(2);
}

/**
 * How many users there were at most. Where all of them live in one VU, the test has counted them itself.
 * @param {Record<string, import('./judge.js').Metric>} metrics
 * @returns {{count: number, called: string}}
 */
export const mostUsers = ({ users, vus_max: vus }) =>
  users ? { count: users.values.max, called: 'users' } : { count: vus?.values.max ?? vus?.values.value ?? 0, called: 'VUs' };
