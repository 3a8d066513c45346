/** What the shop lets pop up for this viewer: asked for after coming in, shown as often as its caps allow. */

import { h, picture, put, sheet, toast } from "./dom.js";
import { explain, t } from "./i18n.js";

const WAIT_MS = 4000;
const AGAIN_MS = 300000;

/**
 * Ask now and then until the page goes.
 * @param {import("./api.js").Api} api
 * @param {string} room
 * @param {(drop: string) => Promise<any>} claim takes a coupon of a drop
 */
export function watchPopups(api, room, claim) {
  const ask = async () => {
    try {
      if (!document.hidden && !document.querySelector("dialog[open]")) await showNext(api, room, claim);
    } catch (error) {
      // Nobody came to see a pop-up: it is left out, and said where a developer looks.
      console.warn("pop-up", error);
    }
    setTimeout(ask, AGAIN_MS);
  };
  setTimeout(ask, WAIT_MS);
}

async function showNext(api, room, claim) {
  const { popup } = await api.post(`/rooms/${encodeURIComponent(room)}/popups/next`);
  if (!popup) return;
  const window = sheet({ title: popup.title, testid: "popup", className: "popup", closeLabel: t("common.close") });
  const act = async () => {
    try {
      await api.post(`/popups/${popup.popup}/click`);
      if (popup.drop) await claim(popup.drop);
      window.close();
      if (popup.url) location.assign(popup.url);
    } catch (error) {
      toast(explain(error), "error");
    }
  };
  put(
    window.body,
    popup.image && picture(popup.image, popup.title),
    h("p", {}, popup.text),
    (popup.drop || popup.url) &&
      h(
        "button.primary",
        { type: "button", "data-testid": "popup-act", on: { click: act } },
        t(popup.drop ? "popup.take" : "popup.look"),
      ),
  );
}
