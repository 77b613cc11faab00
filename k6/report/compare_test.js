// Runs side by side, on made-up ones: what became worse is marked, compared with a run of the same settings and nothing else.
// `test.js` runs these with its own.

import { before, cells, inOrder, linesFor } from './compare.js';

/**
 * A run as `compare.js` reads it.
 * @param {string} time
 * @param {{p95?: number, rate?: number, breakingPoint?: number, settings?: string, folder?: string}} [figures]
 * @returns {import('./compare.js').Run}
 */
const made = (time, { p95 = 10, rate = 100, breakingPoint, settings = '', folder = `stress-${time}` } = {}) => ({
  test: 'stress',
  verdict: 'PASS',
  doubts: [],
  goals: [],
  wrong: [],
  rows: [{ called: 'pay', count: 100, rate, p95, errors: 0, ok: true }],
  stages: [],
  bottleneck: { resources: [], splits: [], layers: [], found: [], advice: [] },
  seconds: 60,
  breakingPoint,
  env: { time, command: `make load TEST=stress${settings}` },
  folder,
});

/** The cells of a line by what it is called. @param {string} what @param {import('./compare.js').Run[]} runs */
function line(what, runs) {
  const list = inOrder(runs);
  const found = linesFor(list).find((one) => one.what === what);
  return found ? cells(found, list).join(' | ') : '';
}

const RATE = 'requests per second';
const P95 = 'p95 of pay, ms';
const BROKE = 'breaking point, journeys per second';

/** @type {Record<string, () => boolean>} */
export const COMPARISONS = {
  'a p95 that grew is marked, one that fell is not': () => line(P95, [made('1'), made('2', { p95: 13 }), made('3', { p95: 9 })]) === '10 | 13 (+30 %) | 9',
  'fewer requests a second are marked, more are not': () =>
    line(RATE, [made('1'), made('2', { rate: 70 }), made('3', { rate: 140 })]) === '100 | 70 (-30 %) | 140',
  'a breaking point that fell is marked, one that rose is not': () =>
    line(BROKE, [made('1', { breakingPoint: 80 }), made('2', { breakingPoint: 60 }), made('3', { breakingPoint: 90 })]) === '80 | 60 (-25 %) | 90',
  'a fall by a fifth is none yet': () => line(RATE, [made('1'), made('2', { rate: 80 })]) === '100 | 80',
  'the run before is the one before in time': () => line(P95, [made('3', { p95: 13 }), made('1', { p95: 20 }), made('2')]) === '20 | 10 | 13 (+30 %)',
  'runs of other settings are no measure': () =>
    line(P95, [made('1'), made('2', { p95: 50, settings: ' USERS=9' }), made('3', { p95: 13 })]) === '10 | 50 | 13 (+30 %)' &&
    line('compared with', [made('1'), made('2', { settings: ' USERS=9' }), made('3')]) === '- | - | stress-1',
  'a run that was kept is not compared with itself': () => {
    const list = inOrder([made('2', { p95: 13, folder: 'stress' }), made('1'), made('2', { p95: 13 })]);
    return list.length === 2 && before(list[1], list) === list[0] && list[1].folder === 'stress';
  },
};
