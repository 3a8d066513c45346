/** A link's code and poster: shown in a sheet, saved as SVG or PNG. */

import { h, put, sheet, toast } from "./dom.js";
import { fetched, save } from "./files.js";
import { doer } from "./forms.js";
import { explain, lang, t } from "./i18n.js";

async function savePng(image, name) {
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d").drawImage(image, 0, 0);
  save(canvas.toDataURL("image/png"), name);
}

/**
 * @param {import("./api.js").Api} api
 * @param {{token: string}} link
 */
export async function openPoster(api, link) {
  const window = sheet({ title: t("m.poster"), testid: "poster-sheet", closeLabel: t("common.close") });
  put(window.body, h("p.empty", {}, t("common.loading")));
  const base = `/links/${encodeURIComponent(link.token)}`;
  try {
    const poster = await fetched(api, `${base}/poster?lang=${lang()}`);
    const image = h("img.poster", { src: poster, alt: t("m.poster"), "data-testid": "poster" });
    put(
      window.body,
      image,
      h(
        "div.form-foot",
        {},
        doer(t("m.savePng"), () => savePng(image, `poster-${link.token}.png`), { "data-testid": "poster-png" }),
        doer(t("m.saveSvg"), async () => save(poster, `poster-${link.token}.svg`)),
        doer(t("m.saveCode"), async () =>
          save(await fetched(api, `${base}/code?format=png&scale=12`), `code-${link.token}.png`),
        ),
      ),
    );
  } catch (error) {
    toast(explain(error), "error");
    window.close();
  }
}
