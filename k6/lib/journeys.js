// The plan's journeys: what a user does once admitted, step by step.

import { check } from 'k6';
import { Rate } from 'k6/metrics';
import { balance, charge, datesAsText, orElse, pay, reserve, seatsAsText, send } from './api.js';
import { anySeat, demoSchedule, shownSeats } from './stock.js';

/** Journeys that ended paid, by journey. */
export const paid = new Rate('paid');

/** @type {Record<string, string[]>} */
export const paidGoals = { 'paid{journey:booking}': ['rate>=0.95'], 'paid{journey:charge}': ['rate>=0.95'] };

/** How often another seat is tried when somebody was faster. */
const TRIES = 4;

/**
 * How long a user thinks between two requests.
 * @typedef {() => Promise<void>} Pace
 */

/** @typedef {{reservationId: string, amount: number}} Held */

/**
 * Dates, seats, a reservation, the balance, a charge where it is short, the payment.
 * @param {import('./visit.js').Visitor} visitor
 * @param {Pace} think
 * @param {import('./stock.js').Turn} [schedules] those to visit; the demo's own one without it
 * @returns {Promise<boolean>} whether it ended paid
 */
export async function booking(visitor, think, schedules = demoSchedule) {
  const { token } = visitor;
  await think();
  const shown = await send(datesAsText(), token);
  check(shown, { 'the schedule is shown, with seats': (a) => shownSeats(a.body, schedules(0)) > 0 });
  const held = await holdAnySeat(token, think, schedules);
  await think();
  let before = (await send(balance(), token)).body?.balance;
  if (held && before < held.amount) {
    await think();
    before = (await send(charge(held.amount), token)).body?.balance;
  }
  const payment = held && (await payFor(held, token, think));
  if (payment) {
    check(payment, { 'the price is taken': (p) => p.balance === before - p.amount });
  }
  paid.add(Boolean(payment), { journey: 'booking' });
  return Boolean(payment);
}

/**
 * The balance, a charge where it is short of `purse`, seats, a reservation, the payment.
 * @param {import('./visit.js').Visitor} visitor
 * @param {Pace} think
 * @param {{purse: number, key: string, again: boolean, schedules?: import('./stock.js').Turn}} charging with `again` the
 * charge is sent twice under its key
 * @returns {Promise<boolean>} whether it ended paid
 */
export async function chargeAndBook(visitor, think, { purse, key, again, schedules = demoSchedule }) {
  const { token } = visitor;
  await think();
  const before = await send(balance(), token);
  const missing = purse - (before.body?.balance ?? purse);
  if (missing > 0) {
    await think();
    await chargeOnce(missing, purse, key, again, token);
  }
  const held = await holdAnySeat(token, think, schedules);
  const payment = held && (await payFor(held, token, think));
  if (payment && missing > 0) {
    check(payment, { 'what was charged is there': (p) => p.balance === purse - p.amount });
  }
  paid.add(Boolean(payment), { journey: 'charge' });
  return Boolean(payment);
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
 * @param {import('./stock.js').Turn} schedules
 * @returns {Promise<Held | null>}
 */
async function holdAnySeat(token, think, schedules) {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const scheduleId = schedules(attempt);
    await think();
    const wanted = anySeat((await send(seatsAsText(scheduleId), token)).body);
    if (wanted) {
      await think();
      const held = await send(orElse(reserve(scheduleId, wanted.seatId), 409), token);
      if (held.status === 200) {
        check(held, {
          'the seat is held': (a) => a.body.status === 'held' && a.body.seatId === wanted.seatId,
          'at its price': (a) => a.body.amount === wanted.price,
        });
        return held.body;
      }
    }
  }
  return null;
}

/**
 * @param {Held} held
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
