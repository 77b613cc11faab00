// The requests of the contract, each with a name: its figures and its errors are counted under it.
//
// A request is described first and sent then, so that a test can say that another answer is right here as well:
// `send(orElse(reserve(...), 409), token)`.

import http from 'k6/http';
import { Rate } from 'k6/metrics';
import { BASE_URL } from './config.js';

/** Answers that were not the right ones, by request. */
export const errors = new Rate('errors');

/**
 * @typedef {object} Call
 * @property {string} name
 * @property {string} method
 * @property {string} url
 * @property {object} [body]
 * @property {string} [key] an Idempotency-Key
 * @property {string} [ifMatch]
 * @property {number[]} expected the statuses that are right
 * @property {boolean} [unread] the body stays text: a long list is too much to parse for who wants one of it (a third of k6's time)
 */

/**
 * @typedef {object} Answer
 * @property {number} status 0 when there was none
 * @property {any} body what the JSON says, null without any; the text itself for what was to stay unread
 * @property {string} code the stable name of a refusal; empty for an answer that is none
 * @property {Record<string, string>} headers
 * @property {boolean} right
 * @property {number} ms how long it took
 */

/**
 * @param {string} name
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Call}
 */
const call = (name, method, path, body) => ({ name, method, url: BASE_URL + path, body, expected: [200] });

/**
 * The same call where other statuses are right answers too.
 * @param {Call} c
 * @param {...number} statuses
 * @returns {Call}
 */
export const orElse = (c, ...statuses) => ({ ...c, expected: [...c.expected, ...statuses] });

/**
 * The same call where only this status is right.
 * @param {Call} c
 * @param {number} status
 * @returns {Call}
 */
export const only = (c, status) => ({ ...c, expected: [status] });

/** @param {import('./accounts.js').Account} who */
export const login = ({ username, password }) => call('token', 'POST', '/auth/token', { username, password });
export const position = () => call('position', 'GET', '/queue/position');
export const leave = () => only(call('leave', 'POST', '/queue/leave'), 204);
export const dates = () => call('dates', 'GET', '/reservations/available/dates');

/** The same as text, for `shownSeats` of `stock.js`. */
export const datesAsText = () => ({ ...dates(), unread: true });

/** @param {string} scheduleId */
export const seats = (scheduleId) => call('seats', 'GET', `/reservations/available/seat?scheduleId=${scheduleId}`);

/**
 * The same as text, for `anySeat` of `stock.js`.
 * @param {string} scheduleId
 * @returns {Call}
 */
export const seatsAsText = (scheduleId) => ({ ...seats(scheduleId), unread: true });

/** @param {string} scheduleId */
export const allSeats = (scheduleId) =>
  call('all seats', 'GET', `/reservations/available/seat?scheduleId=${scheduleId}&all=true`);

/**
 * @param {string} scheduleId
 * @param {string} seatId
 */
export const reserve = (scheduleId, seatId) => call('reserve', 'POST', '/reservations', { scheduleId, seatId });

/**
 * @param {string} scheduleId
 * @param {string[]} seatIds
 */
export const basket = (scheduleId, seatIds) => call('basket', 'POST', '/reservations', { scheduleId, seatIds });

export const reservations = () => call('reservations', 'GET', '/reservations');

/** @param {string} id */
export const cancel = (id) => only(call('cancel', 'DELETE', `/reservations/${id}`), 204);

export const balance = () => call('balance', 'GET', '/points/balance');

/**
 * @param {number} amount
 * @param {string} [key]
 * @returns {Call}
 */
export const charge = (amount, key) => ({ ...call('charge', 'POST', '/points/charge', { amount }), key });

/** @param {{reservationId: string, amount: number}} reservation */
export const pay = ({ reservationId, amount }) =>
  call('pay', 'POST', '/reservations/pay', { reservationId, amount });

/** @type {() => Record<string, string>} */
let moment = () => ({});

/**
 * From now on every request and every error of this VU carries these tags as well, such as the stage of the test.
 * @param {() => Record<string, string>} tags
 */
export function tagEach(tags) {
  moment = tags;
}

/** @type {(name: string, answer: Answer) => void} */
let listener = () => {};

/**
 * From now on every answer of this VU is told to this function as well, with the name of its request.
 * @param {(name: string, answer: Answer) => void} listen
 */
export function listenTo(listen) {
  listener = listen;
}

/**
 * Sends a call and judges the answer.
 * @param {Call} c
 * @param {string} [token]
 * @returns {Promise<Answer>}
 */
export async function send(c, token) {
  const tags = { ...moment(), name: c.name };
  const answer = await answerTo(c, token, tags);
  errors.add(!answer.right, tags);
  listener(c.name, answer);
  if (!answer.right) {
    complain(c, answer);
  }
  return answer;
}

/**
 * @param {Call} c
 * @param {string | undefined} token
 * @param {Record<string, string>} tags
 * @returns {Promise<Answer>}
 */
async function answerTo(c, token, tags) {
  let response;
  try {
    response = await http.asyncRequest(c.method, c.url, c.body ? JSON.stringify(c.body) : null, {
      headers: headersOf(c, token),
      tags,
      responseCallback: rightWhere(c.expected),
      timeout: '30s',
    });
  } catch (refused) {
    return { status: 0, body: null, code: String(refused), headers: {}, right: false, ms: NaN };
  }
  const status = response.status;
  const body = c.unread && status === 200 ? String(response.body) : bodyOf(response);
  return { status, body, code: body?.code ?? response.error ?? '', headers: response.headers, right: c.expected.includes(status), ms: response.timings.duration };
}

/** @type {Map<string, ReturnType<typeof http.expectedStatuses>>} */
const right = new Map();

/**
 * Made once for each list of statuses that there is.
 * @param {number[]} statuses
 */
function rightWhere(statuses) {
  const list = statuses.join();
  const known = right.get(list) ?? http.expectedStatuses(...statuses);
  right.set(list, known);
  return known;
}

/**
 * @param {Call} c
 * @param {string} [token]
 */
function headersOf(c, token) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (c.body) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  if (c.key) headers['Idempotency-Key'] = c.key;
  if (c.ifMatch) headers['If-Match'] = c.ifMatch;
  return headers;
}

/**
 * @param {import('k6/http').RefinedResponse<any>} response
 * @returns {any}
 */
function bodyOf(response) {
  if (!response.body || !/json/.test(response.headers['Content-Type'] ?? '')) {
    return null;
  }
  try {
    // Unlike `response.json()`, this keeps the order of the names, so that answers can be compared.
    return JSON.parse(String(response.body));
  } catch {
    return null;
  }
}

/** How often each VU says what was wrong; the figures tell how often it was. */
const COMPLAINTS = 3;
let complaints = 0;

/**
 * @param {Call} c
 * @param {Answer} answer
 */
function complain(c, answer) {
  complaints += 1;
  if (complaints <= COMPLAINTS) {
    const said = answer.body ? JSON.stringify(answer.body).slice(0, 300) : answer.code;
    console.error(`${c.name}: ${c.method} ${c.url} answered ${answer.status}, not ${c.expected.join(' or ')}: ${said}`);
  }
}
