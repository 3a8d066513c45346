/** Passes: my own with their codes, and the till's form that uses one by its code. */

import { h, put, toast } from "./dom.js";
import { countField, doer, field, onSend, whole } from "./forms.js";
import { t, when } from "./i18n.js";
import { newKey, OUTCOME_UNKNOWN } from "./siyu.js";

/** One of my passes: its code and picture while it is good, what is left, where it was used. */
export function passRow(pass) {
  const good = pass.state === "active";
  const times = t("pass.times", { from: when(pass.opens), until: when(pass.until) });
  const used = pass.history.map((use) => h("li", {}, `${when(use.at)} × ${use.units} ${use.place}`));
  return h(
    "article.mine-order",
    { "data-testid": "my-pass", data: { state: pass.state } },
    h(
      "div",
      {},
      h("strong", {}, pass.title),
      h("span.faint", {}, [pass.place, times].filter(Boolean).join(" · ")),
      good ? h("span.pickup-code", { "data-testid": "pass-code" }, pass.code.replace(/(.{4})(?=.)/g, "$1 ")) : null,
      used.length ? h("details", {}, h("summary.faint", {}, t("pass.history", { n: used.length })), h("ul.faint", {}, used)) : null,
    ),
    h("span.chip", {}, good ? t("pass.left", { left: pass.left, uses: pass.uses }) : t(`pass.${pass.state}`)),
    good && pass.qr ? h("details", {}, h("summary", {}, t("pass.show")), h("img.pay-code", { src: pass.qr, alt: pass.code })) : null,
  );
}

/**
 * The till: which SKUs are sold as passes, and using one by its code.
 * @param {{api: import("./api.js").Api, store: any, terms: HTMLFormElement, use: HTMLFormElement, list: HTMLElement,
 *   last: HTMLElement}} desk
 */
export function till(desk) {
  let key = newKey();
  fill(desk);
  const products = () => {
    const select = desk.terms.elements.sku;
    const chosen = select.value;
    put(select, desk.store.shelf.map((card) => h("option", { value: card.sku }, card.title)));
    if (chosen) select.value = chosen;
  };
  const draw = (terms) => put(desk.list, terms.map((one) => termsRow(desk, one, draw)));
  desk.store.on("shelf", products);
  products();
  desk.api.get("/passes/terms").then(draw, (error) => console.info("passes:", error.message));
  onSend(desk.terms, async () => {
    const body = { uses: whole(desk.terms, "uses"), place: desk.terms.elements.place.value.trim() };
    const until = new Date(desk.terms.elements.until.value).getTime();
    if (until) Object.assign(body, { until, opens: new Date(desk.terms.elements.opens.value).getTime() || null });
    else body.days = whole(desk.terms, "days");
    await desk.api.request("PUT", `/passes/terms/${encodeURIComponent(desk.terms.elements.sku.value)}`, body);
    draw(await desk.api.get("/passes/terms"));
    toast(t("host.saved"), "good");
  });
  desk.use.addEventListener("input", () => {
    key = newKey();
  });
  onSend(desk.use, async () => {
    const body = { code: desk.use.elements.code.value.replace(/\s/g, ""), units: whole(desk.use, "units") };
    body.place = desk.use.elements.place.value.trim();
    try {
      const pass = await desk.api.post("/passes/uses", body, key);
      put(desk.last, `${pass.title}: ${t("pass.left", { left: pass.left, uses: pass.uses })}`);
      desk.use.elements.code.value = "";
    } catch (error) {
      // Without an answer it may have been done: the same key asks again.
      if (OUTCOME_UNKNOWN.has(error.code) || error.code === "network") throw error;
      key = newKey();
      throw error;
    }
    key = newKey();
  });
}

function fill({ terms, use }) {
  const send = (label, testid) =>
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": testid, "data-t": label }, t(label)));
  put(
    use,
    field("pass.code", { name: "code", required: true, inputmode: "numeric", "data-testid": "pass-use-code" }),
    countField("pass.units", "units", { value: "1", max: "1000" }),
    field("pass.place", { name: "place", maxlength: 60 }),
    send("pass.use", "pass-use"),
  );
  put(
    terms,
    field("host.product", { name: "sku", options: [], required: true, wide: true, "data-testid": "pass-sku" }),
    countField("pass.uses", "uses", { value: "10", max: "1000", "data-testid": "pass-uses" }),
    countField("pass.days", "days", { value: "90", max: "1098" }),
    field("pass.place", { name: "place", maxlength: 60 }),
    field("pass.opens", { name: "opens", type: "datetime-local" }),
    field("pass.until", { name: "until", type: "datetime-local" }),
    send("pass.sell", "pass-sell"),
  );
}

function termsRow(desk, one, draw) {
  const title = desk.store.shelf.find((card) => card.sku === one.sku)?.title || one.sku;
  const good = one.days ? t("pass.goodDays", { n: one.days }) : t("pass.goodUntil", { time: when(one.until) });
  const end = async () => draw(await desk.api.delete(`/passes/terms/${encodeURIComponent(one.sku)}`));
  return h(
    "article.run",
    { "data-testid": "pass-terms" },
    h("div.run-head", {}, h("strong", {}, title), h("span.faint", {}, `${t("pass.usesOf", { n: one.uses })} · ${good} ${one.place}`)),
    h("div.run-buttons", {}, doer(t("pass.unsell"), end)),
  );
}

export const PASSES = {
  "pass.mine": ["我的卡券与门票", "My passes and tickets"],
  "pass.title": ["次卡与门票核销", "Passes and tickets"],
  "pass.times": ["{from} 至 {until}", "{from} to {until}"],
  "pass.left": ["剩 {left}/{uses} 次", "{left} of {uses} left"],
  "pass.used": ["已用完", "Used"],
  "pass.expired": ["已过期", "Expired"],
  "pass.refunded": ["已退款", "Refunded"],
  "pass.show": ["出示二维码", "Show the code"],
  "pass.history": ["使用记录（{n}）", "Used {n} times"],
  "pass.code": ["核销码（12 位）", "Code (12 digits)"],
  "pass.units": ["次数", "Uses"],
  "pass.place": ["地点", "Place"],
  "pass.use": ["核销", "Use"],
  "pass.sell": ["设为次卡", "Sell as passes"],
  "pass.unsell": ["改回普通商品", "Plain goods again"],
  "pass.uses": ["可用次数", "Uses"],
  "pass.days": ["有效天数", "Good for days"],
  "pass.opens": ["活动开始（选填）", "Event begins (optional)"],
  "pass.until": ["活动结束（填了则不按天数）", "Event ends (instead of days)"],
  "pass.usesOf": ["{n} 次", "{n} uses"],
  "pass.goodDays": ["付款后 {n} 天内有效", "good for {n} days"],
  "pass.goodUntil": ["{time} 前有效", "good until {time}"],
};
