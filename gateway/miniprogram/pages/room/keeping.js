/** What somebody who keeps order here may do about a line of chat, by a long press on it. */

const MUTE_S = 600;
/** Who is no head bans for a day at most; a minute less, as our clock is not the server's. */
const KEEPER_BAN_MS = (24 * 60 - 1) * 60_000;
const KEEPERS = new Set(["moderator", "assistant", "host", "merchant"]);
const HEADS = new Set(["host", "merchant"]);

/** @typedef {{say: string, cmd: string, fields: Record<string, unknown>}} Act a text's key and a command of the hub */

/** @param {string|undefined} role */
export const keepsOrder = (role) => KEEPERS.has(role ?? "");

/**
 * @param {{person: string, role: string, offset: number|null}} line as the page shows it
 * @param {{person?: string, role?: string}} you who looks, as the hub says
 * @param {number} now the server's time (Unix ms)
 * @returns {Act[]} in the order of the sheet; none for who may do nothing about this line
 */
export function actsOn({ person, role, offset }, you, now) {
  if (!person || !keepsOrder(you.role) || keepsOrder(role) || person === you.person) return [];
  const until = HEADS.has(you.role ?? "") ? {} : { until_ms: Math.floor(now) + KEEPER_BAN_MS };
  const recall = { say: "recall", cmd: "recall", fields: { offset } };
  return [
    // A line that was shown to few has no place in the history, and is gone soon anyway.
    ...(offset === null ? [] : [recall]),
    { say: "mute", cmd: "mute", fields: { person, seconds: MUTE_S } },
    { say: "ban", cmd: "ban", fields: { person, ...until } },
  ];
}
