// How figures are written, and what can break in a step of a test that grows.

/** By number, as a metric tells it; none for 0. */
export const BROKEN_BY = [
  '',
  'the generator came too late',
  'p95 of a request was half a second or more',
  'more than one answer in a thousand was an error',
  'users were still on their last journey when they were to begin the next',
  'more than one journey in twenty ended unpaid',
  'fewer journeys ended than began',
];

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
