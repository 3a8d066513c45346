/** The page's contents: a row of links to its panels, those that this account has. */

import { $, h, put } from "./dom.js";
import { t } from "./i18n.js";

/** Draw the row anew: panels come and go with what an account may see. */
export function drawJump() {
  const links = [...document.querySelectorAll(".merchant-grid > .panel")].flatMap((panel) => {
    const title = panel.querySelector("h2[data-t]");
    if (!title || panel.offsetParent === null) return [];
    const go = () => panel.scrollIntoView({ behavior: "smooth", block: "start" });
    return [h("button.small", { type: "button", on: { click: go } }, t(title.dataset.t))];
  });
  put($("jump"), links);
}
