// What a run showed: every goal with what was measured, and how sure that is. Only computes: it is told all that k6, the
// sampler and the service noted, and reads nothing itself.

import { bottleneck } from './bottleneck.js';
import { drift } from './drift.js';
import { busiest, longestGap } from './series.js';
import { BROKEN_BY, shown, percent } from './words.js';

/**
 * @typedef {{type: string, values: Record<string, number>, thresholds?: Record<string, {ok: boolean}>}} Metric
 * @typedef {{name: string, fails: number, passes: number}} Check
 * @typedef {{checks: Check[], groups: Group[]}} Group
 * @typedef {{metrics: Record<string, Metric>, root_group: Group, state: {testRunDurationMs: number}}} Data as k6 tells it
 */

/**
 * All that is known of a run. Without a runner around k6 there is only the first part.
 * @typedef {object} Run
 * @property {string} test
 * @property {Record<string, string>} requests how they are called → their `name` tag
 * @property {Data} data
 * @property {string[]} [stages] in the order to show them
 * @property {boolean} [judgeMachine] whether CPU and memory have goals
 * @property {number} [steadyFromS] from this second on nothing may drift
 * @property {import('./series.js').Series} [series] second by second
 * @property {import('./usage.js').Usage} [usage] what the processes used
 * @property {Record<string, any>} [env] the machine, versions, settings
 * @property {import('./layers.js').Layers} [layers] where the service spent its time
 */

/**
 * One goal. `request` and `stage` are empty where it is of the whole.
 * @typedef {{what: string, measured: string, ok: boolean, request: string, stage: string, stat: string}} Goal
 */

/**
 * @typedef {{called: string, count?: number, rate?: number, mean?: number, p95?: number, p99?: number, errors?: number, ok: boolean}} Row
 * @typedef {{name: string, rows: Record<string, {mean?: number, p95?: number, ok: boolean}>, errors?: number}} StageFigures
 */

/** @typedef {{rate: number, paid: number, broken: string}} Step journeys a second that were to begin, and ended paid */

/**
 * @typedef {object} Judgement
 * @property {string} test
 * @property {'PASS' | 'FAIL' | 'INCONCLUSIVE'} verdict
 * @property {string[]} doubts why it is inconclusive
 * @property {Goal[]} goals
 * @property {Check[]} wrong checks that did not hold each time
 * @property {Row[]} rows
 * @property {StageFigures[]} stages
 * @property {Step[]} steps of a test that grows until something breaks
 * @property {ReturnType<typeof bottleneck>} bottleneck
 * @property {number} seconds
 * @property {number} [breakingPoint] journeys a second, where that was looked for
 */

/** The generator may use this much of its cores, other programs this much of the machine; in per cent. */
const GENERATOR_LIMIT = 80;
const OTHERS_LIMIT = 15;
/** What a resource may be used, in per cent. */
const RESOURCE_LIMIT = 80;
/** No longer than this may nobody have looked at the service, and this long is what counts as busy; in seconds. */
const UNSEEN_S = 10;
const MINUTE_S = 60;

/**
 * Goals that a generator out of breath, or other programs, can make miss. Whatever else was missed is the service's own: a
 * seat that was sold twice was sold twice, however busy k6 was.
 */
const OF_TIME = new Set([
  'http_req_duration', 'mean_ms', 'slow_percent', 'waited', 'drift', 'resources', 'cpu_share', 'connections_share', 'looks',
  'late', 'turned_away', 'users', 'paid', 'eta_kept', 'eta_error_share', 'kept_beyond', 'breaking_point_per_second',
]);

/**
 * @param {Run} run
 * @returns {Judgement}
 */
export function judge(run) {
  const rows = Object.entries(run.requests).map(([called, tag]) => rowOf(called, tag, run.data));
  const goals = [...thresholds(run), ...resources(run), ...drift(run)];
  const doubts = doubtsAbout(run);
  const missed = goals.filter((goal) => !goal.ok);
  const failed = doubts.length > 0 ? missed.some(({ stat }) => !OF_TIME.has(stat)) : missed.length > 0;
  return {
    test: run.test,
    verdict: failed ? 'FAIL' : doubts.length > 0 ? 'INCONCLUSIVE' : 'PASS',
    doubts,
    goals,
    wrong: checksOf(run.data.root_group).filter((check) => check.fails > 0),
    rows,
    stages: stagesOf(run),
    steps: stepsOf(run.data),
    bottleneck: bottleneck(run, rows),
    seconds: run.data.state.testRunDurationMs / 1_000,
    breakingPoint: run.data.metrics.breaking_point_per_second?.values.value,
  };
}

/**
 * @param {string} called
 * @param {string} tag
 * @param {Data} data
 * @returns {Row}
 */
function rowOf(called, tag, data) {
  const of = (/** @type {string} */ metric) => data.metrics[`${metric}{name:${tag}}`];
  const duration = of('http_req_duration')?.values ?? {};
  const sent = of('http_reqs')?.values ?? {};
  return {
    called,
    count: sent.count,
    rate: sent.rate,
    mean: duration.avg,
    p95: duration['p(95)'],
    p99: duration['p(99)'],
    errors: (of('errors') ?? of('http_req_failed'))?.values.rate,
    ok: ['http_req_duration', 'mean_ms', 'slow_percent', 'http_reqs', 'errors'].every((metric) => holds(of(metric))),
  };
}

/**
 * The steps of a test that grows, in their order.
 * @param {Data} data
 * @returns {Step[]}
 */
function stepsOf({ metrics }) {
  const steps = [];
  for (let n = 1; metrics[`step_rate{step:${n}}`]?.values.value > 0; n += 1) {
    const [rate, paid, by] = ['rate', 'paid', 'broken'].map((what) => metrics[`step_${what}{step:${n}}`].values.value);
    steps.push({ rate, paid, broken: BROKEN_BY[by] ?? '' });
  }
  return steps;
}

/** @param {Metric | undefined} metric */
const holds = (metric) => Object.values(metric?.thresholds ?? {}).every((threshold) => threshold.ok);

/**
 * Every threshold of k6.
 * @param {Run} run
 * @returns {Goal[]}
 */
function thresholds({ data, requests }) {
  const called = Object.fromEntries(Object.entries(requests).map(([name, tag]) => [tag, name]));
  const all = Object.entries(data.metrics).flatMap(([key, metric]) =>
    Object.entries(metric.thresholds ?? {}).map(([goal, { ok }]) => {
      const { name, tags } = parts(key);
      const request = tags.name === undefined ? '' : (called[tags.name] ?? tags.name);
      const stage = tags.stage ?? '';
      const others = Object.entries(tags).filter(([tag]) => tag !== 'name' && tag !== 'stage');
      const of = [
        request && ` of ${request}`,
        ...others.map(([tag, value]) => ` (${tag} ${value})`),
        stage && `, stage “${stage}”`,
      ];
      return { what: inWords(name, of.join(''), goal), measured: measured(metric, goal), ok, request, stage, stat: name };
    }),
  );
  return all.sort((a, b) => (a.what < b.what ? -1 : 1));
}

/** What the figures of requests are called. @type {Record<string, string>} */
const FIGURES = { avg: 'mean', med: 'median', max: 'longest', 'p(95)': 'p95', 'p(99)': 'p99' };

/**
 * @param {string} metric
 * @param {string} of
 * @param {string} goal
 */
function inWords(metric, of, goal) {
  const [, stat, limit] = /^([^<>=]+)(.*)$/.exec(goal.replace(/ /g, '')) ?? [];
  if (metric === 'http_req_duration') return `${FIGURES[stat] ?? stat}${of} ${limit} ms`;
  if (metric === 'mean_ms') return `mean${of} ${limit} ms`;
  if (metric === 'slow_percent') return `p95${of} <500 ms: answers that took longer, in per cent, ${limit}`;
  if (metric === 'errors') return `errors${of} ${limit.replace(/[0-9.]+/, (rate) => `${shown(Number(rate) * 100)} %`)}`;
  if (metric === 'http_reqs') return `sent${of} ${limit}`;
  return `${metric}${of}: ${goal}`;
}

/**
 * The name and the tags of `http_reqs{name:token,stage:to 100}`. An address as a name may have commas and colons in it.
 * @param {string} key
 */
export function parts(key) {
  const [, name, inner = ''] = /^([^{]+)(?:\{(.*)\})?$/.exec(key) ?? ['', key];
  /** @type {Record<string, string>} */
  const tags = {};
  for (const part of inner.split(/,(?=[a-z]+:)/).filter(Boolean)) {
    tags[part.slice(0, part.indexOf(':'))] = part.slice(part.indexOf(':') + 1);
  }
  return { name, tags };
}

/**
 * What a goal such as `p(95)<500` compares.
 * @param {Metric} metric
 * @param {string} goal
 */
function measured(metric, goal) {
  const value = metric.values[goal.split(/[<>=!]/)[0].trim()];
  return metric.type === 'rate' ? percent(value) : shown(value);
}

/**
 * What only the machine tells: CPU of all processes of the service in its busiest minute, and memory. And connections, in
 * theirs: the mean of the run, which is k6's goal, would hide minutes in which there was none.
 * @param {Run} run
 * @returns {Goal[]}
 */
function resources({ usage, series, judgeMachine }) {
  if (!judgeMachine) {
    return [];
  }
  const goal = (/** @type {string} */ what, /** @type {boolean} */ ok, /** @type {string} */ text) => ({
    what,
    measured: text,
    ok,
    request: '',
    stage: '',
    stat: 'resources',
  });
  const below = (/** @type {string} */ what, /** @type {number} */ share) =>
    goal(`${what}: below ${RESOURCE_LIMIT} %`, share < RESOURCE_LIMIT, `${shown(share)} %`);
  const goals = [];
  if (usage?.hasService) {
    goals.push(below('CPU of service, Redis and Postgres in their cores, in the busiest minute', usage.cpuShare));
    if (usage.memoryShare !== null) {
      goals.push(below('memory of the machine for service and Redis, at most', usage.memoryShare));
    }
  }
  const connections = series?.metrics.get('connections_share');
  if (connections) {
    const gap = longestGap(connections);
    goals.push(below('connections to Postgres, in the busiest minute', busiest(connections, MINUTE_S)));
    goals.push(goal(`looks at the service: never ${UNSEEN_S} s without one`, gap < UNSEEN_S, `${shown(gap)} s`));
  }
  return goals;
}

/**
 * @param {Run} run
 * @returns {string[]}
 */
function doubtsAbout({ usage, data }) {
  const doubts = [];
  if (data.metrics.broken_by_generator?.values.count > 0) {
    doubts.push('at the breaking point it was the generator that came too late');
  }
  if (usage && usage.generatorShare > GENERATOR_LIMIT) {
    doubts.push(`k6 used ${shown(usage.generatorShare)} % of its cores when it was busiest: its own slowness is in the figures`);
  }
  if (usage && usage.othersShare > OTHERS_LIMIT) {
    doubts.push(`other programs used ${shown(usage.othersShare)} % of the machine`);
  }
  return doubts;
}

/**
 * The figures of each stage, as far as there are goals for it.
 * @param {Run} run
 * @returns {StageFigures[]}
 */
function stagesOf({ data, requests, stages: order = [] }) {
  /** @type {Map<string, StageFigures>} */
  const stages = new Map();
  for (const [key, metric] of Object.entries(data.metrics)) {
    const { name, tags } = parts(key);
    if (tags.stage === undefined) {
      continue;
    }
    const stage = stages.get(tags.stage) ?? { name: tags.stage, rows: {} };
    stages.set(tags.stage, stage);
    if (name === 'errors') {
      stage.errors = metric.values.rate;
    }
    const called = Object.keys(requests).find((request) => requests[request] === tags.name);
    if (name === 'http_req_duration' && called) {
      stage.rows[called] = { mean: metric.values.avg, p95: metric.values['p(95)'], ok: holds(metric) };
    }
  }
  const place = (/** @type {StageFigures} */ { name }) => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...stages.values()].sort((a, b) => place(a) - place(b));
}

/**
 * @param {Group} group
 * @returns {Check[]}
 */
const checksOf = (group) => [...group.checks, ...group.groups.flatMap(checksOf)];
