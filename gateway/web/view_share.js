/** Sharing mints a link of one's own, a child of the link one came by (A3). */

import { copy, h, icon, put, sheet, toast } from "./dom.js";
import { explain, t } from "./i18n.js";

/**
 * @param {{api: import("./api.js").Api, room: string, title: string, scene: string|null}} options
 */
export async function openShare({ api, room, title, scene }) {
  const window = sheet({ title: t("share.title"), testid: "share-sheet", closeLabel: t("common.close") });
  put(window.body, h("p.empty", {}, t("common.loading")));
  let link;
  try {
    link = await mint(api, room, scene);
  } catch (error) {
    put(window.body, h("p.empty", {}, explain(error)));
    return;
  }
  const url = new URL(link.url, location.origin).href;
  const field = h("input.share-url", {
    readonly: true,
    value: url,
    "data-testid": "share-url",
    "aria-label": t("share.copy"),
  });
  field.addEventListener("focus", () => field.select());
  const copyUrl = async () => {
    if (await copy(url)) toast(t("share.copied"), "good");
  };
  put(
    window.body,
    h("p.share-text", {}, t("share.text")),
    field,
    h(
      "button.primary.wide",
      { type: "button", "data-testid": "share-copy", on: { click: copyUrl } },
      icon("copy"),
      t("share.copy"),
    ),
    navigator.share &&
      h(
        "button.quiet.wide",
        { type: "button", on: { click: () => system(url, title) } },
        icon("share"),
        t("share.system"),
      ),
  );
  // The tap that opened the sheet may still allow it; else the button is there.
  await copyUrl();
}

/** A link that lapsed or was mistyped has no children; one can still share, as the first of a line. */
async function mint(api, room, scene) {
  if (!scene) return api.post("/links", { room });
  try {
    return await api.post("/links", { room, parent: scene });
  } catch (error) {
    if (error.status < 400 || error.status >= 500) throw error;
    return api.post("/links", { room });
  }
}

async function system(url, title) {
  try {
    await navigator.share({ url, title });
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message, "error");
  }
}
