/** Sentences, amounts and times: what the tables of texts have in common. */

/** @typedef {Record<string, [string, string]>} Texts Chinese, English */
/** @typedef {(key: string, values?: Record<string, string|number>) => string} Speak */

/** The shop's days and hours, wherever the phone is. */
const SHANGHAI_MS = 8 * 3600_000;

/** @type {0|1} */
const LANGUAGE = /^zh/i.test(wx.getAppBaseInfo().language || "zh") ? 0 : 1;

/**
 * @param {Texts} texts
 * @returns {Speak} the text of a key in the phone's language; the key itself when there is none
 */
export function speaker(texts) {
  return (key, values = {}) => {
    const text = texts[key]?.[LANGUAGE] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
}

/**
 * The texts that a page shows as they are, for its `data`.
 * @param {Texts} texts
 * @returns {Record<string, string>}
 */
export function wordsOf(texts) {
  return Object.fromEntries(Object.entries(texts).map(([key, pair]) => [key, pair[LANGUAGE]]));
}

/**
 * A sentence for an error of the hub, the API or WeChat, by its code; its own words for one that is not known.
 * @param {Speak} t
 * @param {any} error
 * @returns {string}
 */
export function explain(t, error) {
  const key = `error.${error?.code}`;
  const text = t(key);
  return text === key ? error?.message || t("error.unknown") : text;
}

/**
 * Money from 分, such as "¥9.90"; whole yuan without decimals.
 * @param {number} fen
 * @returns {string}
 */
export function money(fen) {
  return `${fen < 0 ? "−" : ""}¥${(Math.abs(fen) / 100).toFixed(fen % 100 ? 2 : 0)}`;
}

/**
 * Time left as "02:31".
 * @param {number} milliseconds
 * @returns {string}
 */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/**
 * Date and time of day in the shop's zone, such as "11-22 20:05". `Intl` is not on every phone.
 * @param {number} ms Unix milliseconds
 * @returns {string}
 */
export function when(ms) {
  const at = new Date(ms + SHANGHAI_MS);
  return `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

/**
 * A day with its year, in the shop's zone.
 * @param {number} ms Unix milliseconds
 * @returns {string}
 */
export function day(ms) {
  return new Date(ms + SHANGHAI_MS).toISOString().slice(0, 10);
}

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, "0");
}
