// Journeys arrive faster by a tenth every half minute until a goal breaks, then faster still; then at half the rate that
// was fine. It names the breaking point, and shows that beyond it the service refuses instead of collapsing, and that it is
// normal half a minute after.

import { Counter, Gauge, Rate } from 'k6/metrics';
import { askInvariants, invariantGoals } from './lib/admin.js';
import { listenTo, tagEach } from './lib/api.js';
import { arrivalGoals, newArrivals, TOGETHER } from './lib/arrivals.js';
import { seconds, USERS, whole } from './lib/config.js';
import { journey, survey } from './lib/crowd.js';
import { answered, completed, completedGoal, goalsWhile, SEVEN, STATS } from './lib/goals.js';
import { named, verdict } from './lib/summary.js';
import { BY, judgeStep, newStep } from './lib/step.js';
import { between, pause } from './lib/time.js';
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
const think = () => pause(between(THINK_MS[0], THINK_MS[1]));

const breakingPoint = new Gauge('breaking_point_per_second');
/** Of each step: journeys that were to begin in a second, those that ended paid, and what broke (`BROKEN_BY`). */
const stepRate = new Gauge('step_rate');
const stepPaid = new Gauge('step_paid');
const stepBroken = new Gauge('step_broken');
/** The generator was out of breath in the step that broke: the breaking point is its own. */
const brokenByGenerator = new Counter('broken_by_generator');
/** Answers beyond the breaking point that are neither right nor a 503. */
const collapsed = new Rate('collapsed');
const refused = new Rate('refused_beyond');
/** Journeys that ended paid in the worse step beyond the breaking point, as a share of the most that ever did. */
const kept = new Gauge('kept_beyond');

export const options = {
  scenarios: { stress: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: '60m' } },
  ...TOGETHER,
  summaryTrendStats: STATS,
  setupTimeout: '2m',
  thresholds: {
    ...withoutGoals(answered([...SEVEN, 'leave'])),
    ...shownFor(['within', 'beyond', 'recovering']),
    ...shownOfSteps(MOST_STEPS + BEYOND),
    ...goalsWhile(SEVEN, 'stage:after'),
    ...invariantGoals,
    breaking_point_per_second: ['value>0'],
    collapsed: ['rate<0.001'],
    kept_beyond: ['value>=0.7'],
    broken_by_generator: [],
    ...arrivalGoals,
    ...completedGoal,
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

/**
 * @param {number} count
 * @returns {Record<string, string[]>}
 */
function shownOfSteps(count) {
  const steps = Array.from({ length: count }, (_, n) => n + 1);
  const names = steps.flatMap((n) => ['step_rate', 'step_paid', 'step_broken'].map((metric) => `${metric}{step:${n}}`));
  return Object.fromEntries(names.map((name) => [name, []]));
}

export const setup = () => survey();

/** Which part of the test it is: tells what a request belongs to. */
let stage = 'within';
let step = newStep();
let steps = 0;

/**
 * One step, noted for the verdict.
 * @param {Arrivals} arrivals
 * @param {number} rate
 */
async function takeStep(arrivals, rate) {
  step = newStep();
  await arrivals.keep(rate, rate, STEP_S);
  const { broken, by, paidPerSecond } = judgeStep(step, STEP_S);
  steps += 1;
  const tags = { step: String(steps) };
  stepRate.add(rate, tags);
  stepPaid.add(paidPerSecond, tags);
  stepBroken.add(by, tags);
  console.log(`${rate.toFixed(1)} journeys a second: ${broken || 'every goal met'}, ${paidPerSecond.toFixed(1)} paid a second`);
  return { by, paidPerSecond };
}

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
  const arrivals = newArrivals(USERS.count - 1, travel, {
    turnedAway: () => step.turnedAway(),
    looked: (late) => step.late(late),
  });
  const fine = await untilItBreaks(arrivals);
  await beyond(arrivals, fine.rate * GROWTH, fine.most);
  stage = 'recovering';
  await arrivals.keep(fine.rate / 2, fine.rate / 2, RECOVERY_S);
  stage = 'after';
  await arrivals.keep(fine.rate / 2, fine.rate / 2, RECOVERY_S);
  await arrivals.ended();
  await watching.stop();
  completed.add(1);

  /** @param {number} n @param {number} turn */
  async function travel(n, turn) {
    step.began();
    const paid = await journey(n, turn, { schedules }, { think });
    // Of the step in which it ends: that may be a later one by now.
    step.ended(paid);
  }
}

/** @typedef {ReturnType<typeof newArrivals>} Arrivals */

/**
 * A step that breaks is tried once more: one hiccup of the machine is no breaking point.
 * @param {Arrivals} arrivals
 * @returns {Promise<{rate: number, most: number}>} the last rate at which every goal was met, and the most journeys a
 * second that ended paid
 */
async function untilItBreaks(arrivals) {
  let rate = FIRST_RATE;
  let doubted = false;
  const fine = { rate: 0, most: 0 };
  for (let n = 0; n < MOST_STEPS; n += 1) {
    const { by, paidPerSecond } = await takeStep(arrivals, rate);
    fine.most = Math.max(fine.most, paidPerSecond);
    if (by !== BY.none && doubted) {
      brokenByGenerator.add(by === BY.late ? 1 : 0);
      break;
    }
    if (by === BY.none) {
      fine.rate = rate;
      rate *= GROWTH;
    }
    doubted = by !== BY.none;
  }
  breakingPoint.add(fine.rate);
  return fine;
}

/**
 * @param {Arrivals} arrivals
 * @param {number} rate
 * @param {number} most
 */
async function beyond(arrivals, rate, most) {
  stage = 'beyond';
  let least = Infinity;
  for (let n = 1; n <= BEYOND; n += 1) {
    const { paidPerSecond } = await takeStep(arrivals, rate * BEYOND_GROWTH ** n);
    least = Math.min(least, paidPerSecond);
  }
  kept.add(most > 0 ? least / most : 0);
}

export const teardown = askInvariants;
export const handleSummary = verdict('stress', named([...SEVEN, 'leave']), { judgeMachine: false, stages: ['within', 'beyond', 'recovering', 'after'] });
