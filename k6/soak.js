// Half an hour or more at a steady rate of journeys, well below the breaking point that `stress` found (RATE: journeys a
// second, 60 % of it). Nothing may drift: the verdict compares the last five minutes with the first.

import { askInvariants, invariantGoals } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { LAST_JOURNEY, shop, survey } from './lib/crowd.js';
import { goals, SEVEN, STATS } from './lib/goals.js';
import { paidGoals } from './lib/journeys.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const RATE = whole('RATE', 40);
const DURATION = seconds('DURATION', 1_800);

/** A journey with its thinking takes some 16 s, and seldom more than 25. */
const USERS = RATE * 25;

export const options = {
  scenarios: {
    soak: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${DURATION}s`,
      preAllocatedVUs: USERS,
      gracefulStop: LAST_JOURNEY,
    },
    ...watching(DURATION),
  },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals([...SEVEN, 'leave']),
    ...resourceGoals,
    ...invariantGoals,
    ...paidGoals,
    // Each is a journey that should have begun and did not.
    dropped_iterations: ['count<1'],
  },
};

export const setup = () => survey(RATE * DURATION);

/** @param {import('./lib/crowd.js').Known} known */
export default (known) => shop(known);

export const teardown = askInvariants;
export const handleSummary = verdict('soak', named([...SEVEN, 'leave']));
