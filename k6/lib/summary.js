// What each test leaves: its figures, and a first verdict on the terminal. `k6/run` adds what the machine did, and writes
// verdict.md and report.html from all of it.

import { judge } from '../report/judge.js';
import { markdown } from '../report/markdown.js';
import { OUT } from './config.js';

/**
 * The `handleSummary` of a test.
 * @param {string} test
 * @param {Record<string, string>} requests the requests to show: how they are called → their `name` tag
 * @param {{judgeMachine?: boolean, stages?: string[], steadyFromS?: number}} [how] without `judgeMachine` CPU and memory are shown and no goals: for tests that drive
 * the machine to its limit on purpose, or run for seconds; `stages` in the order to show them; from `steadyFromS` on nothing may drift
 */
export const verdict = (test, requests, { judgeMachine = true, stages = [], steadyFromS = 0 } = {}) => (/** @type {import('../report/judge.js').Data} */ data) => {
  const run = { test, requests, judgeMachine, stages, steadyFromS, data };
  if (OUT) {
    return { [`${OUT}/summary.json`]: `${JSON.stringify(run, null, 2)}\n` };
  }
  return { stdout: `\n${markdown(judge(run), run)}` };
};

/**
 * Requests that are called as they are tagged.
 * @param {string[]} names
 */
export const named = (names) => Object.fromEntries(names.map((name) => [name, name]));
