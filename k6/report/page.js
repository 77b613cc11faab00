// A run as one page that needs nothing else: figures, charts, goals. The charts are drawn by `chart.js`, which is put inside.

import { charts } from './charts.js';
import { xml } from './junit.js';
import { inAny } from './markdown.js';
import { mostUsers, percent, shown } from './words.js';

/**
 * @param {import('./judge.js').Judgement} judged
 * @param {import('./judge.js').Run} run
 * @param {{style: string, script: string}} assets
 */
export function page(judged, run, { style, script }) {
  const { test, verdict } = judged;
  return htmlPage(
    `${test}: ${verdict}`,
    style,
    `<header>
<p class="what">Anteroom load test · ${xml(run.env?.time ?? '')}</p>
<h1>${xml(test)} <span class="verdict ${verdict.toLowerCase()}">${verdict}</span></h1>
${remarks(judged)}
</header>
<main>
${tiles(judged, run)}
${requests(judged)}
${stages(judged)}
${steps(judged)}
<section><h2>Over time</h2><div id="charts"></div></section>
${causes(judged)}
${goals(judged)}
${machine(run)}
</main>
<script type="application/json" id="data">${JSON.stringify(charts(run), rounded).replace(/</g, '\\u003c')}</script>
<script>
${script}</script>`,
  );
}

/**
 * A page around this body.
 * @param {string} title
 * @param {string} style
 * @param {string} body
 */
export const htmlPage = (title, style, body) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${xml(title)}</title>
<style>
${style}</style>
</head>
<body>
${body}
</body>
</html>
`;

/** Three digits behind the point are more than a chart shows. @param {string} _ @param {any} value */
const rounded = (_, value) => (typeof value === 'number' ? Math.round(value * 1_000) / 1_000 : value);

/** @param {import('./judge.js').Judgement} judged */
function remarks({ doubts, goals, wrong }) {
  const lines = [
    ...doubts.map((doubt) => `Cannot be believed: ${doubt}.`),
    ...goals.filter((goal) => !goal.ok).map((goal) => `Missed: ${goal.what}, measured ${goal.measured}.`),
    ...wrong.map((check) => `Not so ${check.fails} times of ${check.fails + check.passes}: ${check.name}.`),
  ];
  const shownLines = lines.slice(0, 12);
  if (lines.length > shownLines.length) {
    shownLines.push(`And ${lines.length - shownLines.length} more below.`);
  }
  return lines.length > 0
    ? `<ul class="remarks">${shownLines.map((line) => `<li>${xml(line)}</li>`).join('')}</ul>`
    : `<p class="remarks">All ${goals.length} goals met.</p>`;
}

/**
 * The figures one looks for first.
 * @param {import('./judge.js').Judgement} judged
 * @param {import('./judge.js').Run} run
 */
function tiles({ rows, seconds, goals }, { data, usage }) {
  const slowest = rows.reduce((worst, row) => ((row.p95 ?? 0) > (worst.p95 ?? 0) ? row : worst), rows[0]);
  const sum = (/** @type {'rate' | 'count'} */ key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
  const wrong = rows.reduce((total, row) => total + (row.errors ?? 0) * (row.count ?? 0), 0);
  const users = mostUsers(data.metrics);
  const list = [
    ['slowest p95', `${shown(slowest?.p95)} ms`, slowest?.called ?? ''],
    ['requests', `${shown(sum('rate'))}/s`, `${shown(sum('count'))} in ${duration(seconds)}`],
    ['errors', percent(sum('count') > 0 ? wrong / sum('count') : 0), `${shown(wrong)} answers`],
    ...(users.count > 1 ? [['users', shown(users.count), `${users.called} at most`]] : []),
    ...(data.metrics.paid ? [['journeys paid', percent(data.metrics.paid.values.rate), `${shown(data.metrics.paid.values.passes)} payments`]] : []),
    ...(data.metrics.breaking_point_per_second
      ? [['breaking point', `${shown(data.metrics.breaking_point_per_second.values.value)}/s`, 'journeys']]
      : []),
    ...(usage?.hasService ? [['CPU, busiest minute', `${shown(usage.cpuShare)} %`, 'service, Redis, Postgres']] : []),
    ['goals met', `${goals.filter((goal) => goal.ok).length} of ${goals.length}`, ''],
  ];
  const tile = (/** @type {string[]} */ [label, value, more]) => `<div><dt>${xml(label)}</dt><dd>${xml(value)}<small>${xml(more)}</small></dd></div>`;
  return `<dl class="tiles">${list.map(tile).join('')}</dl>`;
}

/** @param {number} seconds */
const duration = (seconds) => (seconds >= 120 ? `${shown(Math.round(seconds / 6) / 10)} min` : `${shown(Math.round(seconds))} s`);

/**
 * @param {string} title
 * @param {string[]} heads
 * @param {string[][]} rows cells, already as HTML; the first is the row's head
 */
export function table(title, heads, rows) {
  const head = heads.map((text) => `<th scope="col">${xml(text)}</th>`).join('');
  const body = rows.map(([first, ...cells]) => `<tr><th scope="row">${first}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`);
  return `<section>${title ? `<h2>${xml(title)}</h2>` : ''}<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div></section>`;
}

/** @param {boolean} ok */
const mark = (ok) => (ok ? '<span class="ok">pass</span>' : '<span class="bad">FAIL</span>');

/** @param {import('./judge.js').Judgement} judged */
const requests = ({ rows }) =>
  table(
    'Requests',
    ['', 'sent', 'per second', 'mean ms', 'p95 ms', 'p99 ms', 'errors', 'goals'],
    rows.map((row) => [
      xml(row.called),
      ...[shown(row.count), shown(row.rate), shown(row.mean), shown(row.p95), shown(row.p99), percent(row.errors)],
      mark(row.ok),
    ]),
  );

/** @param {import('./judge.js').Judgement} judged */
function stages({ stages: all, rows }) {
  const known = all.filter((stage) => Object.keys(stage.rows).length > 0);
  if (known.length === 0) {
    return '';
  }
  const cell = (/** @type {{mean?: number, p95?: number, ok: boolean} | undefined} */ figures) =>
    figures ? `<span class="${figures.ok ? '' : 'bad'}">${shown(figures.mean)} / ${shown(figures.p95)}</span>` : '';
  return table('Stages: mean / p95 in ms', ['', ...known.map(({ name }) => name)], [
    ...rows.filter(inAny(known)).map(({ called }) => [xml(called), ...known.map((stage) => cell(stage.rows[called]))]),
    ['errors', ...known.map((stage) => percent(stage.errors))],
  ]);
}

/** @param {import('./judge.js').Judgement} judged */
const steps = ({ steps: all }) =>
  all.length === 0
    ? ''
    : table(
        'Steps, each faster than the one before until two in a row break',
        ['journeys to begin a second', 'ended paid a second', 'broken by'],
        all.map(({ rate, paid, broken }) => [shown(rate), shown(paid), `<span class="text">${xml(broken)}</span>`]),
      );

/** @param {import('./judge.js').Judgement} judged */
function causes({ bottleneck }) {
  const { resources, splits, layers, found, advice } = bottleneck;
  const list = (/** @type {string[]} */ lines) => `<ul>${lines.map((line) => `<li>${xml(line)}</li>`).join('')}</ul>`;
  const parts = [`<section class="prose"><h2>Bottleneck</h2>${list(found)}<h2>Recommendations</h2>${list(advice)}</section>`];
  if (resources.length > 0) {
    const bar = (/** @type {number} */ share) => `<meter min="0" max="100" low="60" high="80" optimum="0" value="${Math.min(100, share).toFixed(1)}"></meter> ${shown(share)} %`;
    parts.push(table('Used at most', ['', 'share'], resources.map(({ what, share }) => [xml(what), bar(share)])));
  }
  const told = splits.filter(({ server }) => server !== null);
  if (told.length > 0) {
    parts.push(
      table(
        'Where the time of a request goes',
        ['mean in ms', 'at the client', 'in the service', 'outside: queue for CPU, network'],
        told.map(({ called, client, server, outside }) => [xml(called), shown(client), shown(server), shown(outside)]),
      ),
    );
  }
  if (layers.length > 0) {
    parts.push(
      table(
        'Inside the service',
        ['', 'times', 'mean ms', 'seconds in all'],
        layers.map(({ what, count, mean, seconds }) => [xml(what), shown(count), shown(mean), shown(seconds)]),
      ),
    );
  }
  return parts.join('\n');
}

/** @param {import('./judge.js').Judgement} judged */
const goals = ({ goals: all }) =>
  `<details ${all.some((goal) => !goal.ok) ? 'open' : ''}><summary>All goals (${all.length})</summary>${table(
    '',
    ['Goal', 'measured', ''],
    [...all].sort((a, b) => Number(a.ok) - Number(b.ok)).map(({ what, measured, ok }) => [xml(what), xml(measured), mark(ok)]),
  )}</details>`;

/** @param {import('./judge.js').Run} run */
function machine({ env }) {
  const rows = Object.entries(env ?? {}).map(([name, value]) => [
    xml(name),
    `<span class="text">${xml(typeof value === 'object' ? JSON.stringify(value) : value)}</span>`,
  ]);
  return rows.length > 0 ? `<details><summary>Machine, versions, settings</summary>${table('', ['', ''], rows)}</details>` : '';
}
