// The plan's second journey, over and over: token, balance, a charge where it is short, seats, a reservation, the payment.
// One charge in ten is sent twice with one key. Afterwards the ledger says whether every point is accounted for.

import { askInvariants, invariantGoals } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { LAST_JOURNEY, shop, survey } from './lib/crowd.js';
import { goals, STATS } from './lib/goals.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const USERS = whole('USERS', 200);
const DURATION = seconds('DURATION', 300);

const REQUESTS = ['token', 'balance', 'charge', 'seats', 'reserve', 'pay', 'leave'];

export const options = {
  scenarios: {
    charge: { executor: 'constant-vus', vus: USERS, duration: `${DURATION}s`, gracefulStop: LAST_JOURNEY },
    ...watching(DURATION),
  },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals(REQUESTS),
    ...resourceGoals,
    ...invariantGoals,
    'paid{journey:charge}': ['rate>=0.95'],
  },
};

export const setup = () => survey();

/** @param {import('./lib/crowd.js').Known} known */
export default (known) => shop(known, { kind: 'charge' });

export const teardown = askInvariants;
export const handleSummary = verdict('charge', named(REQUESTS));
