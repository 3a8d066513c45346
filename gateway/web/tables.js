/** Tables of the consoles; each cell carries its heading for narrow screens. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

/**
 * @param {string[]} heads keys of the headings; "" for none
 * @param {HTMLElement[]} rows
 */
export function table(heads, rows) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name && t(name))))),
    h("tbody", {}, rows),
  );
}

/** @param {string} label key of the column's heading */
export const cell = (label, ...content) => h("td", { "data-label": label && t(label) }, content);
