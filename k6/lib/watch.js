// One more user, who watches the service from the operators' side: what it uses, and how the room stands. The goals for
// CPU, memory and connections are thresholds on what was seen.

import { Counter, Trend } from 'k6/metrics';
import { isOperator, readMetrics } from './admin.js';
import { MEMORY_MB, ROOM, SERVICE_CORES } from './config.js';
import { pause } from './time.js';

const EVERY_MS = 1_000;

/** Of what there is, in per cent, no resource may be used more than this. */
const MOST = 80;

/** A threshold without samples passes: so somebody must have looked. */
const looks = new Counter('looks');

const seen = {
  cpu: new Trend('cpu_share'),
  memory: new Trend('memory_share'),
  connections: new Trend('connections_share'),
  serviceMemory: new Trend('service_memory_mb'),
  redisMemory: new Trend('redis_memory_mb'),
  used: new Trend('connections_used'),
  files: new Trend('open_files'),
  redisClients: new Trend('redis_clients'),
  backends: new Trend('postgres_backends'),
  waiting: new Trend('queue_waiting'),
  active: new Trend('visits_active'),
  transactions: new Trend('postgres_transactions'),
};

/**
 * The pool asks connections that rested whether they live, all at once: for that moment all are in use. So the mean of the
 * looks at connections counts, not the highest; the verdict looks at the busiest minute too.
 *
 * CPU is that of the service and of Redis in the cores they were given, as the service itself sees it, in the mean. What
 * all processes use, Postgres too, is in the verdict, which also looks at the busiest minute.
 * @type {Record<string, string[]>}
 */
export const resourceGoals = isOperator
  ? {
      looks: ['count>0'],
      connections_share: [`avg<${MOST}`],
      ...(SERVICE_CORES > 0 ? { cpu_share: [`avg<${MOST}`] } : {}),
      ...(MEMORY_MB > 0 ? { memory_share: [`max<${MOST}`] } : {}),
    }
  : {};

/**
 * A scenario that watches for so long, for tests that know how long they take.
 * @param {number} durationS
 * @returns {Record<string, any>}
 */
export const watching = (durationS) =>
  isOperator
    ? { watch: { executor: 'constant-vus', exec: 'watch', vus: 1, duration: `${durationS}s`, gracefulStop: '5s' } }
    : {};

/** @type {{at: number, cpu: number, transactions: number} | null} */
let before = null;

/** Looks once, and waits until it is time for the next look. The `exec` of the scenario above. */
export async function watch() {
  const began = Date.now();
  await look();
  await pause(Math.max(0, EVERY_MS - (Date.now() - began)));
}

/** Watches beside other users in the same VU, until it is stopped. */
export function startWatching() {
  let going = isOperator;
  const loop = (async () => {
    while (going) {
      await watch();
    }
  })();
  return {
    stop: () => {
      going = false;
      return loop;
    },
  };
}

async function look() {
  const all = await readMetrics();
  if (!all) {
    return;
  }
  const of = (/** @type {string} */ series) => all.get(series) ?? 0;
  const megabytes = (/** @type {number} */ bytes) => bytes / 1_048_576;
  const service = megabytes(of('process_resident_memory_bytes'));
  const redis = megabytes(of('redis_memory_used_bytes'));
  const used = of('db_pool_connections{state="used"}');
  looks.add(1);
  seen.serviceMemory.add(service);
  seen.redisMemory.add(redis);
  seen.used.add(used);
  seen.files.add(of('process_open_fds'));
  seen.redisClients.add(of('redis_clients'));
  seen.backends.add(of('db_server_connections'));
  seen.connections.add((used / Math.max(1, of('db_pool_connections_max'))) * 100);
  seen.waiting.add(of(`anteroom_queue_waiting{room="${ROOM}"}`));
  seen.active.add(of(`anteroom_visits_active{room="${ROOM}"}`));
  if (MEMORY_MB > 0) {
    seen.memory.add(((service + redis) / MEMORY_MB) * 100);
  }
  rates(of('process_cpu_seconds_total') + of('redis_cpu_seconds'), of('db_transactions_total'));
}

/**
 * What is told as a total becomes a rate.
 * @param {number} cpu seconds
 * @param {number} transactions
 */
function rates(cpu, transactions) {
  const now = { at: Date.now() / 1_000, cpu, transactions };
  if (before) {
    const passed = now.at - before.at;
    if (SERVICE_CORES > 0) {
      seen.cpu.add(((cpu - before.cpu) / passed / SERVICE_CORES) * 100);
    }
    seen.transactions.add((transactions - before.transactions) / passed);
  }
  before = now;
}
