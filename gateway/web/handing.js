/** Who can hand goods over, how, and when: the rules behind a choice of stores, for the browser's page and the mini-program. */

/** All there are, in the order in which they are offered. */
const WAYS = ["express", "pickup", "courier"];
const SHANGHAI_MS = 8 * 3600_000;
const DAY_MS = 24 * 3600_000;

/**
 * The ways that the shop or one of its stores offers.
 * @param {string[]} ways of GET /ways
 * @param {any[]} outlets of GET /outlets
 * @returns {string[]}
 */
export function offered(ways, outlets) {
  const every = new Set([...ways, ...outlets.flatMap((one) => one.offers)]);
  return WAYS.filter((way) => every.has(way));
}

/**
 * Whether a store can take the order now; where the buyer is may be unknown still.
 * @param {any} outlet
 * @param {string} way
 * @param {boolean} located whether the server knew where the buyer is
 * @returns {boolean}
 */
export function canTake(outlet, way, located) {
  return outlet.has !== false && (outlet.ways.includes(way) || (way === "courier" && !located && outlet.open));
}

/**
 * Why a store cannot be chosen.
 * @param {any} outlet
 * @param {string} way
 * @param {boolean} located
 * @returns {""|"out"|"shut"|"far"}
 */
export function whyNot(outlet, way, located) {
  if (outlet.has === false) return "out";
  if (!outlet.open) return "shut";
  return canTake(outlet, way, located) ? "" : "far";
}

/**
 * Today's hours of a store by the shop's clock.
 * @param {any} outlet
 * @param {number} now Unix ms
 * @returns {{from: string, until: string}|"closed"|null} null for one that is always open
 */
export function hoursToday(outlet, now) {
  if (!outlet.hours.length) return null;
  // The first of January 1970 was a Thursday; the shop's week begins on Monday.
  const [since, until] = outlet.hours[(Math.floor((now + SHANGHAI_MS) / DAY_MS) + 3) % 7];
  const clock = (/** @type {number} */ minute) => `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, "0")}`;
  return since === until ? "closed" : { from: clock(since), until: clock(until) };
}
