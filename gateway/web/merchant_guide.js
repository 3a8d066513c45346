/** What a guide is credited with, and a guide's own coupons: what is left of the budget, one coupon for one customer, and what became of those given. */

import { $, h, put, sheet, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { knows, lang, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { newKey } from "./siyu.js";
import { table } from "./tables.js";

const SHOWN = 50;

/** Draw the panel for an account that sits as a guide; it stays away for all others. */
export async function drawGuide(api, seat, rooms, { since, until }) {
  const panel = $("guide-panel");
  panel.hidden = seat.role !== "guide" || !seat.node;
  if (panel.hidden) return;
  const asked = new URLSearchParams({ since, until });
  const [statement, budget, given, people] = await Promise.all([
    api.get(`/guide/statement?${asked}&limit=${SHOWN}`),
    api.get("/guide/budget"),
    api.get(`/guide/coupons?limit=${SHOWN}`),
    api.get(`/people?limit=${SHOWN}`),
  ]);
  const figure = (label, value, testid) =>
    h("div.figure", {}, h("span.faint", {}, t(label)), h("strong.num", { "data-testid": testid }, money(value)));
  put(
    $("guide"),
    h("div.panel-tools", {}, h("h3", {}, t("m.credited")), doer(t("b.csv"), () => download(api, asked), { "data-testid": "guide-csv" })),
    h(
      "div.figures",
      {},
      figure("m.creditedSold", statement.amount, "credited-sold"),
      figure("m.creditedBack", statement.refunded, "credited-back"),
      figure("m.creditedNet", statement.amount - statement.refunded, "credited-net"),
      figure("m.creditedFreight", statement.freight - statement.freight_refunded, "credited-freight"),
      figure("m.creditedTills", statement.till_amount - statement.till_refunded, "credited-tills"),
    ),
    creditedTable(api, statement.items),
    h("h3", {}, t("m.ownCoupons")),
    h("div.figures", {}, figure("m.budgetFree", budget.free, "budget-free"), figure("m.budgetReserved", budget.reserved, "budget-reserved")),
    givenTable(given.items),
  );
  const place = $("guide-form");
  // Half a form is not thrown away by the next look at the figures.
  const shown = [lang(), ...people.items.map((one) => one.person), ...rooms.map((room) => room.room)].join(" ");
  if (place.dataset.of !== shown) fillForm(api, place, people.items, rooms, () => drawGuide(api, seat, rooms, { since, until }));
  place.dataset.of = shown;
}

function fillForm(api, form, people, rooms, again) {
  if (!people.length || !rooms.length) {
    put(form, h("p.empty", {}, t("m.noCustomers")));
    return;
  }
  put(
    form,
    field("m.customer", { name: "person", options: people.map((one) => [one.person, one.name || `…${one.person.slice(-6)}`]) }),
    field("m.room", { name: "room", options: rooms.map((room) => [room.room, room.title]) }),
    yuanField("m.couponAmount", "amount", { required: true, "data-testid": "guide-amount" }),
    yuanField("m.couponOver", "threshold", { min: "0", value: "0" }),
    field("m.couponReason", { name: "reason", required: true, maxlength: 60, value: t("m.couponThanks") }),
    countField("m.couponDays", "days", { max: "366", value: "7", required: true }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "guide-give" }, t("m.giveCoupon"))),
  );
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  // Sent again after an answer that was lost, the same coupon is given once.
  let sent = { body: "", key: "" };
  onSend(form, async () => {
    const { person, room, reason } = form.elements;
    const body = {
      person: person.value,
      room: room.value,
      title: t("m.guideCoupon"),
      reason: reason.value.trim(),
      amount: fen(form, "amount"),
      threshold: fen(form, "threshold"),
      days: whole(form, "days"),
    };
    const text = JSON.stringify(body);
    if (sent.body !== text) sent = { body: text, key: newKey() };
    await api.post("/guide/coupons", body, sent.key);
    sent = { body: "", key: "" };
    toast(t("m.couponGiven"), "good");
    form.elements.amount.value = "";
    await again();
  });
}

async function download(api, asked) {
  save(await fetched(api, `/guide/statement?${asked}&format=csv`), "statement.csv");
}

/** The orders that are this guide's; each is explained in words where somebody asks. */
function creditedTable(api, orders) {
  if (!orders.length) return h("p.empty", {}, t("m.noCredited"));
  const cell = (label, ...content) => h("td", { "data-label": t(label) }, content);
  const heads = ["m.col.time", "m.customer", "m.col.amount", "m.col.status", "m.why"];
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "credited-row", data: { order: one.order } },
      cell("m.col.time", when(one.created)),
      cell("m.customer", one.name || `…${one.person.slice(-6)}`, h("span.faint", {}, one.channel && ` ${one.channel}`)),
      cell("m.col.amount", h("strong.num", {}, money(one.amount)), one.refunded > 0 && ` − ${money(one.refunded)}`),
      cell("m.col.status", h("span.chip", {}, t(`status.${one.status}`))),
      cell("m.why", doer(t("m.inWords"), () => inWords(api, one), { "data-testid": "credited-why" })),
    );
  return h("div.table-frame", {}, table(heads, orders.map(row)));
}

async function inWords(api, one) {
  const { sentences } = await api.get(`/orders/${one.order}/explanation?lang=${lang()}`);
  const window = sheet({ title: t("m.inWords"), testid: "credited-words", closeLabel: t("common.close") });
  put(window.body, h("ul.plain", {}, sentences.map((text) => h("li", {}, text))));
}

function givenTable(coupons) {
  if (!coupons.length) return h("p.empty", {}, t("m.noCoupons"));
  const cell = (label, ...content) => h("td", { "data-label": t(label) }, content);
  const heads = ["m.col.time", "m.customer", "m.couponAmount", "m.couponReason", "m.col.status"];
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "given-row" },
      cell("m.col.time", when(one.created)),
      cell("m.customer", one.name || `…${one.person.slice(-6)}`),
      cell("m.couponAmount", h("strong.num", {}, money(one.amount)), one.threshold ? ` / ${money(one.threshold)}` : ""),
      cell("m.couponReason", one.reason),
      cell("m.col.status", h("span.chip", {}, knows(`coupon.${one.state}`) ? t(`coupon.${one.state}`) : one.state)),
    );
  return h(
    "div.table-frame",
    {},
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, t(name))))),
      h("tbody", {}, coupons.map(row)),
    ),
  );
}
