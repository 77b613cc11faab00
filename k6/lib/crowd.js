// A crowd of shoppers: each VU is a user with an account of its own, who comes, buys, leaves, and comes again.

import exec from 'k6/execution';
import { Trend } from 'k6/metrics';
import { account } from './accounts.js';
import { isOperator } from './admin.js';
import { tagEach } from './api.js';
import { USERS } from './config.js';
import { booking, chargeAndBook, paid } from './journeys.js';
import { stock, inTurn } from './stock.js';
import { between, pause } from './time.js';
import { enter, goAway, isActive } from './visit.js';

/** Users think so long between two requests. */
export const THINK_S = [1, 3];

/** How long a VU may take to end its journey when it is no longer needed. */
export const LAST_JOURNEY = '45s';

/** One journey in so many is the one with a charge; one charge in so many is sent twice. */
const CHARGE_EACH = 3;
const AGAIN_EACH = 10;

/** What a demo account begins with: whoever bought before is short of it, and charges. */
const PURSE = 1_000_000;

/** Turns of different users begin at different schedules. */
const STRIDE = 7;

/** Users at the moment in which one of them begins a journey. */
const users = new Trend('users');

/** VUs that are no users: the one that watches. */
const OTHERS = isOperator ? 1 : 0;

/**
 * So many users there must have been, but for those who were about to come.
 * @param {number} count
 * @returns {Record<string, string[]>}
 */
export const usersGoal = (count) => ({ users: [`max>=${Math.floor(count * 0.99)}`] });

/**
 * What all users know.
 * @typedef {{schedules: string[]}} Known
 */

export const think = () => pause(between(THINK_S[0] * 1_000, THINK_S[1] * 1_000));

/**
 * Which schedules there are. For `setup`.
 * @param {number} [needed] seats
 * @returns {Promise<Known>}
 */
export async function survey(needed = 0) {
  const visitor = await enter(account(USERS.count - 1));
  const schedules = await stock(visitor.token, needed);
  await goAway(visitor);
  return { schedules };
}

/**
 * One journey of the user that this VU is.
 * @param {Known} known
 * @param {How & {tags?: () => Record<string, string>}} [how]
 */
export async function shop(known, how = {}) {
  const vu = exec.vu.idInTest - 1;
  const round = exec.vu.iterationInScenario;
  tagEach(how.tags ?? (() => ({})));
  users.add(exec.instance.vusActive - OTHERS);
  if (round === 0) {
    await (how.think ?? think)();
  }
  await journey(vu % USERS.count, vu * STRIDE + round, known, how);
}

/**
 * @typedef {object} How
 * @property {import('./journeys.js').Pace} [think]
 * @property {'booking' | 'charge'} [kind] takes the place of the mix
 */

/**
 * One journey from the login to the leaving.
 * @param {number} n whose: the nth account
 * @param {number} turn which one: tells its kind, and the schedules
 * @param {Known} known
 * @param {How} [how]
 * @returns {Promise<boolean>} whether it ended paid
 */
export async function journey(n, turn, known, how = {}) {
  const pace = how.think ?? think;
  const kind = how.kind ?? (turn % CHARGE_EACH === 0 ? 'charge' : 'booking');
  const schedules = inTurn(known.schedules, turn);
  const visitor = await enter(account(n));
  if (!isActive(visitor)) {
    paid.add(false, { journey: kind });
    return false;
  }
  const key = `${visitor.account.username}-${Date.now()}`;
  const again = Math.floor(turn / CHARGE_EACH) % AGAIN_EACH === 0;
  const ended =
    kind === 'charge'
      ? await chargeAndBook(visitor, pace, { purse: PURSE, key, again, schedules })
      : await booking(visitor, pace, schedules);
  await goAway(visitor);
  return ended;
}
