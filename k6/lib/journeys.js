// The plan's journeys: what a user does once admitted, step by step.

import { check } from 'k6';
import { Rate } from 'k6/metrics';
import { balance, charge, dates, orElse, pay, reserve, seats, send } from './api.js';
import { SCHEDULE } from './config.js';
import { anyOf } from './time.js';

/** Journeys that ended paid, by journey. */
export const paid = new Rate('paid');

/** @type {Record<string, string[]>} */
export const paidGoals = { 'paid{journey:booking}': ['rate>=0.95'], 'paid{journey:charge}': ['rate>=0.95'] };

/** How often another seat is tried when somebody was faster. */
const TRIES = 3;

/**
 * How long a user thinks between two requests.
 * @typedef {() => Promise<void>} Pace
 */

/**
 * Dates, seats, a reservation, the balance, the payment.
 * @param {import('./visit.js').Visitor} visitor
 * @param {Pace} think
 */
export async function booking(visitor, think) {
  const { token } = visitor;
  await think();
  const shown = await send(dates(), token);
  check(shown, {
    'the schedule is among the dates': (a) => a.body?.dates?.some((/** @type {any} */ d) => d.scheduleId === SCHEDULE),
  });
  const held = await holdAnySeat(token, think);
  await think();
  const before = await send(balance(), token);
  const payment = held && (await payFor(held, token, think));
  if (payment) {
    check(payment, { 'the price is taken': (p) => p.balance === before.body?.balance - p.amount });
  }
  paid.add(Boolean(payment), { journey: 'booking' });
}

/**
 * The balance, a charge where it is short of `purse`, seats, a reservation, the payment.
 * @param {import('./visit.js').Visitor} visitor
 * @param {Pace} think
 * @param {{purse: number, key: string, again: boolean}} charging with `again` the charge is sent twice under its key
 */
export async function chargeAndBook(visitor, think, { purse, key, again }) {
  const { token } = visitor;
  await think();
  const before = await send(balance(), token);
  const missing = purse - (before.body?.balance ?? purse);
  if (missing > 0) {
    await think();
    await chargeOnce(missing, purse, key, again, token);
  }
  const held = await holdAnySeat(token, think);
  const payment = held && (await payFor(held, token, think));
  if (payment && missing > 0) {
    check(payment, { 'what was charged is there': (p) => p.balance === purse - p.amount });
  }
  paid.add(Boolean(payment), { journey: 'charge' });
}

/**
 * @param {number} amount
 * @param {number} purse the balance to come
 * @param {string} key
 * @param {boolean} again
 * @param {string} token
 */
async function chargeOnce(amount, purse, key, again, token) {
  const first = await send(charge(amount, key), token);
  check(first, { 'the charge is added': (a) => a.body?.balance === purse && a.body?.chargedAmount === amount });
  if (!again) {
    return;
  }
  const second = await send(charge(amount, key), token);
  check(second, {
    'a charge sent again is the same one': (a) => JSON.stringify(a.body) === JSON.stringify(first.body),
    'and says that it is replayed': (a) => a.headers['Idempotency-Replayed'] === 'true',
  });
  const after = await send(balance(), token);
  check(after, { 'and is added once': (a) => a.body?.balance === purse });
}

/**
 * Holds any seat, another one when somebody was faster.
 * @param {string} token
 * @param {Pace} think
 * @returns {Promise<{reservationId: string, amount: number} | null>}
 */
async function holdAnySeat(token, think) {
  await think();
  let free = (await send(seats(SCHEDULE), token)).body?.seats ?? [];
  for (let i = 0; i < TRIES && free.length > 0; i += 1) {
    const wanted = anyOf(free);
    await think();
    const held = await send(orElse(reserve(SCHEDULE, wanted.seatId), 409), token);
    if (held.status === 200) {
      check(held, {
        'the seat is held': (a) => a.body.status === 'held' && a.body.seatId === wanted.seatId,
        'at its price': (a) => a.body.amount === wanted.price,
      });
      return held.body;
    }
    free = (await send(seats(SCHEDULE), token)).body?.seats ?? [];
  }
  return null;
}

/**
 * @param {{reservationId: string, amount: number}} held
 * @param {string} token
 * @param {Pace} think
 * @returns {Promise<any>} the payment, null when it was refused
 */
async function payFor(held, token, think) {
  await think();
  const payment = await send(pay(held), token);
  check(payment, {
    'the payment is confirmed': (a) => a.body?.status === 'confirmed' && a.body?.reservationId === held.reservationId,
  });
  return payment.right ? payment.body : null;
}
