// A run in stages, each with a name that its requests are tagged with, so that each has goals of its own.

import exec from 'k6/execution';

/**
 * `users` at its end. A stage without a name ends no other: its requests belong to the one before.
 * @typedef {{name: string, seconds: number, users: number}} Stage
 */

/**
 * For `ramping-vus`.
 * @param {Stage[]} stages
 */
export const ramp = (stages) => stages.map(({ seconds, users }) => ({ duration: `${seconds}s`, target: users }));

/** @param {Stage[]} stages */
export const lengthOf = (stages) => stages.reduce((sum, { seconds }) => sum + seconds, 0);

/**
 * The tag of now, counted from the beginning of the scenario of this VU.
 * @param {Stage[]} stages
 * @returns {() => {stage: string}}
 */
export const stageNow = (stages) => () => ({ stage: stageAt(stages, (Date.now() - exec.scenario.startTime) / 1_000) });

/**
 * @param {Stage[]} stages
 * @param {number} passed seconds
 */
export function stageAt(stages, passed) {
  let end = 0;
  for (const { name, seconds } of stages) {
    end += seconds;
    if (passed < end) {
      return name;
    }
  }
  return stages[stages.length - 1].name;
}

/**
 * The same stages in a shorter time and with other users, for a trial.
 * @param {Stage[]} stages
 * @param {number} seconds in all
 * @param {number} users at the highest
 * @returns {Stage[]}
 */
export function scaled(stages, seconds, users) {
  const highest = Math.max(...stages.map((stage) => stage.users));
  const long = lengthOf(stages);
  return stages.map((stage) => ({
    name: stage.name,
    seconds: Math.max(1, Math.round((stage.seconds * seconds) / long)),
    users: Math.round((stage.users * users) / highest),
  }));
}
