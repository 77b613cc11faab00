// Makes verdict.md, report.html and junit.xml of a folder of results (OUT). Run by k6, because k6 is there: no other
// program is needed to read JavaScript. It fails as a test does when a goal was missed that only the whole shows.

import { Rate } from 'k6/metrics';
import { judge } from './judge.js';
import { junit } from './junit.js';
import { readLayers } from './layers.js';
import { markdown } from './markdown.js';
import { page } from './page.js';
import { readSeries } from './series.js';
import { readUsage } from './usage.js';

const OUT = __ENV.OUT;
const assets = { style: open('./style.css'), script: open('./chart.js') };

/** @param {string} name @returns {string} nothing for a file that is not there */
function read(name) {
  try {
    return open(`${OUT}/${name}`);
  } catch {
    return '';
  }
}

/** What the test told: all of it belongs to the run. @type {import('./judge.js').Run} */
const told = JSON.parse(open(`${OUT}/summary.json`));
const env = JSON.parse(read('env.json') || '{}');
const [before, after, series] = [read('metrics-before.txt'), read('metrics-after.txt'), read('series.txt')];

/** @type {import('./judge.js').Run} */
const run = {
  ...told,
  env,
  series: series ? readSeries(series) : undefined,
  usage: readUsage(read('samples.txt'), env, told.data.state.testRunDurationMs / 1_000),
  layers: before && after ? readLayers(before, after) : undefined,
};
const judged = judge(run);

const goalsMet = new Rate('goals_met');

export const options = { thresholds: { goals_met: ['rate==1'] } };

export default function () {
  judged.goals.forEach((goal) => goalsMet.add(goal.ok));
}

export const handleSummary = () => ({
  [`${OUT}/verdict.md`]: markdown(judged, run),
  [`${OUT}/report.html`]: page(judged, run, assets),
  [`${OUT}/junit.xml`]: junit(judged),
  [`${OUT}/verdict.json`]: `${JSON.stringify({ ...judged, env }, null, 2)}\n`,
});
