// The verdict's own test, on made-up runs: what is planted must be found, and nothing else. `k6 run k6/report/test.js`

import { check } from 'k6';
import { COMPARISONS } from './compare_test.js';
import { judge } from './judge.js';
import { markdown } from './markdown.js';
import { merge, quantile, readSeries } from './series.js';
import { readUsage } from './usage.js';

export const options = { thresholds: { checks: ['rate==1'] } };

const ENV = { cores: 2, k6CoreCount: 1, serviceCoreCount: 1, memoryMb: 8_000 };

/**
 * A run in which everything is well, but for what is given.
 * @param {Record<string, import('./judge.js').Metric>} metrics
 * @param {Partial<import('./judge.js').Run>} [more]
 * @returns {import('./judge.js').Run}
 */
const run = (metrics, more = {}) => ({
  test: 'soak',
  requests: { pay: 'pay' },
  judgeMachine: true,
  data: {
    metrics: { ...latency(12), ...metrics },
    root_group: { checks: [], groups: [] },
    state: { testRunDurationMs: 30_000 },
  },
  env: ENV,
  ...more,
});

/** @param {number} p95 @returns {Record<string, import('./judge.js').Metric>} */
const latency = (p95) => ({
  'http_req_duration{name:pay}': {
    type: 'trend',
    values: { avg: p95 / 2, 'p(95)': p95 },
    thresholds: { 'p(95)<500': { ok: p95 < 500 } },
  },
  'http_reqs{name:pay}': { type: 'counter', values: { count: 100, rate: 10 }, thresholds: { 'count>0': { ok: true } } },
});

/** Cores used for half a minute by k6, the service and others. @param {number} k6 @param {number} service @param {number} others */
const samples = (k6, service, others) =>
  Array.from({ length: 31 }, (_, s) => `${1_000 + s} ${k6 * s} ${service * s} 0 0 ${others * s} 100 20`).join('\n');

/** @param {string} text */
const usage = (text) => readUsage(text, ENV, 30);

/** A second in which one of these was noted. @param {number} s @param {string} metric @param {number} value */
const noted = (s, metric, value) => `m\t${5_000 + s}\t${metric}\t${value}`;

/**
 * Half an hour with one payment a second.
 * @param {(second: number) => number} ms
 * @param {(second: number) => string[]} [more] lines of a second
 */
const halfAnHour = (ms, more = () => []) =>
  readSeries(
    Array.from({ length: 1_800 }, (_, s) => {
      const bin = Math.floor(Math.log(ms(s) / 0.1) / Math.log(1.1));
      return [`r\t${5_000 + s}\tpay\t1\t0\t${ms(s)}\t${ms(s)}\t${bin}:1`, ...more(s)].join('\n');
    }).join('\n'),
  );

/** A generator out of breath. */
const BREATHLESS = { usage: usage(samples(0.9, 0.3, 0)) };

/** Steps of a test that grows: journeys to begin, those that ended paid, what broke. @param {number[][]} all @returns {Record<string, import('./judge.js').Metric>} */
const steps = (all) =>
  Object.fromEntries(
    all.flatMap((step, i) => ['rate', 'paid', 'broken'].map((what, at) => [`step_${what}{step:${i + 1}}`, { type: 'gauge', values: { value: step[at] } }])),
  );

/** The same while the service and Redis grow by so many megabytes. @param {number} service @param {number} redis */
const growing = (service, redis) => ({
  series: halfAnHour(() => 10),
  usage: readUsage(
    Array.from({ length: 1_801 }, (_, s) => {
      const grown = s / 1_800;
      return `${1_000 + s} ${0.3 * s} ${0.3 * s} 0 0 0 ${100 + service * grown} ${20 + redis * grown}`;
    }).join('\n'),
    ENV,
    1_800,
  ),
});

const TWICE = { type: 'rate', values: { rate: 12 / 13 }, thresholds: { 'rate==1': { ok: false } } };

/** @type {Record<string, () => boolean>} */
const CASES = {
  'a run in which all is well passes': () => judge(run({})).verdict === 'PASS',
  'a slow request fails it, and is named': () => {
    const slow = run(latency(2_000));
    const judged = judge(slow);
    return judged.verdict === 'FAIL' && !judged.rows[0].ok && markdown(judged, slow).includes('**missed**: p95 of pay <500 ms, measured 2000');
  },
  'a mean that is told at the end fails it, and is named': () => {
    const slow = run({ 'mean_ms{name:pay}': { type: 'gauge', values: { value: 612 }, thresholds: { 'value<500': { ok: false } } } });
    const judged = judge(slow);
    return judged.verdict === 'FAIL' && !judged.rows[0].ok && markdown(judged, slow).includes('**missed**: mean of pay <500 ms, measured 612');
  },
  'a slow stage fails it although the whole is fast': () => {
    const stage = { type: 'trend', values: { avg: 300, 'p(95)': 700 }, thresholds: { 'p(95)<500': { ok: false } } };
    const judged = judge(run({ 'http_req_duration{name:pay,stage:to 1000}': stage }));
    return judged.verdict === 'FAIL' && judged.rows[0].ok && judged.stages[0].name === 'to 1000';
  },
  'a seat sold twice fails it, by the invariants': () => {
    const judged = judge(run({ invariants: TWICE }));
    return judged.verdict === 'FAIL' && judged.goals.some((goal) => !goal.ok && goal.what.startsWith('invariants'));
  },
  'a second winner of a seat fails it': () => {
    const winners = { type: 'counter', values: { count: 2, rate: 1 }, thresholds: { 'count==1': { ok: false } } };
    return judge(run({ winners })).verdict === 'FAIL';
  },
  'a busy service fails it': () => judge(run({}, { usage: usage(samples(0.1, 0.9, 0)) })).verdict === 'FAIL',
  'a generator out of breath leaves it open': () => judge(run({}, { usage: usage(samples(0.9, 0.3, 0)) })).verdict === 'INCONCLUSIVE',
  'and so do other programs': () => judge(run({}, { usage: usage(samples(0.1, 0.3, 0.5)) })).verdict === 'INCONCLUSIVE',
  'and so does one that is for ten seconds of a short run': () => {
    const text = Array.from({ length: 31 }, (_, s) => `${1_000 + s} ${0.5 * s + 0.45 * Math.max(0, Math.min(11, s - 10))} ${0.3 * s} 0 0 0 100 20`);
    return judge(run({}, { usage: usage(text.join('\n')) })).verdict === 'INCONCLUSIVE';
  },
  'one that collects garbage for six seconds is believed': () => {
    const text = Array.from({ length: 61 }, (_, s) => `${1_000 + s} ${0.5 * s + 0.5 * Math.max(0, Math.min(6, s - 30))} ${0.3 * s} 0 0 0 100 20`);
    const told = readUsage(text.join('\n'), ENV, 60);
    return told !== undefined && told.cores.k6.busiest > 0.75 && judge(run({}, { usage: told })).verdict === 'PASS';
  },
  'a machine with room to spare passes': () => judge(run({}, { usage: usage(samples(0.5, 0.5, 0.01)) })).verdict === 'PASS',
  'a drift fails a soak': () => judge(run({}, { series: halfAnHour((s) => (s < 1_200 ? 10 : 30)) })).verdict === 'FAIL',
  'what drifts before it is steady does not count': () =>
    judge(run({}, { series: halfAnHour((s) => (s < 120 ? 3 : 10)), steadyFromS: 120 })).verdict === 'PASS' &&
    judge(run({}, { series: halfAnHour((s) => (s < 360 ? 3 : 10)) })).verdict === 'FAIL',
  'a service that grows fails a soak': () => !judge(run({}, growing(60, 0))).goals.every(({ ok }) => ok),
  'a Redis that grows by what is paid does not': () => judge(run({}, growing(0, 17))).goals.every(({ ok }) => ok),
  'and by more does': () => !judge(run({}, growing(0, 30))).goals.every(({ ok }) => ok),
  'a steady soak passes': () => judge(run({}, { series: halfAnHour(() => 10) })).verdict === 'PASS',
  'one that was not seen to its end does not': () => {
    const half = halfAnHour(() => 10);
    [...(half.requests.get('pay') ?? new Map()).keys()].filter((at) => at > 900).forEach((at) => half.requests.get('pay')?.delete(at));
    return judge(run({}, { series: half })).verdict === 'FAIL';
  },
  'one whose connections become more does not': () => {
    const leaks = (/** @type {number} */ s) => [noted(s, 'open_files', 100 + s / 10)];
    return judge(run({}, { series: halfAnHour(() => 10, leaks) })).goals.some(({ ok, what }) => !ok && what.includes('open files'));
  },
  'one that was kept waiting, and has more connections for minutes, does': () => {
    const burst = (/** @type {number} */ s) => [noted(s, 'open_files', s > 1_500 && s < 1_640 ? 800 : 60)];
    return judge(run({}, { series: halfAnHour(() => 10, burst) })).verdict === 'PASS';
  },
  'connections that are all in use for two minutes fail it': () => {
    const used = (/** @type {number} */ s) => [noted(s, 'connections_share', s > 600 && s < 720 ? 100 : 9)];
    return judge(run({}, { test: 'staged', series: halfAnHour(() => 10, used) })).verdict === 'FAIL';
  },
  'and for some seconds do not': () => {
    const used = (/** @type {number} */ s) => [noted(s, 'connections_share', s > 600 && s < 620 ? 100 : 9)];
    return judge(run({}, { test: 'staged', series: halfAnHour(() => 10, used) })).verdict === 'PASS';
  },
  'a time in which nobody looked fails it': () => {
    const used = (/** @type {number} */ s) => (s > 600 && s < 660 ? [] : [noted(s, 'connections_share', 9)]);
    return judge(run({}, { test: 'staged', series: halfAnHour(() => 10, used) })).verdict === 'FAIL';
  },
  'a slow request is no fault of the service where k6 is out of breath': () => judge(run(latency(2_000), BREATHLESS)).verdict === 'INCONCLUSIVE',
  'a seat sold twice is one all the same': () => judge(run({ invariants: TWICE }, BREATHLESS)).verdict === 'FAIL',
  'a test that did not come to its end fails': () => {
    const completed = { type: 'counter', values: { count: 0, rate: 0 }, thresholds: { 'count==1': { ok: false } } };
    return judge(run({ completed }, BREATHLESS)).verdict === 'FAIL';
  },
  'steps are shown with what broke them': () => {
    const grown = run(steps([[20, 19.5, 0], [22, 12, 2]]));
    const judged = judge(grown);
    return judged.steps.length === 2 && judged.steps[0].broken === '' && markdown(judged, grown).includes('| 22 | 12 | p95 of a request');
  },
  'a breaking point that is the generator\'s leaves it open': () =>
    judge(run({ broken_by_generator: { type: 'counter', values: { count: 1 } } })).verdict === 'INCONCLUSIVE',
  'bins of many seconds tell the quantile of all': () => {
    const half = quantile(merge(halfAnHour((s) => (s % 10 === 0 ? 100 : 10)).requests.get('pay') ?? new Map(), 0, 1_000), 0.5);
    return half !== null && Math.abs(half - 10) < 1.5;
  },
  'and tell it between their edges': () => {
    const bins = new Map([[40, 50], [44, 50]]);
    const told = [0.25, 0.5, 0.75, 1].map((q) => quantile({ count: 100, wrong: 0, sum: 0, max: 7, bins }, q) ?? 0);
    return [0.1 * 1.1 ** 40.5, 0.1 * 1.1 ** 41, 0.1 * 1.1 ** 44.5, 7].every((value, at) => Math.abs(told[at] - value) < 1e-9);
  },
};

export default function () {
  check(null, CASES);
}

/** What is advised when k6 and the service use so much of their cores. @param {number} k6 @param {number} service */
const advised = (k6, service) => judge(run({}, { usage: usage(samples(k6, service, 0)) })).bottleneck.advice.join(' ');

Object.assign(CASES, {
  'a busy generator beside an idle service is told to ask for more': () =>
    advised(0.9, 0.3).includes('the service can do more') && !advised(0.9, 0.3).includes('cores for the service'),
  'a service that is busier needs cores, and cannot do more': () =>
    advised(0.8, 0.99).includes('more cores for the service') && !advised(0.8, 0.99).includes('k6'),
  'a generator that is busier than a busy service needs cores first': () =>
    advised(0.89, 0.72).includes('more cores or another machine first') && !/can do more|cores for the service/.test(advised(0.89, 0.72)),
  'nobody knows what a service can do that was not measured': () => advised(0.9, 0).includes('first') && !advised(0.9, 0).includes('can do more'),
  'requests that queue for a busy generator are no reason for more cores': () => {
    const routes = { 'POST /reservations/pay': { count: 100, seconds: 0.4 } };
    const layers = { routes, scripts: {}, poolWait: { count: 0, seconds: 0 }, batches: { count: 0, seconds: 0 }, batched: 0 };
    const queued = (/** @type {number} */ k6) => judge(run(latency(100), { layers, usage: usage(samples(k6, 0.3, 0)) })).bottleneck;
    return queued(0.3).advice[0].startsWith('Requests queue for CPU') && queued(0.9).found.length === 2 && queued(0.9).advice.length === 1;
  },
});

Object.assign(CASES, COMPARISONS);
