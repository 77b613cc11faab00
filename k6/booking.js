// The plan's first journey, over and over: token, dates, seats, a reservation, the balance, the payment.

import { askInvariants, invariantGoals } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { LAST_JOURNEY, shop, survey } from './lib/crowd.js';
import { goals, STATS } from './lib/goals.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const USERS = whole('USERS', 200);
const DURATION = seconds('DURATION', 300);

const REQUESTS = ['token', 'dates', 'seats', 'reserve', 'balance', 'pay', 'leave'];

export const options = {
  scenarios: {
    booking: { executor: 'constant-vus', vus: USERS, duration: `${DURATION}s`, gracefulStop: LAST_JOURNEY },
    ...watching(DURATION),
  },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals(REQUESTS),
    ...resourceGoals,
    ...invariantGoals,
    'paid{journey:booking}': ['rate>=0.95'],
  },
};

export const setup = () => survey();

/** @param {import('./lib/crowd.js').Known} known */
export default (known) => shop(known, { kind: 'booking' });

export const teardown = askInvariants;
export const handleSummary = verdict('booking', named(REQUESTS));
