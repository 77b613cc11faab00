// Half an hour or more at a steady rate of journeys, well below the breaking point that `stress` found (RATE: journeys a
// second, 60 % of it). Nothing may drift: the verdict compares the last five minutes with the first.
//
// The rate rises for some minutes before: people log in for the first time, and a password takes as long to check as two
// journeys.

import { Counter } from 'k6/metrics';
import { askInvariants, invariantGoals } from './lib/admin.js';
import { listenTo } from './lib/api.js';
import { arrivalGoals, newArrivals, TOGETHER } from './lib/arrivals.js';
import { seconds, USERS, whole } from './lib/config.js';
import { journey, survey } from './lib/crowd.js';
import { goalsAtTheEnd, newFigures } from './lib/figures.js';
import { completed, completedGoal, SEVEN, STATS } from './lib/goals.js';
import { paidGoals } from './lib/journeys.js';
import { named, verdict } from './lib/summary.js';
import { resourceGoals, watching } from './lib/watch.js';

export { watch } from './lib/watch.js';

const RATE = whole('RATE', 40);
const DURATION = seconds('DURATION', 1_800);
const RISE_S = Math.min(300, DURATION / 4);

/** Journeys that should have begun, when everybody was still on the last one. */
const turnedAway = new Counter('turned_away');
/** Looks at what is due that came half a second too late: the generator was out of breath. */
const late = new Counter('late');

export const options = {
  scenarios: {
    soak: { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: `${RISE_S + DURATION + 120}s` },
    ...watching(RISE_S + DURATION),
  },
  ...TOGETHER,
  summaryTrendStats: STATS,
  thresholds: {
    ...goalsAtTheEnd([...SEVEN, 'leave']),
    ...resourceGoals,
    ...invariantGoals,
    ...paidGoals,
    turned_away: ['count==0'],
    late: ['count==0'],
    ...arrivalGoals,
    ...completedGoal,
  },
};

export const setup = () => survey(RATE * (RISE_S / 2 + DURATION));

/** @param {import('./lib/crowd.js').Known} known */
export default async function (known) {
  turnedAway.add(0);
  late.add(0);
  const figures = newFigures();
  listenTo(figures.note);
  const arrivals = newArrivals(USERS.count - 1, (n, turn) => journey(n, turn, known), {
    turnedAway: () => turnedAway.add(1),
    looked: (tooLate) => tooLate && late.add(1),
  });
  await arrivals.keep(0, RATE, RISE_S);
  await arrivals.keep(RATE, RATE, DURATION);
  await arrivals.ended();
  figures.tell();
  completed.add(1);
}

export const teardown = askInvariants;
export const handleSummary = verdict('soak', named([...SEVEN, 'leave']), { steadyFromS: RISE_S });
