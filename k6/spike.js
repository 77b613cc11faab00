// From nobody to 1,000 users in ten seconds, who stay for two minutes; then 50 are left, and when the others have ended their
// journeys everything is as it was. First cold: nobody has ever logged in, so every password is to be checked. Then the same again, warm.

import { askInvariants, invariantGoals } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { LAST_JOURNEY, shop, survey, usersGoal } from './lib/crowd.js';
import { goals, goalsWhile, OWN_P95_MS, SEVEN, STATS } from './lib/goals.js';
import { paidGoals } from './lib/journeys.js';
import { lengthOf, ramp, stageNow } from './lib/stages.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const USERS = whole('USERS', 1_000);
const HELD_S = seconds('DURATION', 120);
const LEFT = Math.max(1, Math.round(USERS / 20));
/** Who is no longer needed ends the journey first, and that takes up to half a minute. */
const LEAVING_S = 45;
const AFTER_S = Math.max(30, HELD_S / 2);

/** @param {string} name @returns {import('./lib/stages.js').Stage[]} */
const wave = (name) => [
  { name, seconds: 10, users: USERS },
  { name, seconds: HELD_S, users: USERS },
  { name: `leaving ${name}`, seconds: 1, users: LEFT },
  { name: `leaving ${name}`, seconds: LEAVING_S, users: LEFT },
  { name: `after ${name}`, seconds: AFTER_S, users: LEFT },
];
const STAGES = [...wave('cold'), ...wave('warm')];

/** In half a minute of few users not everyone charges. */
const OFTEN = SEVEN.filter((name) => name !== 'charge');

export const options = {
  scenarios: {
    spike: { executor: 'ramping-vus', startVUs: 0, stages: ramp(STAGES), gracefulRampDown: LAST_JOURNEY, gracefulStop: LAST_JOURNEY },
    ...watching(lengthOf(STAGES)),
  },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals([...SEVEN, 'leave']),
    ...goalsWhile(SEVEN, 'stage:cold'),
    ...goalsWhile(OFTEN, 'stage:after cold', OWN_P95_MS),
    ...goalsWhile(SEVEN, 'stage:warm', OWN_P95_MS),
    ...goalsWhile(OFTEN, 'stage:after warm', OWN_P95_MS),
    ...resourceGoals,
    ...invariantGoals,
    ...paidGoals,
    ...usersGoal(USERS),
  },
};

export const setup = () => survey();

const tags = stageNow(STAGES);

/** @param {import('./lib/crowd.js').Known} known */
export default (known) => shop(known, { tags });

export const teardown = askInvariants;
export const handleSummary = verdict('spike', named([...SEVEN, 'leave']), { stages: STAGES.map(({ name }) => name) });
