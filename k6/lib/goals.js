// What must hold, as thresholds that fail the run.

import { Counter } from 'k6/metrics';

/**
 * The last word of a test that is one iteration. k6 counts an iteration that threw half-way like one that ended, and goals of
 * what was not looked at are met.
 */
export const completed = new Counter('completed');

/** @type {Record<string, string[]>} */
export const completedGoal = { completed: ['count==1'] };

/** The seven requests of the plan, by the names of `api.js`. */
export const SEVEN = ['token', 'dates', 'seats', 'reserve', 'balance', 'charge', 'pay'];

/** What every summary shows of a latency. */
export const STATS = ['avg', 'min', 'med', 'p(95)', 'p(99)', 'max', 'count'];

/**
 * The goals of each request: half a second in the mean and for 95 of 100, and less than one error in a thousand. A
 * threshold without samples passes, so each request must also have been sent.
 * @param {string[]} names
 * @returns {Record<string, string[]>}
 */
export const goals = (names) => ({
  ...answered(names),
  ...Object.fromEntries(names.map((name) => [`http_req_duration{name:${name}}`, ['avg<500', 'p(95)<500']])),
});

/**
 * The same goals once more for one part of the run, such as a stage: the whole would hide it. `p95` is the limit there, in
 * milliseconds.
 * @param {string[]} names
 * @param {string} tag such as `stage:500`
 * @param {number} [p95]
 * @returns {Record<string, string[]>}
 */
export const goalsWhile = (names, tag, p95 = 500) => ({
  [`errors{${tag}}`]: ['rate<0.001'],
  ...Object.fromEntries(
    names.flatMap((name) => [
      [`http_reqs{name:${name},${tag}}`, ['count>0']],
      [`http_req_duration{name:${name},${tag}}`, ['avg<500', `p(95)<${p95}`]],
    ]),
  ),
});

/** The goal of this house beyond the plan's, in milliseconds: for users who think one to three seconds. */
export const OWN_P95_MS = 100;

/**
 * For requests that only prepare the test or look at its outcome: they must be answered, and their times are shown.
 * @param {string[]} names
 * @returns {Record<string, string[]>}
 */
export function answered(names) {
  /** @type {Record<string, string[]>} */
  const all = { checks: ['rate==1'], errors: ['rate<0.001'] };
  for (const name of names) {
    all[`http_reqs{name:${name}}`] = ['count>0'];
    all[`errors{name:${name}}`] = ['rate<0.001'];
    all[`http_req_duration{name:${name}}`] = [];
  }
  return all;
}
