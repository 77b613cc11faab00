// Whether a line was a line: told from outside, by what its visitors saw.

import encoding from 'k6/encoding';
import { isActive } from './visit.js';

/**
 * What is remembered of one visitor. Times are in milliseconds: `pressedAt` and `answeredAt` by our clock, the others by
 * the service's, so that no poll's granularity blurs them.
 * @typedef {object} Story
 * @property {number} pressedAt
 * @property {number} answeredAt
 * @property {number} number the place in line, as the token has it
 * @property {number | null} position the last one told
 * @property {boolean} fellBack whether a position was ever behind the one before
 * @property {number} knownAt when the password was seen to be verified, at the latest: until then one may be passed over
 * @property {number} admittedAt
 */

/**
 * Writes a visitor's story while it happens.
 * @param {number} visitMs how long a visit of the room is
 */
export function storyteller(visitMs) {
  /** @type {Story} */
  const story = {
    pressedAt: NaN,
    answeredAt: NaN,
    number: NaN,
    position: null,
    fellBack: false,
    knownAt: NaN,
    admittedAt: NaN,
  };
  /** @type {import('./visit.js').Watcher} */
  const watch = (visitor, askedAt, answeredAt) => {
    if (Number.isNaN(story.pressedAt)) {
      Object.assign(story, { pressedAt: askedAt, answeredAt });
    }
    const { place } = visitor;
    if (!place) {
      return;
    }
    if (place.token) {
      story.number = numberIn(place.token);
    }
    if (place.position !== null) {
      story.fellBack = story.fellBack || (story.position !== null && place.position > story.position);
      story.position = place.position;
    }
    if (place.status !== 'verifying' && Number.isNaN(story.knownAt)) {
      story.knownAt = Date.parse(place.serverTime);
    }
    if (isActive(visitor)) {
      story.admittedAt = Date.parse(String(place.activeUntil)) - visitMs;
    }
  };
  return { story, watch };
}

/**
 * Those who have an earlier number than somebody whose login was answered before they had even pressed.
 * @param {Story[]} stories
 */
export function jumpedAtTheDoor(stories) {
  let latestPress = -Infinity;
  return byNumber(stories).filter(({ pressedAt, answeredAt }) => {
    const jumped = answeredAt < latestPress;
    latestPress = Math.max(latestPress, pressedAt);
    return jumped;
  });
}

/**
 * Pairs in which the one with the later number was admitted first, although the other one was verified by then; and how
 * many pairs could have been such.
 * @param {Story[]} stories
 */
export function jumpedInLine(stories) {
  const line = byNumber(stories);
  let pairs = 0;
  let jumped = 0;
  line.forEach((earlier, i) => {
    for (let j = i + 1; j < line.length; j += 1) {
      if (line[j].admittedAt > earlier.knownAt) {
        pairs += 1;
        jumped += line[j].admittedAt < earlier.admittedAt ? 1 : 0;
      }
    }
  });
  return { pairs, jumped };
}

/** @param {Story[]} stories */
const byNumber = (stories) =>
  stories.filter(({ number }) => !Number.isNaN(number)).sort((a, b) => a.number - b.number);

/**
 * @param {string} token
 * @returns {number} NaN for who has none
 */
function numberIn(token) {
  const claims = JSON.parse(String(encoding.b64decode(token.split('.')[1], 'rawurl', 's')));
  return claims.number ?? NaN;
}
