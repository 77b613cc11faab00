// The verdict as text: for the terminal, for verdict.md, for whoever reads a folder of results in ten years.

import { mostUsers, percent, shown } from './words.js';

/**
 * @param {import('./judge.js').Judgement} judged
 * @param {import('./judge.js').Run} run
 */
export function markdown(judged, run) {
  const parts = [heading(judged), requestTable(judged), stageTable(judged), stepTable(judged), figures(judged, run), goalTable(judged)];
  if (run.env) {
    parts.push(machine(run), bottleneckText(judged));
  }
  return `${parts.map((lines) => lines.join('\n')).filter(Boolean).join('\n\n')}\n`;
}

/** @param {import('./judge.js').Judgement} judged */
function heading({ test, verdict, doubts, goals, wrong }) {
  const lines = [`# ${test}: ${verdict}`, ''];
  const missed = goals.filter((goal) => !goal.ok);
  lines.push(`${goals.length - missed.length} of ${goals.length} goals met.`, '');
  lines.push(...doubts.map((doubt) => `- cannot be believed: ${doubt}`));
  lines.push(...missed.map((goal) => `- **missed**: ${escaped(goal.what)}, measured ${goal.measured}`));
  lines.push(...wrong.map((check) => `- not so ${check.fails} times of ${check.fails + check.passes}: ${check.name}`));
  return lines[lines.length - 1] === '' ? lines.slice(0, -1) : lines;
}

/** @param {import('./judge.js').Judgement} judged */
function requestTable({ rows }) {
  return [
    '| Request | sent | per second | mean ms | p95 ms | p99 ms | errors | verdict |',
    '|---|--:|--:|--:|--:|--:|--:|---|',
    ...rows.map(({ called, count, rate, mean, p95, p99, errors, ok }) =>
      `| ${[called, shown(count), shown(rate), shown(mean), shown(p95), shown(p99), percent(errors), ok ? 'pass' : '**FAIL**'].join(' | ')} |`,
    ),
  ];
}

/** @param {import('./judge.js').Judgement} judged */
function stageTable({ stages, rows }) {
  const shownStages = stages.filter((stage) => Object.keys(stage.rows).length > 0);
  if (shownStages.length === 0) {
    return [];
  }
  const cell = (/** @type {{mean?: number, p95?: number, ok: boolean} | undefined} */ figures) =>
    figures ? `${shown(figures.mean)} / ${shown(figures.p95)}${figures.ok ? '' : ' **FAIL**'}` : '';
  return [
    'Mean / p95 in ms by stage, where a stage has goals of its own:',
    '',
    `| Request | ${shownStages.map(({ name }) => name).join(' | ')} |`,
    `|---|${shownStages.map(() => '--:').join('|')}|`,
    ...rows.filter(inAny(shownStages)).map(({ called }) => `| ${[called, ...shownStages.map((stage) => cell(stage.rows[called]))].join(' | ')} |`),
    `| errors | ${shownStages.map((stage) => percent(stage.errors)).join(' | ')} |`,
  ];
}

/** @param {import('./judge.js').Judgement} judged */
function stepTable({ steps }) {
  if (steps.length === 0) {
    return [];
  }
  return [
    'Steps, each faster than the one before until two in a row break:',
    '',
    '| Journeys to begin a second | ended paid a second | broken by |',
    '|--:|--:|---|',
    ...steps.map(({ rate, paid, broken }) => `| ${shown(rate)} | ${shown(paid)} | ${broken} |`),
  ];
}

/** @param {import('./judge.js').StageFigures[]} stages */
export const inAny = (stages) => (/** @type {{called: string}} */ { called }) => stages.some((stage) => stage.rows[called]);

/**
 * Figures that are no goals.
 * @param {import('./judge.js').Judgement} judged
 * @param {import('./judge.js').Run} run
 */
function figures({ seconds }, { data }) {
  const { waited, paid } = data.metrics;
  const most = mostUsers(data.metrics);
  const lines = [`The run took ${shown(seconds)} s, with ${shown(most.count)} ${most.called} at most.`];
  const w = waited?.values;
  if (w?.count) {
    const [mean, p95, max] = ['avg', 'p(95)', 'max'].map((stat) => shown(w[stat] / 1_000));
    lines.push(`${shown(w.count)} were admitted, after a wait of ${mean} s in the mean, p95 ${p95} s, at most ${max} s.`);
  }
  if (paid) {
    lines.push(`${shown(paid.values.passes)} journeys ended paid, ${percent(paid.values.rate)} of all.`);
  }
  return lines;
}

/** Those of the requests stand in their own tables. @param {import('./judge.js').Judgement} judged */
function goalTable({ goals }) {
  const others = goals.filter((goal) => goal.request === '');
  return [
    '| Goal | measured | verdict |',
    '|---|--:|---|',
    ...others.map((goal) => `| ${escaped(goal.what)} | ${goal.measured} | ${goal.ok ? 'pass' : '**FAIL**'} |`),
  ];
}

/** @param {import('./judge.js').Run} run */
function machine({ env = {}, usage }) {
  const lines = [
    '## The machine',
    '',
    `${env.cpu}, ${env.cores} cores, ${env.memoryMb} MB; k6 on core ${env.k6Cores}, the service and its stores on core` +
      ` ${env.serviceCores}. ${[env.k6, env.program, env.redis, env.postgres, env.system].filter(Boolean).join(' · ')}.`,
    '',
    `Made by \`${env.command}\` at commit ${env.commit}, ${env.time}.`,
  ];
  if (!usage) {
    return [...lines, '', 'The CPU that k6 used was not measured here, so nobody knows whether its own slowness is in the figures.'];
  }
  lines.push('', '| Process | cores used, mean | in the busiest 10 s | most memory, MB |', '|---|--:|--:|--:|');
  for (const [name, { mean, busiest }] of Object.entries(usage.cores)) {
    const memory = name === 'service' || name === 'redis' ? shown(usage.memory[name]) : '-';
    if (busiest > 0) {
      lines.push(`| ${name} | ${shown(mean)} | ${shown(busiest)} | ${memory} |`);
    }
  }
  return lines;
}

/** @param {import('./judge.js').Judgement} judged */
function bottleneckText({ bottleneck }) {
  const { resources, splits, layers, found, advice } = bottleneck;
  const lines = ['## Bottleneck', '', ...found.map((text) => `- ${text}`), '', '## Recommendations', '', ...advice.map((text) => `- ${text}`)];
  if (resources.length > 0) {
    lines.push('', '| Resource | used at most |', '|---|--:|', ...resources.map(({ what, share }) => `| ${what} | ${shown(share)} % |`));
  }
  if (splits.some(({ server }) => server !== null)) {
    lines.push('', '## Where the time of a request goes', '', '| Request | mean at the client, ms | in the service, ms | outside: queue for CPU, network, ms |', '|---|--:|--:|--:|');
    lines.push(...splits.filter(({ server }) => server !== null).map(({ called, client, server, outside }) => `| ${called} | ${shown(client)} | ${shown(server)} | ${shown(outside)} |`));
  }
  if (layers.length > 0) {
    lines.push('', '| Inside the service | times | mean ms | seconds in all |', '|---|--:|--:|--:|');
    lines.push(...layers.map(({ what, count, mean, seconds }) => `| ${what} | ${shown(count)} | ${shown(mean)} | ${shown(seconds)} |`));
  }
  return lines;
}

/** @param {string} text */
const escaped = (text) => text.replace(/\|/g, '\\|');
