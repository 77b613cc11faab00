// One step of a test that grows until something breaks: what its users saw, and whether that met the goals.

import { SEVEN } from './goals.js';

/** The numbers of `BROKEN_BY` in report/words.js. */
export const BY = { none: 0, late: 1, slow: 2, errors: 3, away: 4, unpaid: 5, unended: 6 };

const GOAL_MS = 500;
const MOST_ERRORS = 0.001;
/** Of the looks whether journeys are due, so many may find that they were due long ago: else the generator is the limit. */
const MOST_LATE = 0.05;
/** As many journeys as begin must end: else those wait longer and longer, however fast each answer is. */
const LEAST_ENDED = 0.9;

/** A step that has just begun. */
export function newStep() {
  /** @type {Record<string, number[]>} */
  const took = {};
  const seen = { answers: 0, wrong: 0, began: 0, paid: 0, unpaid: 0, away: 0, looks: 0, late: 0 };
  return {
    took,
    seen,
    /** @param {string} name @param {import('./api.js').Answer} answer */
    add: (name, answer) => {
      seen.answers += 1;
      seen.wrong += answer.right ? 0 : 1;
      (took[name] ??= []).push(Number.isNaN(answer.ms) ? Infinity : answer.ms);
    },
    began: () => {
      seen.began += 1;
    },
    /** @param {boolean} paid */
    ended: (paid) => {
      seen[paid ? 'paid' : 'unpaid'] += 1;
    },
    turnedAway: () => {
      seen.away += 1;
    },
    /** @param {boolean} late */
    late: (late) => {
      seen.looks += 1;
      seen.late += late ? 1 : 0;
    },
  };
}

/**
 * What broke in a step, in words and by its number, and how many journeys ended paid in a second.
 * @param {ReturnType<typeof newStep>} step
 * @param {number} lengthS
 * @returns {{broken: string, by: number, paidPerSecond: number}}
 */
export function judgeStep({ took, seen }, lengthS) {
  const paidPerSecond = seen.paid / lengthS;
  const ended = seen.paid + seen.unpaid;
  const slow = SEVEN.find((name) => took[name] && p95(took[name]) >= GOAL_MS);
  /** @type {[number, boolean, () => string][]} */
  const all = [
    [BY.late, seen.late > seen.looks * MOST_LATE, () => 'the generator came too late'],
    [BY.slow, slow !== undefined, () => `p95 of ${slow} was ${Math.round(p95(took[slow ?? '']))} ms`],
    [BY.errors, seen.wrong > seen.answers * MOST_ERRORS, () => `${seen.wrong} of ${seen.answers} answers were errors`],
    [BY.away, seen.away > 0, () => `${seen.away} users were still on their last journey when they were to begin the next`],
    [BY.unpaid, seen.unpaid > ended * 0.05, () => `${seen.unpaid} of ${ended} journeys ended unpaid`],
    [BY.unended, ended < seen.began * LEAST_ENDED, () => `${ended} journeys ended while ${seen.began} began`],
  ];
  const [by, , broken] = all.find(([, found]) => found) ?? [BY.none, true, () => ''];
  return { broken: broken(), by, paidPerSecond };
}

/** @param {number[]} list */
export function p95(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))];
}
