/** Helper tasks that the shop has open, and how far my posters are. */

import { copy, h, put, toast } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, explain, money, t, when } from "./i18n.js";

addStrings({
  "helping.title": ["助力任务", "Helper tasks"],
  "helping.what": ["{needed} 位朋友助力得 {amount} 券，{until} 截止", "{needed} helpers bring a coupon of {amount}, until {until}"],
  "helping.make": ["生成我的海报链接", "Make my poster's link"],
  "helping.copy": ["复制链接", "Copy the link"],
  "helping.copied": ["链接已复制", "Link copied"],
  "helping.progress": ["{helped} / {needed}", "{helped} / {needed}"],
  "helping.rewarded": ["券已到账", "The coupon is yours"],
  "helping.done": ["已完成，券稍后到账", "Done: the coupon follows"],
});

/**
 * A part of a sheet; empty where the shop has none.
 * @param {import("./api.js").Api} api
 */
export function helping(api) {
  const place = h("div", { "data-testid": "help-tasks" });
  const load = async () => {
    const found = await api.get("/me/help-tasks");
    put(place, found.length > 0 && h("h3", {}, t("helping.title")), found.map(row));
  };
  const handOut = async (url) => {
    if (await copy(new URL(url, location.origin).href)) toast(t("helping.copied"), "good");
  };
  const make = async (one) => {
    const made = await api.post(`/help-tasks/${encodeURIComponent(one.task)}/posters`);
    await handOut(made.url);
    await load();
  };
  const row = (one) =>
    h(
      "article.mine-order",
      { "data-testid": "help-task" },
      h(
        "div",
        {},
        h("strong", {}, one.title),
        h("span.faint", {}, t("helping.what", { needed: one.needed, amount: money(one.amount), until: when(one.until) })),
        one.done && h("span.faint", {}, t(one.rewarded ? "helping.rewarded" : "helping.done")),
      ),
      one.poster && h("span.chip", { "data-testid": "help-helped" }, t("helping.progress", one)),
      one.poster
        ? doer(t("helping.copy"), () => handOut(one.url), { "data-testid": "help-copy" })
        : doer(t("helping.make"), () => make(one), { "data-testid": "help-make" }),
    );
  load().catch((error) => toast(explain(error), "error"));
  return place;
}
