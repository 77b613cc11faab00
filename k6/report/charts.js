// What the charts of a report show: figures over time, as points that a page can draw.

import { meanOf, merge, quantile } from './series.js';

/** A chart has about so many points: more is noise on a screen. */
const POINTS = 120;

/**
 * `values` one for each point, null where there is nothing.
 * @typedef {{name: string, values: (number | null)[]}} Line
 * @typedef {{title: string, unit: string, at: number[], lines: Line[], goal?: number, note?: string}} Chart
 */

/**
 * @param {import('./judge.js').Run} run
 * @returns {Chart[]}
 */
export function charts(run) {
  const { series, requests } = run;
  if (!series || !Number.isFinite(series.start)) {
    return [];
  }
  const long = series.end - series.start + 1;
  const step = Math.max(1, Math.ceil(long / POINTS));
  const at = Array.from({ length: Math.ceil(long / step) }, (_, i) => i * step);
  const each = (/** @type {(from: number, to: number) => number | null} */ value) => at.map((from) => value(from, from + step));
  const byRequest = (/** @type {(bucket: import('./series.js').Bucket) => number | null} */ value) =>
    Object.entries(requests).map(([name, tag]) => {
      const seconds = series.requests.get(tag) ?? new Map();
      return { name, values: each((from, to) => value(merge(seconds, from, to))) };
    });
  const metric = (/** @type {string} */ name, /** @type {string} */ called) => ({
    name: called,
    values: each((from, to) => meanOf(series.metrics.get(name), from, to)),
  });
  // Where all users live in one VU, k6 does not know how many they are.
  const users = series.metrics.has('users') ? metric('users', 'users') : metric('vus', 'users (VUs of k6)');
  /** @type {Chart[]} */
  const all = [
    { title: 'Latency, p95 by request', unit: 'ms', at, lines: byRequest((bucket) => quantile(bucket, 0.95)), goal: 500 },
    { title: 'Latency, mean by request', unit: 'ms', at, lines: byRequest(({ sum, count }) => (count > 0 ? sum / count : null)), goal: 500 },
    { title: 'Requests', unit: 'per second', at, lines: byRequest(({ count }) => count / step) },
    { title: 'Errors', unit: 'per second', at, lines: byRequest(({ wrong }) => wrong / step) },
    { title: 'Users and visits', unit: '', at, lines: [users, metric('visits_active', 'visits')] },
    { title: 'Line', unit: 'waiting', at, lines: [metric('queue_waiting', 'waiting')] },
    ...machineCharts(run, at, step),
    { title: 'Connections to Postgres in use', unit: '', at, lines: [metric('connections_used', 'connections')] },
    { title: 'Transactions of Postgres', unit: 'per second', at, lines: [metric('postgres_transactions', 'transactions')] },
  ];
  return all.map(withoutEmptyLines).filter(({ lines }) => lines.length > 0);
}

/**
 * @param {import('./judge.js').Run} run
 * @param {number[]} at
 * @param {number} step
 * @returns {Chart[]}
 */
function machineCharts({ usage, series, env }, at, step) {
  if (!usage || !series) {
    return [];
  }
  const { samples } = usage;
  const begin = series.start;
  const between = (/** @type {number} */ from) => samples.filter((s) => s.at - begin >= from - 1 && s.at - begin < from + step + 1);
  const cores = (/** @type {string} */ name) =>
    at.map((from) => {
      const part = between(from);
      const [first, last] = [part[0], part[part.length - 1]];
      return part.length > 1 ? Math.max(0, (last.cpu[name] - first.cpu[name]) / (last.at - first.at)) : null;
    });
  const memory = (/** @type {'service' | 'redis'} */ name) =>
    at.map((from) => {
      const part = between(from);
      return part.length > 0 ? part[part.length - 1].memory[name] : null;
    });
  const note = `k6 has core ${env?.k6Cores}, the service and its stores have core ${env?.serviceCores}.`;
  return [
    { title: 'CPU', unit: 'cores', at, lines: Object.keys(usage.cores).map((name) => ({ name, values: cores(name) })), note },
    { title: 'Memory', unit: 'MB', at, lines: [{ name: 'service', values: memory('service') }, { name: 'redis', values: memory('redis') }] },
  ];
}

/** @param {Chart} chart */
const withoutEmptyLines = (chart) => ({
  ...chart,
  lines: chart.lines.filter(({ values }) => values.some((value) => value !== null && (value !== 0 || chart.title === 'Errors'))),
});
