// Whether a long run ended as it began: latency, memory and connections in the last five minutes against the first.

import { leastOf, meanOf, merge, quantile } from './series.js';
import { shown } from './words.js';

/** Shorter runs have nothing to say about drift. */
const LONG_S = 1_200;
const PART_S = 300;
/** Users come, fill memory and caches: the first part begins when that is over. */
const SETTLED_S = 60;

/** The last part may be this much above the first; below these sizes it is noise. */
const MOST_P95 = 1.2;
const MOST_MEMORY = 1.15;
const NOISE = { ms: 2, megabytes: 16 };
/**
 * What a service that gives something back too seldom has ever more of. Clients open connections when they are kept waiting,
 * and keep them for minutes: of what follows them the lowest counts, which a leak raises too.
 * @type {Record<string, {what: string, of: typeof meanOf, noise: number}>}
 */
const LEAKS = {
  connections_used: { what: 'connections to Postgres in use', of: meanOf, noise: 1 },
  postgres_backends: { what: 'connections that Postgres has', of: leastOf, noise: 1 },
  redis_clients: { what: 'connections that Redis has', of: leastOf, noise: 1 },
  open_files: { what: 'open files and connections of service, at least', of: leastOf, noise: 50 },
};
/** Redis keeps each reservation for a day, so it grows with what is paid; no more than this for each. */
const MOST_REDIS_BYTES = 1_024;

/**
 * @param {import('./judge.js').Run} run
 * @returns {import('./judge.js').Goal[]}
 */
export function drift({ test, requests, series, usage, steadyFromS = 0 }) {
  const long = series ? series.end - series.start : 0;
  if (test !== 'soak' || !series || long < LONG_S) {
    return [];
  }
  const settled = steadyFromS + SETTLED_S;
  const first = [settled, settled + PART_S];
  // The users' last journeys end after the load does.
  const last = [long - PART_S - SETTLED_S, long - SETTLED_S];
  const goals = Object.entries(requests).map(([called, tag]) => {
    const seconds = series.requests.get(tag) ?? new Map();
    const [before, after] = [first, last].map(([from, to]) => quantile(merge(seconds, from, to), 0.95));
    return goal(`p95 of ${called}, ms`, before, after, MOST_P95, NOISE.ms);
  });
  const looked = Object.entries(LEAKS).filter(([metric]) => series.metrics.has(metric));
  goals.push(
    ...looked.map(([metric, { what, of, noise }]) => {
      const [before, after] = [first, last].map(([from, to]) => of(series.metrics.get(metric), from, to));
      return goal(what, before, after, MOST_P95, noise);
    }),
  );
  if (usage?.hasService) {
    const [before, after] = [first, last].map((part) => memoryOf(usage, 'service', long, part));
    goals.push(goal('memory of service, MB', before, after, MOST_MEMORY, NOISE.megabytes));
    goals.push(redisGoal([first, last].map((part) => memoryOf(usage, 'redis', long, part)), paidBetween(series, requests.pay, first, last)));
  }
  return goals;
}

/**
 * The mean memory of a process in a part of the run, MB.
 * @param {import('./usage.js').Usage | undefined} usage
 * @param {'service' | 'redis'} name
 * @param {number} long
 * @param {number[]} part
 */
function memoryOf(usage, name, long, [from, to]) {
  const samples = usage?.samples ?? [];
  const start = (samples[samples.length - 1]?.at ?? 0) - long;
  const part = samples.filter(({ at }) => at - start >= from && at - start < to).map(({ memory }) => memory[name]);
  return part.length > 0 ? part.reduce((sum, value) => sum + value, 0) / part.length : null;
}

/**
 * Payments from the middle of one part to the middle of the other.
 * @param {import('./series.js').Series} series
 * @param {string} tag
 * @param {number[]} first
 * @param {number[]} last
 */
function paidBetween(series, tag, first, last) {
  const [from, to] = [first, last].map(([begin, end]) => Math.round((begin + end) / 2));
  return merge(series.requests.get(tag) ?? new Map(), from, to).count;
}

/**
 * @param {(number | null)[]} megabytes before and after
 * @param {number} payments between the two
 * @returns {import('./judge.js').Goal}
 */
function redisGoal([before, after], payments) {
  const grown = before === null || after === null ? Infinity : Math.max(0, after - before - NOISE.megabytes);
  return {
    what: `no drift, memory of redis: grows by at most ${MOST_REDIS_BYTES} bytes for each payment, and ${NOISE.megabytes} MB`,
    measured: `${shown(before)} → ${shown(after)} MB, ${shown(payments)} payments`,
    ok: payments > 0 && grown * 1_048_576 <= MOST_REDIS_BYTES * payments,
    request: '',
    stage: '',
    stat: 'drift',
  };
}

/**
 * What is not known of one of the parts was not shown to be steady.
 * @param {string} what
 * @param {number | null} before
 * @param {number | null} after
 * @param {number} most how many times as much
 * @param {number} noise
 * @returns {import('./judge.js').Goal}
 */
function goal(what, before, after, most, noise) {
  return {
    what: `no drift, ${what}: last five minutes at most ${most} × the first`,
    measured: `${shown(before)} → ${shown(after)}`,
    ok: before !== null && after !== null && (after <= before * most || after - before <= noise),
    request: '',
    stage: '',
    stat: 'drift',
  };
}
