// What would give way first, from the figures of a run, and what to do about it.

import { meanMs, ROUTES } from './layers.js';
import { shown } from './words.js';

/** From these on something is named as narrow. Shares in per cent. */
const NARROW_SHARE = 60;
const SLOW_SCRIPT_MS = 5;
const SLOW_WAIT_MS = 5;
const SLOW_BATCH_MS = 50;
/** Of an answer's time at the client, so much outside the service means that it queues before it is read. */
const OUTSIDE_SHARE = 50;
const OUTSIDE_MS = 20;

/**
 * @typedef {{what: string, share: number}} Resource
 * @typedef {{called: string, client: number | null, server: number | null, outside: number | null}} Split
 */

/**
 * @param {import('./judge.js').Run} run
 * @param {import('./judge.js').Row[]} rows
 */
export function bottleneck(run, rows) {
  const splits = rows.map((row) => split(row, run.layers));
  const resources = resourcesOf(run);
  const found = [...narrow(resources, run), ...slow(run, splits)];
  const advice = [...new Set(found.map((one) => one.advice).filter(Boolean))];
  return {
    resources,
    splits,
    layers: layersOf(run),
    found: found.length > 0 ? found.map(({ what }) => what) : [nothingNarrow(resources)],
    advice: found.length > 0 ? advice : ['Nothing to mend at this load.'],
  };
}

/**
 * Whether the generator gave way before the service's CPU: more cores for the service would change little then.
 * @param {import('./judge.js').Run} run
 */
const generatorFirst = ({ usage }) =>
  usage !== undefined && usage.generatorShare >= NARROW_SHARE && (!usage.hasService || usage.generatorShare > usage.cpuShare);

/**
 * @param {import('./judge.js').Row} row
 * @param {import('./layers.js').Layers | undefined} layers
 * @returns {Split}
 */
function split(row, layers) {
  const route = /** @type {Record<string, string>} */ (ROUTES)[row.called];
  const server = meanMs(layers?.routes[route]);
  const client = row.mean ?? null;
  return { called: row.called, client, server, outside: client !== null && server !== null ? Math.max(0, client - server) : null };
}

/**
 * Everything that has an end, and how much of it was used.
 * @param {import('./judge.js').Run} run
 * @returns {Resource[]}
 */
function resourcesOf({ usage, data, env }) {
  /** @type {Resource[]} */
  const list = [];
  if (usage?.hasService) {
    list.push({ what: 'CPU of the service\'s cores, busiest minute', share: usage.cpuShare });
    list.push({ what: 'one core for Redis, busiest 10 s (it has one thread)', share: usage.cores.redis.busiest * 100 });
    if (usage.memoryShare !== null) {
      list.push({ what: 'memory', share: usage.memoryShare });
    }
  }
  const connections = data.metrics.connections_share?.values.avg;
  if (connections !== undefined) {
    list.push({ what: `connections to Postgres, mean${env?.database ? ` (of ${env.database})` : ''}`, share: connections });
  }
  if (usage) {
    list.push({ what: 'CPU of the generator\'s cores when busiest', share: usage.generatorShare });
  }
  return list.sort((a, b) => b.share - a.share);
}

/**
 * @param {Resource[]} resources
 * @param {import('./judge.js').Run} run
 */
function narrow(resources, run) {
  const { usage } = run;
  return resources.filter(({ share }) => share >= NARROW_SHARE).map((resource) => ({
    what: `${resource.what}: ${shown(resource.share)} % used${resource.what.includes('service') ? ` (${greediest(usage)})` : ''}.`,
    advice: advise(resource, run),
  }));
}

/** @param {import('./usage.js').Usage | undefined} usage */
function greediest(usage) {
  const parts = ['service', 'redis', 'postgres'].map((name) => ({ name, mean: usage?.cores[name].mean ?? 0 }));
  const all = parts.reduce((sum, { mean }) => sum + mean, 0) || 1;
  return parts.map(({ name, mean }) => `${name} ${shown((mean / all) * 100)} % of that`).join(', ');
}

/**
 * @param {import('./judge.js').Run} run
 * @param {Split[]} splits
 */
function slow(run, splits) {
  const { layers } = run;
  const found = [];
  for (const { called, client, outside } of splits) {
    if (client && outside && outside >= OUTSIDE_MS && (outside / client) * 100 >= OUTSIDE_SHARE) {
      found.push({
        what: `${called}: ${shown(outside)} of its ${shown(client)} ms in the mean pass before the service reads it or after it has answered.`,
        // They queue in k6 as well, where that is out of breath.
        advice: generatorFirst(run) ? '' : 'Requests queue for CPU: give the service more cores, or the room a smaller capacity.',
      });
    }
  }
  for (const [name, script] of Object.entries(layers?.scripts ?? {})) {
    const mean = meanMs(script) ?? 0;
    if (mean >= SLOW_SCRIPT_MS) {
      found.push({
        what: `The script ${name} takes ${shown(mean)} ms in the mean, ${shown(script.count)} times.`,
        advice: 'Scripts wait for Redis: a core of its own for it first, then look at SLOWLOG.',
      });
    }
  }
  const wait = meanMs(layers?.poolWait) ?? 0;
  if (wait >= SLOW_WAIT_MS) {
    found.push({
      what: `Whoever needs a connection to Postgres waits ${shown(wait)} ms for it in the mean.`,
      advice: 'Transactions are too slow for the pool: look at pg_stat_statements and at the disk before making the pool larger.',
    });
  }
  const batch = meanMs(layers?.batches) ?? 0;
  if (batch >= SLOW_BATCH_MS) {
    found.push({
      what: `A transaction of the ledger takes ${shown(batch)} ms in the mean.`,
      advice: 'Charges and payments wait for commits: a faster disk, or Postgres on cores of its own.',
    });
  }
  return found;
}

/**
 * Where the time inside the service went.
 * @param {import('./judge.js').Run} run
 */
function layersOf({ layers }) {
  if (!layers) {
    return [];
  }
  const scripts = Object.entries(layers.scripts).filter(([, script]) => script.count > 0);
  const rows = scripts.map(([name, script]) => ({ what: `Redis: ${name}`, count: script.count, mean: meanMs(script), seconds: script.seconds }));
  rows.push({ what: 'wait for a connection to Postgres', count: layers.poolWait.count, mean: meanMs(layers.poolWait), seconds: layers.poolWait.seconds });
  rows.push({ what: `Postgres: transactions of the ledger, for ${shown(layers.batched)} charges and payments`, count: layers.batches.count, mean: meanMs(layers.batches), seconds: layers.batches.seconds });
  return rows.filter(({ count }) => count > 0).sort((a, b) => b.seconds - a.seconds).slice(0, 10);
}

/** @param {Resource[]} resources */
const nothingNarrow = ([first]) =>
  first ? `Nothing came near its limit. Nearest: ${first.what}, ${shown(first.share)} % used.` : 'What the machine used was not measured.';

/**
 * What to do about a resource that is narrow; empty where that is said of another one.
 * @param {Resource} resource
 * @param {import('./judge.js').Run} run
 */
function advise({ what }, run) {
  if (what.includes('generator')) {
    return adviseGenerator(run);
  }
  if (what.includes('Redis')) {
    return 'Redis is one thread: schedules can be spread over a Cluster, a room cannot. Look at which scripts run most.';
  }
  if (what.includes('connections')) {
    return 'Look at how long transactions take before raising `database_connections`.';
  }
  if (what.includes('memory')) {
    return 'Redis keeps each waiting visitor in some 300 bytes: look at how many there are, and at the snapshots of seats.';
  }
  return generatorFirst(run)
    ? ''
    : 'The next thing to give way is CPU: more cores for the service, a core of its own for Redis and for Postgres.';
}

/**
 * Only a service with CPU to spare can do more. Where both are busy, the one that is busier comes first.
 * @param {import('./judge.js').Run} run
 */
function adviseGenerator(run) {
  if (run.usage?.hasService && run.usage.cpuShare < NARROW_SHARE) {
    return 'Give k6 more cores or another machine: the service can do more than it was asked for.';
  }
  return generatorFirst(run) ? 'Give k6 more cores or another machine first: until then the figures say as much of k6 as of the service.' : '';
}
