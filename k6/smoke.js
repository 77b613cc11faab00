// Everything answers: five users for each of the three journeys, five times, each time another account.

import { check } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { account } from './lib/accounts.js';
import { askInvariants, invariantGoals } from './lib/admin.js';
import { cancel, dates, orElse, reserve, seats, send } from './lib/api.js';
import { SCHEDULE } from './lib/config.js';
import { goals, SEVEN, STATS } from './lib/goals.js';
import { booking, chargeAndBook, paid, paidGoals } from './lib/journeys.js';
import { named, verdict } from './lib/summary.js';
import { between, pause } from './lib/time.js';
import { enter, goAway, isActive } from './lib/visit.js';

const USERS = 5;
const ROUNDS = 5;
const JOURNEYS = USERS * ROUNDS;

/** More than a demo account has, so that the journey with a charge has to charge. */
const PURSE = 1_200_000;

/** One charge in so many is sent twice. */
const AGAIN = 5;

/** When the first seat is fought for, and the next ones: time enough for five logins in an unoptimised build. */
const FIRST_FIGHT_MS = 8_000;
const FIGHT_EVERY_MS = 3_000;

const REQUESTS = [...SEVEN, 'leave', 'cancel'];

const won = new Counter('won');
const lost = new Counter('lost');
const late = new Counter('late');

/** @param {string} journey */
const five = (journey) => ({
  executor: 'per-vu-iterations',
  exec: journey,
  vus: USERS,
  iterations: ROUNDS,
  maxDuration: '1m',
});

export const options = {
  scenarios: { booking: five('book'), charge: five('charge'), contention: five('contend') },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals(REQUESTS),
    ...paidGoals,
    ...invariantGoals,
    iterations: [`count==${3 * JOURNEYS}`],
    won: [`count==${ROUNDS}`],
    lost: [`count==${JOURNEYS - ROUNDS}`],
    late: ['count==0'],
  },
};

/**
 * Where the fights begin, and for which seats: known to all users before they start. They are of another schedule than
 * that of the journeys, so that nobody takes them by chance.
 */
export async function setup() {
  const { token } = await enter(account(3 * JOURNEYS));
  const all = (await send(dates(), token)).body?.dates ?? [];
  const schedule = all.find((/** @type {any} */ d) => d.scheduleId !== SCHEDULE && d.availableSeats >= ROUNDS);
  if (!schedule) {
    throw new Error(`beside schedule ${SCHEDULE} there is none with ${ROUNDS} seats left: start the service --fresh`);
  }
  const free = (await send(seats(schedule.scheduleId), token)).body?.seats ?? [];
  const fought = free.slice(0, ROUNDS).map((/** @type {any} */ seat) => seat.seatId);
  return { startsAt: Date.now(), scheduleId: schedule.scheduleId, fought };
}

const think = () => pause(between(100, 400));

export async function book() {
  const visitor = await arrive(account(exec.scenario.iterationInTest));
  if (isActive(visitor)) {
    await booking(visitor, think);
    await goAway(visitor);
  } else {
    paid.add(false, { journey: 'booking' });
  }
}

export async function charge() {
  const n = exec.scenario.iterationInTest;
  const visitor = await arrive(account(JOURNEYS + n));
  if (isActive(visitor)) {
    const key = `smoke-${visitor.account.username}-${Date.now()}`;
    await chargeAndBook(visitor, think, { purse: PURSE, key, again: n % AGAIN === 0 });
    await goAway(visitor);
  } else {
    paid.add(false, { journey: 'charge' });
  }
}

/**
 * All five press for one seat at the same moment; one holds it, and gives it back.
 * @param {{startsAt: number, scheduleId: string, fought: string[]}} agreed
 */
export async function contend({ startsAt, scheduleId, fought }) {
  const round = exec.vu.iterationInScenario;
  const visitor = await enter(account(2 * JOURNEYS + exec.scenario.iterationInTest));
  const wait = startsAt + FIRST_FIGHT_MS + round * FIGHT_EVERY_MS - Date.now();
  late.add(wait < 0 ? 1 : 0);
  await pause(Math.max(0, wait));
  const answer = await send(orElse(reserve(scheduleId, fought[round]), 409), visitor.token);
  if (answer.status === 200) {
    won.add(1);
    await pause(1_000);
    await send(cancel(answer.body.reservationId), visitor.token);
  } else {
    check(answer, { 'who lost is told that the seat is taken': (a) => a.status === 409 && a.code === 'seat-taken' });
    lost.add(1);
  }
  await goAway(visitor);
}

/** @param {import('./lib/accounts.js').Account} who */
async function arrive(who) {
  await pause(between(0, 1_000));
  return enter(who);
}

export const teardown = askInvariants;
export const handleSummary = verdict('smoke', named(REQUESTS), { judgeMachine: false });
