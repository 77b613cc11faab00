// Many users press at one instant for few seats: exactly as many win as there are seats, and each of them pays, twice at
// once, and has paid once. Then baskets of several seats
// that want the same ones in different orders: nobody ever holds half a basket.
//
// All users live in one VU, each a promise, because only within a VU can it be known who won and who lost: the outcome is
// compared as a whole with what the service says afterwards.

import { check, fail } from 'k6';
import { Counter } from 'k6/metrics';
import { accounts, hasTokens } from './lib/accounts.js';
import { askInvariants, invariantGoals } from './lib/admin.js';
import { allSeats, balance, basket, cancel, orElse, pay, reservations, reserve, seats, send } from './lib/api.js';
import { SCHEDULE, whole } from './lib/config.js';
import { answered, completed, completedGoal, goals, STATS } from './lib/goals.js';
import { named, verdict } from './lib/summary.js';
import { anyOf, between, pause, shuffled } from './lib/time.js';
import { enter, goAway, isActive } from './lib/visit.js';
import { startWatching } from './lib/watch.js';

const USERS = whole('USERS', 1_000);
const SEATS = whole('SEATS', 1);

const BASKETS = 40;
const BASKET_ROUNDS = 5;
/** The seats that all baskets of a round choose from, and how many a basket has. */
const BASKET_SEATS = 6;
const BASKET_SIZES = [2, 3, 4];

/** First logins are spread over this time: the test is about the seats, not about the door. */
const ARRIVAL_MS_EACH = 10;
/** A list of seats may be a quarter of a second old. */
const SETTLED_MS = 500;
/** So many look at their reservations, or pay, at once. */
const LOOKERS = 50;

/** The requests that the test is about, and those that prepare it or look at what came of it, all users at once. */
const REQUESTS = [hasTokens ? 'position' : 'token', 'reserve', 'basket'];
const BESIDE = ['pay', 'balance', 'cancel', 'all seats', 'reservations', 'leave'];

const winners = new Counter('winners');
const losers = new Counter('losers');
const sold = new Counter('seats_sold');
const basketsHeld = new Counter('baskets_held');
const basketsRefused = new Counter('baskets_refused');

export const options = {
  scenarios: {
    contention: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: '10m' },
  },
  // Idle connections that are kept: every user has one.
  batch: USERS + BASKETS,
  batchPerHost: USERS + BASKETS,
  summaryTrendStats: STATS,
  thresholds: {
    ...answered(BESIDE),
    ...goals(REQUESTS),
    ...invariantGoals,
    ...completedGoal,
    winners: [`count==${SEATS}`],
    losers: [`count==${USERS - SEATS}`],
    seats_sold: [`count==${SEATS}`],
    baskets_held: [`count>=${BASKET_ROUNDS}`],
    baskets_refused: ['count>0'],
  },
};

/** @typedef {import('./lib/visit.js').Visitor} Visitor */

/**
 * Somebody who wants seats, and what came of it.
 * @typedef {{visitor: Visitor, wanted: string[], answer: import('./lib/api.js').Answer}} Attempt
 */

export default async function () {
  const crowd = await letIn(USERS + BASKETS);
  const free = (await send(seats(SCHEDULE), crowd[0].token)).body?.seats.map((/** @type {any} */ s) => s.seatId) ?? [];
  const needed = SEATS + BASKET_ROUNDS * BASKET_SEATS;
  if (SEATS > USERS || free.length < needed) {
    fail(`${USERS} users, ${SEATS} seats: ${needed} seats are needed, schedule ${SCHEDULE} has ${free.length} left`);
  }
  const watching = startWatching();
  await race(crowd.slice(0, USERS), free.slice(0, SEATS));
  for (let round = 0; round < BASKET_ROUNDS; round += 1) {
    const from = SEATS + round * BASKET_SEATS;
    await fillBaskets(crowd.slice(USERS), free.slice(from, from + BASKET_SEATS));
  }
  await Promise.all(crowd.map(goAway));
  await watching.stop();
  completed.add(1);
}

/**
 * Logs so many accounts in and waits until all of them are admitted.
 * @param {number} count
 */
async function letIn(count) {
  const crowd = await Promise.all(
    accounts(0, count).map(async (account) => {
      await pause(between(0, count * ARRIVAL_MS_EACH));
      return enter(account);
    }),
  );
  const inside = crowd.filter(isActive).length;
  if (inside < count) {
    fail(`only ${inside} of ${count} were admitted: the room needs a capacity of ${count}`);
  }
  return crowd;
}

/**
 * Everybody sends a harmless request, so that every connection is open, and then at one instant the one that counts.
 * @param {Visitor[]} crowd
 * @param {(i: number) => string[]} wants
 * @param {(seatIds: string[]) => import('./lib/api.js').Call} call
 * @returns {Promise<Attempt[]>}
 */
async function pressAtOnce(crowd, wants, call) {
  await Promise.all(crowd.map((visitor) => send(balance(), visitor.token)));
  return Promise.all(
    crowd.map(async (visitor, i) => {
      const wanted = wants(i);
      return { visitor, wanted, answer: await send(orElse(call(wanted), 409), visitor.token) };
    }),
  );
}

/**
 * Each seat is wanted by as many users as any other.
 * @param {Visitor[]} crowd
 * @param {string[]} prizes
 */
async function race(crowd, prizes) {
  const attempts = await pressAtOnce(crowd, (i) => [prizes[i % prizes.length]], ([seat]) => reserve(SCHEDULE, seat));
  const won = attempts.filter(isHeld);
  const lost = attempts.filter((attempt) => !isHeld(attempt));
  winners.add(won.length);
  losers.add(lost.filter(isCleanlyRefused).length);
  check(won, { 'each seat has one winner': (all) => same(all.flatMap(seatsHeld), prizes) });
  await compare(attempts, prizes);
  await sell(won, prizes);
  const again = await pressAtOnce(lost.map(({ visitor }) => visitor), (i) => [prizes[i % prizes.length]], ([seat]) => reserve(SCHEDULE, seat));
  check(again, { 'what is sold is held by nobody else': (all) => all.every(isCleanlyRefused) });
}

/**
 * Every winner pays, twice at once.
 * @param {Attempt[]} won
 * @param {string[]} prizes
 */
async function sell(won, prizes) {
  /** @type {any[][]} */
  const payments = [];
  await each(won, async ({ visitor, answer }) => {
    payments.push(await Promise.all([payUntilDone(visitor, answer.body), payUntilDone(visitor, answer.body)]));
  });
  const ids = new Set(payments.map(([first]) => first?.paymentId));
  check(payments, {
    'paid twice at once, each has one payment': (all) => all.every(([one, two]) => one && one.paymentId === two?.paymentId),
    'and nobody the same as another': () => ids.size === won.length,
  });
  await pause(SETTLED_MS);
  const list = await send(allSeats(SCHEDULE), won[0].visitor.token);
  sold.add((list.body?.seats ?? []).filter((/** @type {any} */ s) => prizes.includes(s.seatId) && s.status === 'sold').length);
}

/**
 * Asks again while the same payment is under way.
 * @param {Visitor} visitor
 * @param {import('./lib/journeys.js').Held} held
 * @returns {Promise<any>} the payment, null when it was refused
 */
async function payUntilDone(visitor, held) {
  for (;;) {
    const answer = await send(orElse(pay(held), 409), visitor.token);
    if (answer.code !== 'payment-in-flight') {
      return answer.status === 200 ? answer.body : null;
    }
    await pause(1_000);
  }
}

/**
 * Some at once, until all are done.
 * @template T
 * @param {T[]} all
 * @param {(one: T) => Promise<void>} work
 */
async function each(all, work) {
  const rest = [...all];
  const worker = async () => {
    for (let one = rest.pop(); one; one = rest.pop()) {
      await work(one);
    }
  };
  await Promise.all(Array.from({ length: LOOKERS }, worker));
}

/**
 * @param {Visitor[]} crowd
 * @param {string[]} pool
 */
async function fillBaskets(crowd, pool) {
  const wants = () => shuffled(pool).slice(0, anyOf(BASKET_SIZES));
  const attempts = await pressAtOnce(crowd, wants, (seatIds) => basket(SCHEDULE, seatIds));
  const won = attempts.filter(isHeld);
  const lost = attempts.filter((attempt) => !isHeld(attempt));
  basketsHeld.add(won.length);
  basketsRefused.add(lost.filter(isCleanlyRefused).length);
  const taken = won.flatMap(seatsHeld);
  check(attempts, {
    'a basket is held whole': () => won.every(({ wanted, answer }) => same(answer.body.seatIds, wanted)),
    'no seat is in two baskets': () => new Set(taken).size === taken.length,
    'a basket is refused cleanly': () => lost.every(isCleanlyRefused),
    'no basket is refused for nothing': () => lost.every(({ wanted }) => wanted.some((seat) => taken.includes(seat))),
  });
  await compare(attempts, pool);
  await Promise.all(won.map(({ visitor, answer }) => send(cancel(answer.body.reservationId), visitor.token)));
}

/**
 * The service tells the same afterwards as it did to each: in its list of seats, and to everyone about their own.
 * @param {Attempt[]} attempts
 * @param {string[]} pool the seats that were fought for
 */
async function compare(attempts, pool) {
  await pause(SETTLED_MS);
  const taken = attempts.filter(isHeld).flatMap(seatsHeld);
  const list = await send(allSeats(SCHEDULE), attempts[0].visitor.token);
  const held = (list.body?.seats ?? []).filter((/** @type {any} */ s) => pool.includes(s.seatId) && s.status === 'held');
  check(list, {
    'the list shows the winners\' seats as held and no others': () =>
      same(held.map((/** @type {any} */ seat) => seat.seatId), taken),
  });
  /** @type {{attempt: Attempt, fought: string[]}[]} */
  const told = [];
  await each(attempts, async (attempt) => {
    const own = await send(reservations(), attempt.visitor.token);
    told.push({ attempt, fought: liveSeats(own.body).filter((seat) => pool.includes(seat)) });
  });
  check(told, {
    'everyone has what they were told, and losers nothing': (all) =>
      all.every(({ attempt, fought }) => same(fought, isHeld(attempt) ? attempt.wanted : [])),
  });
}

/** @param {Attempt} attempt */
const isHeld = ({ answer }) => answer.status === 200;

/** @param {Attempt} attempt */
const seatsHeld = ({ answer }) => /** @type {string[]} */ (answer.body.seatIds);

/** @param {Attempt} attempt */
const isCleanlyRefused = ({ answer, wanted }) =>
  answer.status === 409 &&
  answer.code === 'seat-taken' &&
  answer.body.seats.length > 0 &&
  answer.body.seats.every((/** @type {string} */ seat) => wanted.includes(seat)) &&
  Array.isArray(answer.body.alternatives);

/** @param {any} body @returns {string[]} */
const liveSeats = (body) =>
  (body?.reservations ?? [])
    .filter((/** @type {any} */ reservation) => reservation.status === 'held')
    .flatMap((/** @type {any} */ reservation) => reservation.seatIds);

/**
 * @param {string[]} a
 * @param {string[]} b
 */
const same = (a, b) => JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());

export const teardown = askInvariants;
export const handleSummary = verdict('contention', named([...REQUESTS, ...BESIDE]), { judgeMachine: false });
