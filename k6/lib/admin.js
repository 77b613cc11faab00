// The operators' side: settings for a test, figures during it, and what must be true after it.

import http from 'k6/http';
import { check } from 'k6';
import { Counter, Rate } from 'k6/metrics';
import { send } from './api.js';
import { ADMIN_TOKEN, ADMIN_URL, ROOM } from './config.js';

const held = new Rate('invariants');
const asked = new Counter('invariants_checked');

/** Whether this run can reach the operators' listener. */
export const isOperator = ADMIN_URL !== '' && ADMIN_TOKEN !== '';

/** Thresholds for `askInvariants`, where it can be asked. @type {Record<string, string[]>} */
export const invariantGoals = isOperator ? { invariants: ['rate==1'], invariants_checked: ['count>0'] } : {};

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {import('./api.js').Call}
 */
const call = (method, path, body) => ({ name: 'admin', method, url: ADMIN_URL + path, body, expected: [200] });

/**
 * Asks the service whether every invariant holds, and counts each. For `teardown`.
 * @returns {Promise<void>}
 */
export async function askInvariants() {
  if (!isOperator) {
    console.warn('invariants were not asked for: there is neither READY_FILE nor ADMIN_URL with ADMIN_TOKEN');
    return;
  }
  const answer = await send(call('GET', '/admin/invariants'), ADMIN_TOKEN);
  const checks = answer.body?.checks ?? [];
  for (const { name, ok, detail } of checks) {
    held.add(ok, { invariant: name });
    asked.add(1);
    if (!ok) {
      console.error(`the invariant '${name}' does not hold: ${detail}`);
    }
  }
  check(answer, { 'every invariant holds': (a) => a.body?.ok === true });
}

/**
 * Changes settings of the room, and says which they were and how the room is set now.
 * @param {Record<string, unknown>} settings
 * @returns {Promise<{before: Record<string, unknown>, now: any}>}
 */
export async function changeRoom(settings) {
  const before = await send(call('GET', `/admin/rooms/${ROOM}`), ADMIN_TOKEN);
  const change = { ...call('PATCH', `/admin/rooms/${ROOM}`, settings), ifMatch: before.headers.Etag };
  const after = await send(change, ADMIN_TOKEN);
  const taken = Object.keys(settings).every((name) => after.body?.[name] === settings[name]);
  if (!before.right || !after.right || !taken) {
    throw new Error(`the room's settings could not be changed: ${after.status} ${JSON.stringify(after.body)}`);
  }
  return { before: Object.fromEntries(Object.keys(settings).map((name) => [name, before.body[name]])), now: after.body };
}

/**
 * Where an account stands, as operators see it.
 * @param {string} userId
 * @param {number} expected the status that is right
 */
export const placeOf = (userId, expected) =>
  send({ ...call('GET', `/admin/rooms/${ROOM}/places/${userId}`), expected: [expected] }, ADMIN_TOKEN);

/**
 * Every series of `/metrics` with its value, by its name with labels; null when there was no answer.
 * @returns {Promise<Map<string, number> | null>}
 */
export async function readMetrics() {
  const response = await http.asyncRequest('GET', `${ADMIN_URL}/metrics`, null, { tags: { name: 'metrics' } });
  if (response.status !== 200) {
    return null;
  }
  const lines = String(response.body).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/**
 * The value of a series of `/metrics`, such as `anteroom_visits_active{room="main"}`; null when it is not there.
 * @param {string} series
 * @returns {Promise<number | null>}
 */
export const metric = async (series) => (await readMetrics())?.get(series) ?? null;
