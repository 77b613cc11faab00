// A crowd of shoppers: each VU is a user with an account of its own, who comes, buys, leaves, and comes again.

import exec from 'k6/execution';
import { account } from './accounts.js';
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
 * One journey from the login to the leaving, of the user that this VU is.
 * @param {Known} known
 * @param {{think?: import('./journeys.js').Pace, journey?: 'booking' | 'charge', tags?: () => Record<string, string>}} [how]
 * `journey` takes the place of the mix
 */
export async function shop({ schedules }, how = {}) {
  const vu = exec.vu.idInTest - 1;
  const round = exec.vu.iterationInScenario;
  const turn = vu * STRIDE + round;
  const pace = how.think ?? think;
  tagEach(how.tags ?? (() => ({})));
  if (round === 0) {
    await pace();
  }
  const journey = how.journey ?? (turn % CHARGE_EACH === 0 ? 'charge' : 'booking');
  const visitor = await enter(account(vu % USERS.count));
  if (!isActive(visitor)) {
    paid.add(false, { journey });
    return;
  }
  if (journey === 'charge') {
    const key = `${visitor.account.username}-${Date.now()}`;
    const again = (vu + round) % AGAIN_EACH === 0;
    await chargeAndBook(visitor, pace, { purse: PURSE, key, again, schedules: inTurn(schedules, turn) });
  } else {
    await booking(visitor, pace, inTurn(schedules, turn));
  }
  await goAway(visitor);
}
