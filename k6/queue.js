// 1,000 users only queue and poll as told: what polling costs, whether the order of admission is that of arrival, and how
// good the waiting times are that they are told. And while they wait, Postgres does what it did for ten of them.
//
// All users live in one VU, each a promise, because only within a VU can it be compared who came first and who got in
// first.

import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { account } from './lib/accounts.js';
import { askInvariants, changeRoom, invariantGoals, isOperator, readMetrics } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { completed, completedGoal, goals, STATS } from './lib/goals.js';
import { jumpedAtTheDoor, jumpedInLine, storyteller } from './lib/order.js';
import { named, verdict } from './lib/summary.js';
import { between, pause } from './lib/time.js';
import { enter, goAway, isActive } from './lib/visit.js';
import { startWatching } from './lib/watch.js';

const USERS = whole('USERS', 1_000);
const FEW = Math.min(10, USERS);
/** How long Postgres is watched, with few users and with all of them. */
const WATCHED_S = seconds('DURATION', 30);
const ARRIVAL_MS = 10_000;
const ADMIT_PER_SECOND = 20;
const CAPACITY = 200;
const STAY_MS = [1_000, 2_000];
/** Whoever is told a waiting time this short is nearly in: what is left is the distance between two polls. */
const WORTH_TELLING_S = 5;

const REQUESTS = ['token', 'position', 'leave'];

const admitted = new Counter('admitted');
const fellBack = new Counter('positions_that_grew');
const doorJumpers = new Counter('jumped_at_the_door');
const lineJumpers = new Counter('jumped_in_line');
const linePairs = new Counter('pairs_compared');
const etaError = new Trend('eta_error_share');
const etasTold = new Counter('etas_told');
const etaKept = new Rate('eta_kept');
const transactionsFew = new Gauge('transactions_of_few');
const transactionsAll = new Gauge('transactions_of_all');
const transactionsMore = new Gauge('transactions_more');

export const options = {
  scenarios: { queue: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: '30m' } },
  // Idle connections that are kept: every user has one.
  batch: USERS + 2,
  batchPerHost: USERS + 2,
  summaryTrendStats: STATS,
  thresholds: {
    ...goals(REQUESTS),
    ...invariantGoals,
    ...completedGoal,
    admitted: [`count==${USERS}`],
    positions_that_grew: ['count==0'],
    jumped_at_the_door: ['count==0'],
    jumped_in_line: ['count==0'],
    pairs_compared: ['count>0'],
    // Of ten who are told a p90, nine should be in by then; and p50 should be right within a third for most.
    eta_kept: ['rate>0.85'],
    eta_error_share: ['med<0.33'],
    etas_told: ['count>0'],
    // Jobs of the service go on as ever: a transaction or two a second more or less is theirs.
    transactions_more: ['value<2'],
    transactions_of_few: ['value>0'],
  },
};

/** @returns {Promise<{before: Record<string, unknown>, visitMs: number}>} the settings to go back to, and a visit's length */
export async function setup() {
  if (!isOperator) {
    throw new Error('this test changes settings of the room: it needs READY_FILE, or ADMIN_URL and ADMIN_TOKEN');
  }
  const { before, now } = await changeRoom({ state: 'paused', capacity: CAPACITY, admitPerSecond: ADMIT_PER_SECOND });
  return { before, visitMs: now.visitSeconds * 1_000 };
}

/** @param {{visitMs: number}} room */
export default async function ({ visitMs }) {
  const watching = startWatching();
  const tellers = Array.from({ length: USERS }, () => storyteller(visitMs));
  const come = (/** @type {number} */ n, /** @type {number} */ withinMs) => waitInLine(n, withinMs, tellers[n].watch);
  const few = Array.from({ length: FEW }, (_, n) => come(n, 1_000));
  const perSecondOfFew = await transactionsInLine(FEW);
  const all = [...few, ...Array.from({ length: USERS - FEW }, (_, i) => come(FEW + i, ARRIVAL_MS))];
  const perSecondOfAll = await transactionsInLine(USERS);
  transactionsFew.add(perSecondOfFew);
  transactionsAll.add(perSecondOfAll);
  transactionsMore.add(perSecondOfAll - perSecondOfFew);
  await changeRoom({ state: 'open' });
  await Promise.all(all);
  await watching.stop();
  compare(tellers.map(({ story }) => story));
  completed.add(1);
}

/** @param {import('./lib/order.js').Story[]} stories */
function compare(stories) {
  const { pairs, jumped } = jumpedInLine(stories);
  linePairs.add(pairs);
  lineJumpers.add(jumped);
  doorJumpers.add(jumpedAtTheDoor(stories).length);
  fellBack.add(stories.filter((story) => story.fellBack).length);
}

/** Who has come and whose password is checked. */
const settled = new Set();

/**
 * Transactions of Postgres in a second, once so many stand in line and nobody's password is still to be checked.
 * @param {number} users
 */
async function transactionsInLine(users) {
  while (settled.size < users) {
    await pause(500);
  }
  // Postgres counts what a connection did when it has been idle for a second.
  await pause(3_000);
  const before = await transactions();
  await pause(WATCHED_S * 1_000);
  const after = await transactions();
  return (after - before) / WATCHED_S;
}

async function transactions() {
  const total = (await readMetrics())?.get('db_transactions_total');
  if (total === undefined) {
    throw new Error('/metrics does not tell db_transactions_total');
  }
  return total;
}

/**
 * One user: comes, polls as told, is let in, leaves.
 * @param {number} n
 * @param {number} withinMs
 * @param {import('./lib/visit.js').Watcher} watch
 */
async function waitInLine(n, withinMs, watch) {
  await pause(between(0, withinMs));
  /** @type {{at: number, p50: number, p90: number}[]} */
  const promises = [];
  const visitor = await enter(account(n), (who, askedAt, answeredAt) => {
    watch(who, askedAt, answeredAt);
    if (who.place?.status !== 'verifying') {
      settled.add(n);
    }
    const eta = who.place?.eta;
    if (eta) {
      promises.push({ at: Date.now(), p50: eta.p50Seconds, p90: eta.p90Seconds });
    }
  });
  if (!isActive(visitor)) {
    return;
  }
  admitted.add(1);
  holdToTheirWord(promises, Date.now());
  await pause(between(STAY_MS[0], STAY_MS[1]));
  await goAway(visitor);
}

/**
 * @param {{at: number, p50: number, p90: number}[]} promises
 * @param {number} admittedAt
 */
function holdToTheirWord(promises, admittedAt) {
  for (const { at, p50, p90 } of promises) {
    const waited = (admittedAt - at) / 1_000;
    if (p50 >= WORTH_TELLING_S) {
      etaError.add(Math.abs(waited - p50) / p50);
      etasTold.add(1);
      etaKept.add(waited <= p90);
    }
  }
}

/** @param {{before: Record<string, unknown>}} room */
export async function teardown({ before }) {
  await changeRoom(before);
  await askInvariants();
}

export const handleSummary = verdict('queue', named(REQUESTS));
