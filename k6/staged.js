// The plan's stages: up to 100 users, to 500, to 1,000, back to 500, to none. The goals hold in each stage, and in the
// highest also the one of this house.

import { askInvariants, invariantGoals } from './lib/admin.js';
import { seconds, whole } from './lib/config.js';
import { LAST_JOURNEY, shop, survey, usersGoal } from './lib/crowd.js';
import { goals, goalsWhile, OWN_P95_MS, SEVEN, STATS } from './lib/goals.js';
import { paidGoals } from './lib/journeys.js';
import { lengthOf, ramp, scaled, stageNow } from './lib/stages.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const PLAN = [
  { name: 'to 100', seconds: 120, users: 100 },
  { name: 'to 500', seconds: 300, users: 500 },
  { name: 'to 1000', seconds: 120, users: 1_000 },
  { name: 'at 500', seconds: 300, users: 500 },
  { name: 'to 0', seconds: 120, users: 0 },
];
const USERS = whole('USERS', 1_000);
const STAGES = scaled(PLAN, seconds('DURATION', lengthOf(PLAN)), USERS);
const TIGHT = 'to 1000';

export const options = {
  scenarios: {
    staged: { executor: 'ramping-vus', startVUs: 0, stages: ramp(STAGES), gracefulRampDown: LAST_JOURNEY, gracefulStop: LAST_JOURNEY },
    ...watching(lengthOf(STAGES)),
  },
  summaryTrendStats: STATS,
  thresholds: {
    ...goals([...SEVEN, 'leave']),
    ...Object.assign({}, ...STAGES.map(({ name }) => goalsWhile(SEVEN, `stage:${name}`, name === TIGHT ? OWN_P95_MS : 500))),
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
export const handleSummary = verdict('staged', named([...SEVEN, 'leave']), { stages: STAGES.map(({ name }) => name) });
