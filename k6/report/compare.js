// Puts runs side by side: the same test in columns, the oldest first. RUNS names the folders, one a line; OUT gets
// compare.html and compare.md. Run by k6, as `build.js` is.

import { table, htmlPage } from './page.js';
import { xml } from './junit.js';
import { percent, shown } from './words.js';

const OUT = __ENV.OUT;
const style = open('./style.css');

/** What is slower or more by this, or fewer where more is better, than in the run before is marked. In per cent. */
const WORSE = 20;

/**
 * @typedef {import('./judge.js').Judgement & {env: Record<string, any>, folder: string}} Run
 * @typedef {{what: string, value: (run: Run) => number | string | undefined, text?: (value: any) => string, moreIsBetter?: boolean}} Line
 */

/** @type {Run[]} */
const all = (__ENV.RUNS ?? '')
  .split('\n')
  .filter(Boolean)
  .map((folder) => ({ ...JSON.parse(open(`${folder}/verdict.json`)), folder: folder.slice(folder.lastIndexOf('/') + 1) }));

/**
 * The runs, the oldest first, wherever they are. One that was kept is in two folders, and counts once.
 * @param {Run[]} runs
 */
export const inOrder = (runs) =>
  runs
    .filter((run, i) => !runs.slice(0, i).some((other) => other.test === run.test && other.env.time === run.env.time))
    .sort((a, b) => (a.env.time < b.env.time ? -1 : 1));

/**
 * The run that one is compared with: the last one before it with the same settings. Others are no measure.
 * @param {Run} run
 * @param {Run[]} list of one test, in order
 */
export const before = (run, list) =>
  list
    .slice(0, list.indexOf(run))
    .reverse()
    .find(({ env }) => env.command === run.env.command);

/** @param {Run} run @param {'count' | 'rate'} key */
const sum = (run, key) => run.rows.reduce((total, row) => total + (row[key] ?? 0), 0);

/** @type {Line[]} */
const ABOUT = [
  { what: 'verdict', value: (run) => run.verdict },
  { what: 'at', value: (run) => run.env.time },
  { what: 'commit', value: (run) => run.env.commit },
  { what: 'command', value: (run) => run.env.command },
  { what: 'goals met', value: (run) => `${run.goals.filter((goal) => goal.ok).length} of ${run.goals.length}` },
];

/** @type {Line[]} */
const WHOLE = [
  { what: 'requests per second', value: (run) => sum(run, 'rate'), moreIsBetter: true },
  { what: 'errors', value: (run) => run.rows.reduce((all, row) => all + (row.errors ?? 0) * (row.count ?? 0), 0) / sum(run, 'count'), text: percent },
  { what: 'breaking point, journeys per second', value: (run) => run.breakingPoint, moreIsBetter: true },
];

/**
 * @param {Run[]} list of one test
 * @returns {Line[]}
 */
export function linesFor(list) {
  const requests = [...new Set(list.flatMap((run) => run.rows.map(({ called }) => called)))];
  const resources = [...new Set(list.flatMap((run) => run.bottleneck.resources.map(({ what }) => what)))];
  return [
    ...ABOUT,
    { what: 'compared with', value: (/** @type {Run} */ run) => before(run, list)?.folder },
    ...WHOLE,
    ...requests.map((called) => ({
      what: `p95 of ${called}, ms`,
      value: (/** @type {Run} */ run) => run.rows.find((row) => row.called === called)?.p95,
    })),
    ...resources.map((resource) => ({
      what: `${resource}, %`,
      value: (/** @type {Run} */ run) => run.bottleneck.resources.find(({ what }) => what === resource)?.share,
    })),
  ].filter(({ value }) => list.some((run) => value(run) !== undefined));
}

/**
 * The cells of a line, each with how much it changed where that is much and for the worse.
 * @param {Line} line
 * @param {Run[]} list
 */
export function cells({ value, text = shown, moreIsBetter = false }, list) {
  return list.map((run) => {
    const now = value(run);
    if (typeof now !== 'number') {
      return now ?? '-';
    }
    const earlier = before(run, list);
    const then = earlier && value(earlier);
    const grown = typeof then === 'number' && then > 0 ? (now / then - 1) * 100 : 0;
    const worse = moreIsBetter ? -grown : grown;
    return worse > WORSE ? `${text(now)} (${grown > 0 ? '+' : ''}${shown(Math.round(grown))} %)` : text(now);
  });
}

const tests = [...new Set(all.map(({ test }) => test))].map((test) => ({ test, list: inOrder(all.filter((run) => run.test === test)) }));

const asMarkdown = tests.map(({ test, list }) =>
  [
    `## ${test}`,
    '',
    `| | ${list.map(({ folder }) => folder).join(' | ')} |`,
    `|---|${list.map(() => '--:').join('|')}|`,
    ...linesFor(list).map((line) => `| ${[line.what, ...cells(line, list)].join(' | ')} |`),
  ].join('\n'),
);

const asHtml = tests.map(({ test, list }) =>
  table(test, ['', ...list.map(({ folder }) => folder)], linesFor(list).map((line) => [xml(line.what), ...cells(line, list).map(xml)])),
);

export default function () {
  // There is nothing to send: k6 only reads and writes here.
}

export const handleSummary = () => ({
  stdout: `${asMarkdown.join('\n\n')}\n`,
  [`${OUT}/compare.md`]: `# Runs side by side\n\n${asMarkdown.join('\n\n')}\n`,
  [`${OUT}/compare.html`]: htmlPage('Runs side by side', style, `<header><h1>Runs side by side</h1></header><main>${asHtml.join('\n')}</main>`),
});
