/** A draw recomputed by the rule of docs/draws.md, for the browser's page and the mini-program: what hashes is given. */

/** Bytes of a score that a cut of a packet is made of. */
const CUT_BYTES = 8;

/**
 * What a client has to hash with; all in and out are lower-case hexadecimal, but `text`, which is ASCII.
 * @typedef {{sha256: (hex: string) => string|Promise<string>,
 *   hmac: (key: string, text: string) => string|Promise<string>}} Hashes
 */

/** @param {string} text ASCII */
export const asciiHex = (text) => [...text].map((one) => one.charCodeAt(0).toString(16).padStart(2, "0")).join("");

/**
 * Recompute a drawn draw.
 * @param {{draw: any, tickets: any[]}} proof the answer of GET /draws/{draw}
 * @param {Hashes} hashes
 * @returns {Promise<{seed: boolean, same: boolean}>} whether the seed is the promised one, and the winners the same
 */
export async function recompute({ draw, tickets }, { sha256, hmac }) {
  const root = await sha256(asciiHex(tickets.map((entry) => `${entry.ticket}\n`).join("")));
  const key = await sha256(draw.seed + root);
  // A void ticket is in the root, and cannot win.
  const good = tickets.filter((entry) => !entry.void);
  const scored = await Promise.all(good.map(async (entry) => ({ score: await hmac(key, entry.ticket), entry })));
  scored.sort((left, right) => (left.score < right.score ? -1 : 1));
  const parts = draw.pool ? await shares(draw, (text) => hmac(key, text)) : [];
  const won = tickets.filter((entry) => entry.place !== null).length;
  const same =
    won === draw.won &&
    scored.slice(0, won).every(({ entry }, place) => entry.place === place && entry.amount === (parts[place] ?? 0));
  return { seed: (await sha256(draw.seed)) === draw.commitment, same };
}

/**
 * @param {{pool: number, winners: number, least: number}} packet
 * @param {(text: string) => string|Promise<string>} sign
 * @returns {Promise<number[]>} the packet's shares, 分
 */
async function shares({ pool, winners, least }, sign) {
  const rest = pool - winners * least;
  const cuts = [];
  for (let i = 1; i < winners; i += 1) cuts.push(modulo((await sign(`cut:${i}`)).slice(0, CUT_BYTES * 2), rest + 1));
  const all = [0, ...cuts.sort((left, right) => left - right), rest];
  return all.slice(1).map((after, i) => least + after - all[i]);
}

/**
 * A long number modulo a small one, digit by digit: phones of some age have no BigInt.
 * @param {string} hex
 * @param {number} divisor below 2 ** 49, so that no step leaves the whole numbers
 */
function modulo(hex, divisor) {
  let rest = 0;
  for (const digit of hex) rest = (rest * 16 + Number.parseInt(digit, 16)) % divisor;
  return rest;
}
