// What the processes used, from the samples that `k6/measure.sh` took once a second.

/** The processes in the order of the samples' columns. */
export const PROCESSES = /** @type {const} */ (['k6', 'service', 'redis', 'postgres', 'others']);

/** What is shown of each process beside its mean. */
const BURST_S = 10;
/** What generator and service are judged by: both have moments in which they collect or write what they put off. */
const MINUTE_S = 60;

/**
 * @typedef {{at: number, cpu: Record<string, number>, memory: {service: number, redis: number}}} Sample `cpu` in seconds so
 * far, memory in megabytes
 * @typedef {object} Usage
 * @property {Sample[]} samples
 * @property {boolean} hasService
 * @property {Record<string, {mean: number, busiest: number}>} cores used by each process, in the mean and in the busiest
 * ten seconds
 * @property {{service: number, redis: number}} memory the most megabytes
 * @property {number} cpuShare of the service's cores, all its processes, in the busiest minute, in per cent
 * @property {number | null} memoryShare of the machine, service and Redis, in per cent
 * @property {number} generatorShare of the generator's cores in its busiest minute, or ten seconds of a shorter run, in per cent
 * @property {number} othersShare of the machine, in the mean, in per cent
 */

/**
 * @param {string} text
 * @param {Record<string, any>} env
 * @param {number} seconds how long the run took: what was sampled before it does not count
 * @returns {Usage | undefined}
 */
export function readUsage(text, env, seconds) {
  const samples = runOnly(text.split('\n').filter(Boolean).map(readSample), seconds);
  if (samples.length < 2) {
    return undefined;
  }
  const cores = Object.fromEntries(
    PROCESSES.map((name) => [name, { mean: used(samples, [name], Infinity), busiest: used(samples, [name], BURST_S) }]),
  );
  const memory = { service: most(samples, 'service'), redis: most(samples, 'redis') };
  const all = Number(env.cores) || 1;
  const windowS = seconds < MINUTE_S ? BURST_S : MINUTE_S;
  return {
    samples,
    hasService: cores.service.mean > 0,
    cores,
    memory,
    cpuShare: (used(samples, ['service', 'redis', 'postgres'], MINUTE_S) / (Number(env.serviceCoreCount) || all)) * 100,
    memoryShare: env.memoryMb ? ((memory.service + memory.redis) / env.memoryMb) * 100 : null,
    generatorShare: (used(samples, ['k6'], windowS) / (Number(env.k6CoreCount) || all)) * 100,
    othersShare: (cores.others.mean / all) * 100,
  };
}

/** @param {string} line @returns {Sample} */
function readSample(line) {
  const [at, k6, service, redis, postgres, others, serviceMb, redisMb] = line.split(' ').map(Number);
  return { at, cpu: { k6, service, redis, postgres, others }, memory: { service: serviceMb, redis: redisMb } };
}

/**
 * Before the run k6 reads its scripts; after it, it is gone, and its CPU seconds with it.
 * @param {Sample[]} samples
 * @param {number} seconds
 */
function runOnly(samples, seconds) {
  const gone = samples.findIndex((sample, i) => i > 0 && sample.cpu.k6 < samples[i - 1].cpu.k6);
  const alive = gone < 0 ? samples : samples.slice(0, gone);
  const end = alive[alive.length - 1]?.at ?? 0;
  return alive.filter((sample) => sample.at >= end - seconds - 1);
}

/**
 * Cores used by these together: in the mean, or in the busiest window of so many seconds.
 * @param {Sample[]} samples
 * @param {string[]} names
 * @param {number} windowS
 */
export function used(samples, names, windowS) {
  const total = (/** @type {Sample} */ sample) => names.reduce((sum, name) => sum + sample.cpu[name], 0);
  const rate = (/** @type {number} */ i, /** @type {number} */ j) =>
    (total(samples[j]) - total(samples[i])) / (samples[j].at - samples[i].at);
  const last = samples.length - 1;
  let busiest = -1;
  let from = 0;
  for (let to = 1; to <= last; to += 1) {
    while (samples[to].at - samples[from + 1].at >= windowS && from + 1 < to) from += 1;
    if (samples[to].at - samples[from].at >= windowS * 0.9) {
      busiest = Math.max(busiest, rate(from, to));
    }
  }
  return busiest < 0 ? rate(0, last) : busiest;
}

/**
 * @param {Sample[]} samples
 * @param {'service' | 'redis'} name
 */
const most = (samples, name) => Math.max(...samples.map((sample) => sample.memory[name]));
