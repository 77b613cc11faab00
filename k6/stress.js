// Journeys arrive faster by a tenth every half minute until a goal breaks, then faster still; then at half the rate that
// was fine. It names the breaking point, and shows that beyond it the service refuses instead of collapsing, and that it is
// normal half a minute after.
//
// All users live in one VU, each a promise, because what comes next depends on what all of them saw.

import { Counter, Gauge, Rate } from 'k6/metrics';
import exec from 'k6/execution';
import { account } from './lib/accounts.js';
import { askInvariants, invariantGoals } from './lib/admin.js';
import { listenTo, tagEach } from './lib/api.js';
import { seconds, USERS, whole } from './lib/config.js';
import { survey } from './lib/crowd.js';
import { answered, goalsWhile, SEVEN, STATS } from './lib/goals.js';
import { booking, chargeAndBook } from './lib/journeys.js';
import { inTurn } from './lib/stock.js';
import { named, verdict } from './lib/summary.js';
import { judgeStep, newStep } from './lib/step.js';
import { between, pause } from './lib/time.js';
import { enter, goAway, isActive } from './lib/visit.js';
import { startWatching } from './lib/watch.js';

const FIRST_RATE = whole('RATE', 20);
const STEP_S = seconds('DURATION', 30);
const GROWTH = 1.1;
/** Beyond the breaking point it goes on for two steps, each faster by a quarter. */
const BEYOND = 2;
const BEYOND_GROWTH = 1.25;
const MOST_STEPS = 60;
const RECOVERY_S = 30;

/** Users of this test do not think long: so many journeys are under way with fewer of them. */
const THINK_MS = [200, 600];
const CHARGE_EACH = 3;
const PURSE = 1_000_000;
const TICK_MS = 20;

const breakingPoint = new Gauge('breaking_point_per_second');
const steps = new Counter('steps');
const brokenBy = new Counter('broken_by');
/** Answers beyond the breaking point that are neither right nor a 503. */
const collapsed = new Rate('collapsed');
const refused = new Rate('refused_beyond');
/** Journeys that ended paid beyond the breaking point, as a share of the most that ever did. */
const kept = new Gauge('kept_beyond');

export const options = {
  scenarios: { stress: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: '60m' } },
  batch: USERS.count,
  batchPerHost: USERS.count,
  summaryTrendStats: STATS,
  setupTimeout: '2m',
  thresholds: {
    ...withoutGoals(answered([...SEVEN, 'leave'])),
    ...shownFor(['within', 'beyond', 'recovering']),
    ...goalsWhile(SEVEN, 'stage:after'),
    ...invariantGoals,
    breaking_point_per_second: ['value>0'],
    collapsed: ['rate<0.001'],
    kept_beyond: ['value>=0.7'],
    iterations: ['count==1'],
  },
};

/**
 * Errors and failed checks are what this test looks for; only what was never asked for is wrong.
 * @param {Record<string, string[]>} thresholds
 */
function withoutGoals(thresholds) {
  return Object.fromEntries(
    Object.entries(thresholds)
      .filter(([name]) => name !== 'checks')
      .map(([name, goals]) => [name, name.startsWith('errors') ? [] : goals]),
  );
}

/**
 * Figures that are kept for a stage, without a goal.
 * @param {string[]} stages
 * @returns {Record<string, string[]>}
 */
function shownFor(stages) {
  const names = stages.flatMap((name) => [`errors{stage:${name}}`, ...SEVEN.map((request) => `http_req_duration{name:${request},stage:${name}}`)]);
  return Object.fromEntries(names.map((name) => [name, []]));
}

export const setup = () => survey();

/** Which part of the test it is: tells what a request belongs to. */
let stage = 'within';
let step = newStep();
let turn = 0;

/** Who is not on a journey; who comes back first goes first, so that as few as possible have to log in. */
const idle = Array.from({ length: USERS.count - 1 }, (_, n) => USERS.count - 2 - n);
/** @type {Set<Promise<void>>} */
const underWay = new Set();

/** @param {import('./lib/crowd.js').Known} known */
export default async function ({ schedules }) {
  tagEach(() => ({ stage }));
  listenTo((name, answer) => {
    step.add(name, answer);
    if (stage === 'beyond') {
      collapsed.add(!answer.right && answer.status !== 503);
      refused.add(answer.status === 503);
    }
  });
  const watching = startWatching();
  const fine = await untilItBreaks(schedules);
  await beyond(schedules, fine.rate * GROWTH, fine.most);
  stage = 'recovering';
  await keepArriving(fine.rate / 2, RECOVERY_S, schedules);
  stage = 'after';
  await keepArriving(fine.rate / 2, RECOVERY_S, schedules);
  await Promise.all([...underWay]);
  await watching.stop();
}

/**
 * A step that breaks is tried once more: one hiccup of the machine is no breaking point.
 * @param {string[]} schedules
 * @returns {Promise<{rate: number, most: number}>} the last rate at which every goal was met, and the most journeys a
 * second that ended paid
 */
async function untilItBreaks(schedules) {
  let rate = FIRST_RATE;
  let doubted = false;
  const fine = { rate: 0, most: 0 };
  for (let n = 0; n < MOST_STEPS; n += 1) {
    step = newStep();
    await keepArriving(rate, STEP_S, schedules);
    const { broken, paidPerSecond } = judgeStep(step, STEP_S);
    steps.add(1);
    fine.most = Math.max(fine.most, paidPerSecond);
    console.log(`${rate.toFixed(1)} journeys a second: ${broken || 'every goal met'}, ${paidPerSecond.toFixed(1)} paid a second`);
    if (broken && doubted) {
      brokenBy.add(1, { goal: broken });
      break;
    }
    if (!broken) {
      fine.rate = rate;
      rate *= GROWTH;
    }
    doubted = Boolean(broken);
  }
  breakingPoint.add(fine.rate);
  return fine;
}

/**
 * @param {string[]} schedules
 * @param {number} rate
 * @param {number} most
 */
async function beyond(schedules, rate, most) {
  stage = 'beyond';
  let paid = 0;
  for (let n = 1; n <= BEYOND; n += 1) {
    step = newStep();
    await keepArriving(rate * BEYOND_GROWTH ** n, STEP_S, schedules);
    paid = Math.max(paid, judgeStep(step, STEP_S).paidPerSecond);
  }
  kept.add(most > 0 ? paid / most : 0);
}

/**
 * Lets journeys begin at a rate for some time, whether or not earlier ones have ended.
 * @param {number} rate a second
 * @param {number} forS
 * @param {string[]} schedules
 */
async function keepArriving(rate, forS, schedules) {
  const began = Date.now();
  let started = 0;
  for (let passed = 0; passed < forS * 1_000; passed = Date.now() - began) {
    const due = Math.floor((passed / 1_000) * rate);
    step.late(due - started > rate / 2);
    for (; started < due; started += 1) {
      arrive(schedules);
    }
    await pause(TICK_MS);
  }
}

/** @param {string[]} schedules */
function arrive(schedules) {
  const n = idle.pop();
  if (n === undefined) {
    step.turnedAway();
    return;
  }
  const journey = travel(n, schedules).finally(() => {
    idle.push(n);
    underWay.delete(journey);
  });
  underWay.add(journey);
}

const think = () => pause(between(THINK_MS[0], THINK_MS[1]));

/**
 * @param {number} n
 * @param {string[]} schedules
 */
async function travel(n, schedules) {
  const mine = turn;
  turn += 1;
  const visitor = await enter(account(n));
  if (!isActive(visitor)) {
    return;
  }
  const key = `stress-${exec.vu.idInTest}-${mine}`;
  const paid =
    mine % CHARGE_EACH === 0
      ? await chargeAndBook(visitor, think, { purse: PURSE, key, again: false, schedules: inTurn(schedules, mine) })
      : await booking(visitor, think, inTurn(schedules, mine));
  step.ended(paid);
  await goAway(visitor);
}

export const teardown = askInvariants;
export const handleSummary = verdict('stress', named([...SEVEN, 'leave']), { judgeMachine: false, stages: ['within', 'beyond', 'recovering', 'after'] });
