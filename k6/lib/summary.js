// The verdict of a run: every request with its figures, every goal with what was measured.

import { OUT } from './config.js';

/**
 * @typedef {{type: string, values: Record<string, number>, thresholds?: Record<string, {ok: boolean}>}} Metric
 * @typedef {{name: string, fails: number, passes: number}} Check
 * @typedef {{checks: Check[], groups: Group[]}} Group
 * @typedef {{metrics: Record<string, Metric>, root_group: Group, state: {testRunDurationMs: number}}} Data
 */

/**
 * The `handleSummary` of a test: prints the verdict, and leaves it with all figures in the folder of the results.
 * @param {string} test
 * @param {Record<string, string>} requests the requests to show: how they are called → their `name` tag
 */
export const verdict = (test, requests) => (/** @type {Data} */ data) => {
  const text = verdictOf(test, requests, data);
  /** @type {Record<string, string>} */
  const files = { stdout: `\n${text}` };
  if (OUT) {
    files[`${OUT}/summary.json`] = `${JSON.stringify(data, null, 2)}\n`;
    files[`${OUT}/verdict.md`] = text;
  }
  return files;
};

/**
 * Requests that are called as they are tagged.
 * @param {string[]} names
 */
export const named = (names) => Object.fromEntries(names.map((name) => [name, name]));

/**
 * @param {string} test
 * @param {Record<string, string>} requests
 * @param {Data} data
 */
function verdictOf(test, requests, data) {
  const goals = goalsOf(requests, data);
  const failed = goals.filter((goal) => !goal.ok);
  const wrong = checksOf(data.root_group).filter((check) => check.fails > 0);
  const lines = [`# ${test}: ${failed.length === 0 ? 'PASS' : 'FAIL'}`, ''];
  for (const goal of failed) {
    lines.push(`- failed: ${goal.what}, measured ${goal.measured}`);
  }
  for (const check of wrong) {
    lines.push(`- not so ${check.fails} times of ${check.fails + check.passes}: ${check.name}`);
  }
  lines.push('', ...requestTable(requests, data), '', ...otherFigures(data), '', ...goalTable(goals.filter((goal) => !goal.ofRequest)), '');
  return lines.join('\n').replace(/\n{3,}/g, '\n\n');
}

/**
 * @param {Record<string, string>} requests
 * @param {Data} data
 */
function requestTable(requests, data) {
  const lines = [
    '| Request | sent | per second | mean ms | p95 ms | p99 ms | errors | verdict |',
    '|---|--:|--:|--:|--:|--:|--:|---|',
  ];
  for (const [called, tag] of Object.entries(requests)) {
    const of = (/** @type {string} */ metric) => data.metrics[`${metric}{name:${tag}}`];
    const duration = of('http_req_duration')?.values ?? {};
    const sent = of('http_reqs')?.values ?? {};
    const errors = of('errors') ?? of('http_req_failed');
    const cells = [
      called,
      shown(sent.count),
      shown(sent.rate),
      ...['avg', 'p(95)', 'p(99)'].map((stat) => shown(duration[stat])),
      percent(errors?.values.rate),
      [of('http_req_duration'), of('http_reqs'), of('errors')].every(holds) ? 'pass' : 'FAIL',
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines;
}

/** @param {Metric | undefined} metric */
const holds = (metric) => Object.values(metric?.thresholds ?? {}).every((threshold) => threshold.ok);

/**
 * Figures that are no goals.
 * @param {Data} data
 */
function otherFigures(data) {
  const waited = data.metrics.waited?.values;
  const lines = [`The run took ${shown(data.state.testRunDurationMs / 1000)} s.`];
  if (waited?.count) {
    const [mean, p95, max] = ['avg', 'p(95)', 'max'].map((stat) => shown(waited[stat] / 1000));
    lines.push(`${shown(waited.count)} were admitted, after a wait of ${mean} s in the mean, p95 ${p95} s, at most ${max} s.`);
  }
  return lines;
}

/**
 * Those of the requests stand in their own table.
 * @param {{what: string, measured: string, ok: boolean}[]} goals
 */
function goalTable(goals) {
  const rows = goals.map((goal) => `| ${goal.what} | ${goal.measured} | ${goal.ok ? 'pass' : 'FAIL'} |`);
  return ['| Goal | measured | verdict |', '|---|--:|---|', ...rows];
}

/**
 * Every threshold, with the requests as they are called.
 * @param {Record<string, string>} requests
 * @param {Data} data
 */
function goalsOf(requests, data) {
  const called = (/** @type {string} */ metric) =>
    Object.entries(requests).reduce((text, [name, tag]) => text.replace(`{name:${tag}}`, ` of ${name}`), metric);
  const all = Object.entries(data.metrics).flatMap(([name, metric]) =>
    Object.entries(metric.thresholds ?? {}).map(([goal, { ok }]) => ({
      what: `${called(name)}: ${goal}`.replace(/\|/g, '\\|'),
      measured: measured(metric, goal),
      ok,
      ofRequest: name.includes('{name:'),
    })),
  );
  return all.sort((a, b) => (a.what < b.what ? -1 : 1));
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
 * @param {Group} group
 * @returns {Check[]}
 */
const checksOf = (group) => [...group.checks, ...group.groups.flatMap(checksOf)];

/** @param {number | undefined} value */
const percent = (value) => (value === undefined ? '-' : `${shown(value * 100)} %`);

/** @param {number | undefined} value */
function shown(value) {
  if (value === undefined || Number.isNaN(value)) {
    return '-';
  }
  return Number.isInteger(value) || Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
