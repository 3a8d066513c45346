/**
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) over bytes in hexadecimal: a mini-program has no cryptography of its own, and
 * who wants to recompute a draw trusts nobody else to hash. It guards no secret, so it need not be constant in time.
 */

import { asciiHex } from "../lib/draw_proof.js";

const BLOCK_BYTES = 64;
const WORD = 2 ** 32;

/** The first 32 bits of the fractional parts of the roots of the first primes (4.2.2, 5.3.3). */
const PRIMES = primes(64);
const K = PRIMES.map((prime) => fraction(Math.cbrt(prime)));
const FIRST = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

/** @param {number} count @returns {number[]} */
function primes(count) {
  /** @type {number[]} */
  const found = [];
  for (let next = 2; found.length < count; next += 1) if (found.every((prime) => next % prime)) found.push(next);
  return found;
}

/** @param {number} root */
function fraction(root) {
  return Math.floor((root - Math.floor(root)) * WORD);
}

/** @param {number[]} bytes @returns {number[]} */
function digest(bytes) {
  const bits = bytes.length * 8;
  const zeros = (BLOCK_BYTES * 2 - 9 - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES;
  const length = [Math.floor(bits / WORD), bits % WORD].flatMap(wordBytes);
  const padded = [...bytes, 0x80, ...new Array(zeros).fill(0), ...length];
  const state = [...FIRST];
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) mix(state, padded.slice(at, at + BLOCK_BYTES));
  return state.flatMap(wordBytes);
}

/**
 * One block into the state (6.2.2).
 * @param {number[]} state
 * @param {number[]} block
 */
function mix(state, block) {
  const w = Array.from({ length: 16 }, (_, i) => block.slice(i * 4, i * 4 + 4).reduce((sum, byte) => sum * 256 + byte, 0));
  for (let i = 16; i < 64; i += 1) {
    const s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w.push((w[i - 16] + s0 + w[i - 7] + s1) >>> 0);
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const t1 = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
    const t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) >>> 0, c, b, a, (t1 + t2) >>> 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => {
    state[i] = (state[i] + word) >>> 0;
  });
}

/** @param {number} word @param {number} by */
function turn(word, by) {
  return (word >>> by) | (word << (32 - by));
}

/** @param {number} word @returns {number[]} */
function wordBytes(word) {
  return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
}

/** @param {string} hex @returns {number[]} */
function bytesOf(hex) {
  return (hex.match(/../g) || []).map((pair) => Number.parseInt(pair, 16));
}

/** @param {number[]} bytes */
function hexOf(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} hex
 * @returns {string}
 */
export function sha256(hex) {
  return hexOf(digest(bytesOf(hex)));
}

/**
 * @param {string} key in hexadecimal
 * @param {string} text ASCII
 * @returns {string}
 */
export function hmac(key, text) {
  const whole = bytesOf(key);
  const short = whole.length > BLOCK_BYTES ? digest(whole) : whole;
  const padded = [...short, ...new Array(BLOCK_BYTES - short.length).fill(0)];
  const inner = digest([...padded.map((byte) => byte ^ 0x36), ...bytesOf(asciiHex(text))]);
  return hexOf(digest([...padded.map((byte) => byte ^ 0x5c), ...inner]));
}
