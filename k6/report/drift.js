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
  for (const name of /** @type {const} */ (['service', 'redis'])) {
    const memory = memoryOf(usage, name, long);
    goals.push(...goal(`memory of ${name}, MB`, memory(first), memory(last), name === 'redis' ? Infinity : MOST_MEMORY, NOISE.megabytes));
  }
  return goals;
}

/**
 * @param {import('./usage.js').Usage | undefined} usage
 * @param {'service' | 'redis'} name
 * @param {number} long
 */
function memoryOf(usage, name, long) {
  return (/** @type {number[]} */ [from, to]) => {
    const samples = usage?.samples ?? [];
    const start = (samples[samples.length - 1]?.at ?? 0) - long;
    const part = samples.filter(({ at }) => at - start >= from && at - start < to).map(({ memory }) => memory[name]);
    return part.length > 0 ? part.reduce((sum, value) => sum + value, 0) / part.length : null;
  };
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
