// Where the service spent its time during a run: from two looks at its /metrics, before and after.

/**
 * A share of the work: how often, and how many seconds in all.
 * @typedef {{count: number, seconds: number}} Layer
 * @typedef {object} Layers
 * @property {Record<string, Layer>} routes by `METHOD route`, answered with success or refused
 * @property {Record<string, Layer>} scripts by name
 * @property {Layer} poolWait
 * @property {Layer} batches transactions of the ledger
 * @property {number} batched payments and charges in them
 */

/** The routes of the requests, as the tests call these. */
export const ROUTES = {
  token: 'POST /auth/token',
  position: 'GET /queue/position',
  leave: 'POST /queue/leave',
  dates: 'GET /reservations/available/dates',
  seats: 'GET /reservations/available/seat',
  reserve: 'POST /reservations',
  balance: 'GET /points/balance',
  charge: 'POST /points/charge',
  pay: 'POST /reservations/pay',
};

/**
 * @param {string} before
 * @param {string} after
 * @returns {Layers}
 */
export function readLayers(before, after) {
  const [start, end] = [read(before), read(after)];
  const grown = (/** @type {string} */ series) => (end.get(series) ?? 0) - (start.get(series) ?? 0);
  /** @type {Layers} */
  const layers = { routes: {}, scripts: {}, poolWait: layer(), batches: layer(), batched: 0 };
  for (const series of end.keys()) {
    const [, name, labels = ''] = /^([a-z_]+)_sum(?:\{(.*)\})?$/.exec(series) ?? [];
    if (!name) {
      continue;
    }
    const counted = grown(series.replace(`${name}_sum`, `${name}_count`));
    const add = (/** @type {Layer} */ to) => {
      to.count += counted;
      to.seconds += grown(series);
    };
    const label = (/** @type {string} */ of) => new RegExp(`${of}="([^"]*)"`).exec(labels)?.[1] ?? '';
    if (name === 'http_request_duration_seconds') add((layers.routes[`${label('method')} ${label('route')}`] ??= layer()));
    if (name === 'redis_script_duration_seconds') add((layers.scripts[label('script')] ??= layer()));
    if (name === 'db_pool_wait_seconds') add(layers.poolWait);
    if (name === 'anteroom_ledger_batch_seconds') add(layers.batches);
    if (name === 'anteroom_ledger_batch_size') layers.batched += grown(series);
  }
  return layers;
}

/** @returns {Layer} */
const layer = () => ({ count: 0, seconds: 0 });

/** @param {string} text */
function read(text) {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** The mean of a layer in milliseconds; null where it never happened. @param {Layer | undefined} layer */
export const meanMs = (layer) => (layer && layer.count > 0 ? (layer.seconds / layer.count) * 1_000 : null);
