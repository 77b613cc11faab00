// Everybody comes within one second, and nobody has ever logged in: the answers come at once all the same, the room lets
// in no more than it holds and no faster than it says, and in the order of arrival.
//
// All users live in one VU, each a promise, because only within a VU can it be compared who came first and who got in
// first.

import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { account, accounts } from './lib/accounts.js';
import { askInvariants, changeRoom, invariantGoals, isOperator, metric, placeOf } from './lib/admin.js';
import { dates, login, only, orElse, pay, position, reserve, seats, send } from './lib/api.js';
import { ROOM, SCHEDULE, whole } from './lib/config.js';
import { completed, completedGoal, goals, STATS } from './lib/goals.js';
import { jumpedAtTheDoor, jumpedInLine, storyteller } from './lib/order.js';
import { named, verdict } from './lib/summary.js';
import { anyOf, between, pause } from './lib/time.js';
import { enter, goAway, isActive } from './lib/visit.js';

const USERS = whole('USERS', 1_000);
const CAPACITY = 100;
const ADMIT_PER_SECOND = 50;
const ARRIVAL_MS = 1_000;

/** One visitor in so many buys a seat; the others look and go. */
const BUYERS = 5;
/** Long enough inside that the room fills: at 50 a second it holds 100 only if they stay for more than two seconds. */
const STAY_MS = [2_000, 4_000];
const SAMPLE_EVERY_MS = 250;

const REQUESTS = ['token', 'position', 'dates', 'seats', 'reserve', 'pay', 'leave'];

const admitted = new Counter('admitted');
const bought = new Counter('bought');
const fellBack = new Counter('positions_that_grew');
const doorJumpers = new Counter('jumped_at_the_door');
const lineJumpers = new Counter('jumped_in_line');
const linePairs = new Counter('pairs_compared');
const samples = new Counter('samples');
const activeTold = new Trend('active_told');
const activeSeen = new Trend('active_seen');
const strangersIn = new Counter('strangers_let_in');
const strangersOut = new Counter('strangers_refused');

export const options = {
  scenarios: { opening: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: '10m' } },
  // Idle connections that are kept: every user has one.
  batch: USERS + 2,
  batchPerHost: USERS + 2,
  summaryTrendStats: STATS,
  thresholds: {
    ...goals(REQUESTS),
    ...invariantGoals,
    ...completedGoal,
    'errors{name:token}': ['rate==0'],
    admitted: [`count==${USERS}`],
    bought: [`count>=${Math.floor((USERS / BUYERS) * 0.95)}`],
    positions_that_grew: ['count==0'],
    jumped_at_the_door: ['count==0'],
    jumped_in_line: ['count==0'],
    pairs_compared: ['count>0'],
    samples: ['count>0'],
    // A room that was never full proves nothing.
    active_told: [`max<=${CAPACITY}`, `max>=${CAPACITY * 0.9}`],
    active_seen: [`max<=${CAPACITY}`],
    strangers_let_in: ['count==0'],
    strangers_refused: ['count==1'],
  },
};

/** @returns {Promise<{before: Record<string, unknown>, visitMs: number}>} the settings to go back to, and a visit's length */
export async function setup() {
  if (!isOperator) {
    throw new Error('this test changes settings of the room: it needs READY_FILE, or ADMIN_URL and ADMIN_TOKEN');
  }
  const { before, now } = await changeRoom({ capacity: CAPACITY, admitPerSecond: ADMIT_PER_SECOND });
  return { before, visitMs: now.visitSeconds * 1_000 };
}

/** @param {{visitMs: number}} room */
export default async function ({ visitMs }) {
  const tellers = accounts(0, USERS).map(() => storyteller(visitMs));
  const sampling = sampleActive();
  await Promise.all([stranger(), ...tellers.map(({ watch }, n) => comeAndGo(n, watch))]);
  await sampling.stop();
  const stories = tellers.map(({ story }) => story);
  const { pairs, jumped } = jumpedInLine(stories);
  linePairs.add(pairs);
  lineJumpers.add(jumped);
  doorJumpers.add(jumpedAtTheDoor(stories).length);
  fellBack.add(stories.filter((story) => story.fellBack).length);
  completed.add(1);
}

/** Visitors between the answer that let them in and their leaving, as they know it themselves. */
let inside = 0;

/**
 * One user: arrives, waits as told, buys or looks, leaves.
 * @param {number} n
 * @param {import('./lib/visit.js').Watcher} watch
 */
async function comeAndGo(n, watch) {
  await pause(between(0, ARRIVAL_MS));
  const visitor = await enter(account(n), watch);
  if (!isActive(visitor)) {
    return;
  }
  admitted.add(1);
  inside += 1;
  activeSeen.add(inside);
  await send(dates(), visitor.token);
  await pause(between(STAY_MS[0], STAY_MS[1]));
  if (n % BUYERS === 0) {
    bought.add((await buy(visitor.token)) ? 1 : 0);
  }
  inside -= 1;
  await goAway(visitor);
}

/**
 * @param {string} token
 * @returns {Promise<boolean>}
 */
async function buy(token) {
  const free = (await send(seats(SCHEDULE), token)).body?.seats ?? [];
  for (let tries = 0; tries < 3 && free.length > 0; tries += 1) {
    const held = await send(orElse(reserve(SCHEDULE, anyOf(free).seatId), 409), token);
    if (held.status === 200) {
      return (await send(pay(held.body), token)).right;
    }
  }
  return false;
}

/** Somebody with a wrong password in the middle of the crowd: an attempt like any other at first, and never a visit. */
async function stranger() {
  const { username } = account(USERS);
  await pause(ARRIVAL_MS / 2);
  const first = await send(login({ username, password: 'not the password' }));
  check(first, { 'a stranger is told to wait for the check': (a) => a.body?.status === 'verifying' });
  let told = first;
  while (told.body?.status === 'verifying') {
    await pause(told.body.pollAfterMs);
    told = await send({ ...orElse(position(), 401), name: 'stranger' }, first.body.token);
  }
  strangersIn.add(told.body?.status === 'active' ? 1 : 0);
  strangersOut.add(told.status === 401 ? 1 : 0);
  const opened = await send({ ...only(dates(), 401), name: 'stranger' }, first.body?.token);
  check(opened, { 'an attempt opens nothing': (a) => a.status === 401 });
  const place = await placeOf(username, 404);
  check(place, { 'a stranger has no place': (a) => a.status === 404 });
}

/** Reads several times a second how many the service says are inside. */
function sampleActive() {
  let going = true;
  const loop = (async () => {
    while (going) {
      const active = await metric(`anteroom_visits_active{room="${ROOM}"}`);
      if (active !== null) {
        samples.add(1);
        activeTold.add(active);
      }
      await pause(SAMPLE_EVERY_MS);
    }
  })();
  return {
    stop: () => {
      going = false;
      return loop;
    },
  };
}

/** @param {{before: Record<string, unknown>}} room */
export async function teardown({ before }) {
  await changeRoom(before);
  await askInvariants();
}

export const handleSummary = verdict('opening', named(REQUESTS), { judgeMachine: false });
