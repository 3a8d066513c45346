/**
 * Keeping order in a room's chat: who may do what about a line, and how that is asked of the hub. The pages and the
 * mini-program offer by this what the server would grant (docs/hub.md, "Who may do what"); the server has the last word.
 */

const KEEPERS = new Set(["moderator", "assistant", "host", "merchant"]);
const HEADS = new Set(["host", "merchant"]);
const MUTE_S = 600;
/** Who is no head bans for a day at most; a minute less, as our clock is not the server's. */
const KEEPER_BAN_MS = (24 * 60 - 1) * 60_000;

/** @typedef {"recall"|"mute"|"ban"|"appoint"|"dismiss"} Action */
/** @typedef {"appointed"|"dismissed"|"muted"|"unmuted"} Change */
/** @typedef {{person?: string, role?: string, muted?: number}} Standing who somebody is in the room, as the hub says */
/** @typedef {{from?: {person?: string, role?: string}, o?: number|null}} Line of chat, as the hub says it */

/** @param {string|undefined} role */
export const keepsOrder = (role) => KEEPERS.has(role ?? "");
/** @param {string|undefined} role */
export const isHead = (role) => HEADS.has(role ?? "");

/**
 * @param {Standing} you who looks
 * @param {Line} line
 * @returns {Action[]} what they may do about it, in the order to show; none for their own and for those of equals
 */
export function actionsOn(you, { from, o }) {
  if (!from?.person || !keepsOrder(you.role) || from.person === you.person) return [];
  // A line that was shown to few has no place in the history, and is gone soon anyway.
  /** @type {Action[]} */
  const recall = o ? ["recall"] : [];
  if (from.role === "moderator" && isHead(you.role)) return [...recall, "dismiss"];
  if (keepsOrder(from.role)) return [];
  return isHead(you.role) ? [...recall, "mute", "ban", "appoint"] : [...recall, "mute", "ban"];
}

/**
 * @param {Action} action
 * @param {Line} line
 * @param {Standing} you who asks for it
 * @param {number} now the server's time (Unix ms)
 * @returns {[string, Record<string, unknown>]} the hub's command and its arguments
 */
export function commandFor(action, { from, o }, you, now) {
  const person = from?.person;
  if (action === "recall") return ["recall", { offset: o }];
  if (action === "mute") return ["mute", { person, seconds: MUTE_S }];
  if (action === "ban") return ["ban", isHead(you.role) ? { person } : { person, until_ms: Math.floor(now) + KEEPER_BAN_MS }];
  return [action === "appoint" ? "moderator.add" : "moderator.remove", { person }];
}

/**
 * What somebody is to be told when they are another than before. Muted to a later moment is muted anew: the mute before
 * may be over by then.
 * @param {Standing} before
 * @param {Standing} now
 * @returns {Change[]}
 */
export function standingChanges(before, now) {
  /** @type {Change[]} */
  const changes = [];
  if (now.role !== before.role && keepsOrder(now.role)) changes.push("appointed");
  else if (keepsOrder(before.role) && !keepsOrder(now.role)) changes.push("dismissed");
  if ((now.muted ?? 0) > (before.muted ?? 0)) changes.push("muted");
  else if (before.muted && !now.muted) changes.push("unmuted");
  return changes;
}
