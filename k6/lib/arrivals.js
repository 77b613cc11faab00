// Users who arrive at a rate, whether or not those before them have left. All live in one VU, each a promise: what comes next
// may depend on what all of them saw, and a VU for each would cost k6 as many engines as there are users.

import { Counter, Trend } from 'k6/metrics';
import { USERS } from './config.js';
import { pause } from './time.js';

const TICK_MS = 20;

/** Options of a test whose users arrive: each may have a request under way. */
export const TOGETHER = { batch: USERS.count, batchPerHost: USERS.count };

/** Users on their journey, looked at each second. */
const users = new Trend('users');
/** Journeys that an answer of no known shape has ended: they would take the whole test with them. */
const broken = new Counter('journeys_broken');

/** @type {Record<string, string[]>} */
export const arrivalGoals = { journeys_broken: ['count==0'] };

/**
 * @typedef {object} Notice what is told to those who want to know
 * @property {() => void} turnedAway somebody should have come, and everyone was still on the last journey
 * @property {(late: boolean) => void} looked whether journeys are due: so many that they should have begun half a second ago?
 */

/**
 * @param {number} count of accounts
 * @param {(n: number, turn: number) => Promise<unknown>} travel the journey of the nth account, the `turn`th of all
 * @param {Notice} notice
 */
export function newArrivals(count, travel, { turnedAway, looked }) {
  /** Who comes back first goes first, so that as few as possible have to log in. */
  const idle = Array.from({ length: count }, (_, n) => count - 1 - n);
  /** @type {Set<Promise<unknown>>} */
  const underWay = new Set();
  let turn = 0;
  let shownAt = 0;

  function arrive() {
    const n = idle.pop();
    if (n === undefined) {
      turnedAway();
      return;
    }
    const journey = travel(n, turn)
      .catch((error) => {
        broken.add(1);
        console.error(`a journey broke: ${error}`);
      })
      .finally(() => {
        idle.push(n);
        underWay.delete(journey);
      });
    turn += 1;
    underWay.add(journey);
  }

  function show() {
    if (Date.now() >= shownAt + 1_000) {
      shownAt = Date.now();
      users.add(underWay.size);
    }
  }

  return {
    /**
     * Lets journeys begin for some time, at a rate that changes evenly.
     * @param {number} from a second
     * @param {number} to a second
     * @param {number} forS
     */
    async keep(from, to, forS) {
      const began = Date.now();
      let started = 0;
      for (let passed = 0; passed < forS; passed = (Date.now() - began) / 1_000) {
        const due = Math.floor(passed * (from + ((to - from) * passed) / forS / 2));
        looked(due - started > to / 2);
        for (; started < due; started += 1) {
          arrive();
        }
        show();
        await pause(TICK_MS);
      }
    },
    /** Waits until all are back. */
    async ended() {
      const all = Promise.all([...underWay]);
      while (underWay.size > 0) {
        show();
        await pause(TICK_MS);
      }
      await all;
    },
  };
}
