// Whether a long run ended as it began: latency, memory and connections in the last five minutes against the first.

import { meanOf, merge, quantile } from './series.js';
import { shown } from './words.js';

/** Shorter runs have nothing to say about drift. */
const LONG_S = 1_200;
const PART_S = 300;
/** Users come, fill memory and caches: the first part begins when that is over. */
const SETTLED_S = 60;

/** The last part may be this much above the first; below these sizes it is noise. */
const MOST_P95 = 1.2;
const MOST_MEMORY = 1.15;
const NOISE = { ms: 2, megabytes: 16, connections: 1 };
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
  const goals = Object.entries(requests).flatMap(([called, tag]) => {
    const seconds = series.requests.get(tag);
    const [before, after] = [first, last].map(([from, to]) => seconds && quantile(merge(seconds, from, to), 0.95));
    return goal(`p95 of ${called}, ms`, before, after, MOST_P95, NOISE.ms);
  });
  const connections = series.metrics.get('connections_used');
  goals.push(...goal('connections in use', meanOf(connections, first[0], first[1]), meanOf(connections, last[0], last[1]), MOST_P95, NOISE.connections));
  const [before, after] = [first, last].map((part) => memoryOf(usage, 'service', long, part));
  goals.push(...goal('memory of service, MB', before, after, MOST_MEMORY, NOISE.megabytes));
  goals.push(...redisGoal([first, last].map((part) => memoryOf(usage, 'redis', long, part)), paidBetween(series, requests.pay, first, last)));
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
 * @returns {import('./judge.js').Goal[]}
 */
function redisGoal([before, after], payments) {
  if (before === null || after === null || payments === 0) {
    return [];
  }
  const bytes = (Math.max(0, after - before - NOISE.megabytes) * 1_048_576) / payments;
  return [
    {
      what: `no drift, memory of redis: grows by at most ${MOST_REDIS_BYTES} bytes for each payment, and ${NOISE.megabytes} MB`,
      measured: `${shown(before)} → ${shown(after)} MB, ${shown(payments)} payments`,
      ok: bytes <= MOST_REDIS_BYTES,
      request: '',
      stage: '',
      stat: 'drift',
    },
  ];
}

/**
 * @param {string} what
 * @param {number | null | undefined} before
 * @param {number | null | undefined} after
 * @param {number} most how many times as much
 * @param {number} noise
 * @returns {import('./judge.js').Goal[]}
 */
function goal(what, before, after, most, noise) {
  if (before === null || before === undefined || after === null || after === undefined) {
    return [];
  }
  return [
    {
      what: `no drift, ${what}: last five minutes at most ${most} × the first`,
      measured: `${shown(before)} → ${shown(after)}`,
      ok: after <= before * most || after - before <= noise,
      request: '',
      stage: '',
      stat: 'drift',
    },
  ];
}
