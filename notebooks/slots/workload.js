"use strict";
/* The visitors and their requests, and how long feeds take. All times are in seconds. */

const SUBMIT = "submit", PAGE = "page", POLL = "poll", BROWSE = "browse"; // the kinds of request

/* The workload. Times of requests are mean times in a slot, about as measured in loadtests/example/results.json. */
const WORK = {
  think: 2, submitters: 0.7, submit: 0.004, page: 0.0015, poll: 0.001, browse: 0.0015,
  firstPause: 0.5, longestPause: 4, // as in feedreader/waiting.py, without what that knows of a feed's turn
};

/* How long a feed takes: like the kinds `typical` and `hang` of loadtests/feedserver/kinds.py. */
const TYPICAL_MEDIAN = 0.3, TYPICAL_SIGMA = 0.5, TYPICAL_CAP = 2;
function feedTime(random, hanging) {
  if (random() < hanging) return Infinity;
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()); // Box and Muller
  return Math.min(TYPICAL_MEDIAN * Math.exp(TYPICAL_SIGMA * normal), TYPICAL_CAP);
}

/* Random numbers from 0 up to 1, the same for the same seed (Mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/* How many of the visitors add feeds: at least 1 unless the share is 0. A half goes to the even number. */
function submittersAmong(visitors, share) {
  const rounded = Math.round(share * visitors);
  const even = (share * visitors) % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
  return share && visitors ? Math.max(1, even) : 0;
}
