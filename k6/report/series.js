// The figures of a run second by second, as `k6/series.awk` left them, merged to as many points as a chart can show.

/** A second of one request: counts in bins, each a tenth wider than the one before, from a tenth of a millisecond on. */
const BIN_GROWTH = 1.1;
const BIN_FROM_MS = 0.1;

/**
 * @typedef {{count: number, wrong: number, sum: number, max: number, bins: Map<number, number>}} Bucket
 * @typedef {object} Series
 * @property {number} start the first second, Unix time
 * @property {number} end
 * @property {Map<string, Map<number, Bucket>>} requests by name, by second from the start
 * @property {Map<string, Map<number, number>>} metrics by name, by second from the start
 */

/**
 * @param {string} text
 * @returns {Series}
 */
export function readSeries(text) {
  /** @type {Series} */
  const series = { start: Infinity, end: -Infinity, requests: new Map(), metrics: new Map() };
  const lines = text.split('\n').filter(Boolean).map((line) => line.split('\t'));
  for (const [, second] of lines) {
    series.start = Math.min(series.start, Number(second));
    series.end = Math.max(series.end, Number(second));
  }
  for (const [kind, second, name, ...rest] of lines) {
    const at = Number(second) - series.start;
    if (kind === 'm') {
      inner(series.metrics, name).set(at, Number(rest[0]));
    } else {
      const [count, wrong, sum, max] = rest.map(Number);
      inner(series.requests, name).set(at, { count, wrong, sum, max, bins: readBins(rest[4]) });
    }
  }
  return series;
}

/**
 * @template V
 * @param {Map<string, Map<number, V>>} all
 * @param {string} name
 */
function inner(all, name) {
  const found = all.get(name) ?? new Map();
  all.set(name, found);
  return /** @type {Map<number, V>} */ (found);
}

/** @param {string | undefined} text such as `12:3,13:1` */
function readBins(text) {
  return new Map((text ?? '').split(',').filter(Boolean).map((pair) => /** @type {[number, number]} */ (pair.split(':').map(Number))));
}

/**
 * The seconds from `from` up to `to` of a request as one.
 * @param {Map<number, Bucket>} seconds
 * @param {number} from
 * @param {number} to
 * @returns {Bucket}
 */
export function merge(seconds, from, to) {
  /** @type {Bucket} */
  const whole = { count: 0, wrong: 0, sum: 0, max: 0, bins: new Map() };
  for (let at = from; at < to; at += 1) {
    const bucket = seconds.get(at);
    if (bucket) {
      whole.count += bucket.count;
      whole.wrong += bucket.wrong;
      whole.sum += bucket.sum;
      whole.max = Math.max(whole.max, bucket.max);
      bucket.bins.forEach((count, bin) => whole.bins.set(bin, (whole.bins.get(bin) ?? 0) + count));
    }
  }
  return whole;
}

/**
 * A quantile in milliseconds; null without samples. Inside its bin it is looked for as if the samples were spread evenly by
 * their logarithm, as Prometheus does in its native histograms: told by whole bins, a tenth more would count as a fifth.
 * @param {Bucket} bucket
 * @param {number} q
 */
export function quantile({ count, bins, max }, q) {
  let left = count * q;
  for (const bin of [...bins.keys()].sort((a, b) => a - b)) {
    const inside = bins.get(bin) ?? 0;
    if (left <= inside) {
      return Math.min(max, BIN_FROM_MS * BIN_GROWTH ** (bin + left / inside));
    }
    left -= inside;
  }
  return count > 0 ? max : null;
}

/**
 * The highest mean of a metric in so many seconds; of all of them where it was not noted for as long.
 * @param {Map<number, number>} seconds
 * @param {number} windowS
 */
export function busiest(seconds, windowS) {
  const all = [...seconds.keys()].sort((a, b) => a - b);
  const [first, last] = [all[0], all[all.length - 1]];
  let most = -Infinity;
  for (let from = first; from <= Math.max(first, last - windowS + 1); from += 1) {
    most = Math.max(most, meanOf(seconds, from, from + windowS) ?? -Infinity);
  }
  return most;
}

/**
 * The longest time in which a metric was not noted, in seconds.
 * @param {Map<number, number>} seconds
 */
export function longestGap(seconds) {
  const all = [...seconds.keys()].sort((a, b) => a - b);
  return Math.max(0, ...all.slice(1).map((at, i) => at - all[i]));
}

/**
 * The lowest of a metric in these seconds, null where nothing was noted.
 * @param {Map<number, number> | undefined} seconds
 * @param {number} from
 * @param {number} to
 */
export function leastOf(seconds, from, to) {
  const all = [...(seconds ?? [])].filter(([at]) => at >= from && at < to).map(([, value]) => value);
  return all.length > 0 ? Math.min(...all) : null;
}

/**
 * The mean of a metric in these seconds, null where nothing was noted.
 * @param {Map<number, number> | undefined} seconds
 * @param {number} from
 * @param {number} to
 */
export function meanOf(seconds, from, to) {
  let sum = 0;
  let count = 0;
  for (let at = from; at < to; at += 1) {
    const value = seconds?.get(at);
    if (value !== undefined) {
      sum += value;
      count += 1;
    }
  }
  return count > 0 ? sum / count : null;
}
