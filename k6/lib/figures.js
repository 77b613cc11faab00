// Mean and p95 of each request in a long test whose users live in one engine, told once at its end.
//
// k6 sorts all values of a metric that has a threshold, every two seconds, whatever the threshold asks. After half an hour of
// 700 requests a second that takes it a fifth of a second each time, and by its clock every request of that moment takes
// 20 ms longer: a drift of its own.

import { Gauge } from 'k6/metrics';
import { answered } from './goals.js';

const LIMIT_MS = 500;

const mean = new Gauge('mean_ms', true);
/** Answers that took `LIMIT_MS` or longer, in per cent: below five, p95 is below it. */
const slow = new Gauge('slow_percent');

/**
 * The goals of `goals` for each request, for `newFigures`.
 * @param {string[]} names
 * @returns {Record<string, string[]>}
 */
export const goalsAtTheEnd = (names) => ({
  ...answered(names),
  ...Object.fromEntries(
    names.flatMap((name) => [
      [`mean_ms{name:${name}}`, [`value<${LIMIT_MS}`]],
      [`slow_percent{name:${name}}`, ['value<5']],
    ]),
  ),
});

/** Adds up what requests take. */
export function newFigures() {
  /** @type {Map<string, {count: number, sum: number, slow: number}>} */
  const all = new Map();

  return {
    /** @param {string} name @param {import('./api.js').Answer} answer */
    note(name, { ms }) {
      if (Number.isNaN(ms)) {
        return;
      }
      const of = all.get(name) ?? { count: 0, sum: 0, slow: 0 };
      all.set(name, { count: of.count + 1, sum: of.sum + ms, slow: of.slow + (ms < LIMIT_MS ? 0 : 1) });
    },
    /** Makes them k6's, for its thresholds. */
    tell() {
      all.forEach(({ count, sum, slow: slower }, name) => {
        mean.add(sum / count, { name });
        slow.add((slower / count) * 100, { name });
      });
    },
  };
}
