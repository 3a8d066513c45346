/** After the sale, the buyer's side: ask for a refund or a return, see how it stands, send the goods back. */

import { AFTER_SALE } from "./aftersale_strings.js";
import { h, put, sheet, toast } from "./dom.js";
import { countField, doer, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, explain, knows, money, t, when } from "./i18n.js";
import { newKey } from "./siyu.js";

addStrings(AFTER_SALE);

const PAID = new Set(["paid", "fulfilled", "done", "partly_refunded"]);
const OPEN = new Set(["asked", "offered", "approved", "sent"]);
/** What the shop or the clock has answered. */
export const ANSWERS = new Set(["offered", "approved", "done", "refused", "closed"]);
const WITHDRAWN_FROM = new Set(["asked", "offered", "approved"]);
const REASONS = {
  unsent: ["mind", "mistake", "late", "other"],
  kept: ["not_arrived", "missing", "damaged", "faulty", "not_as_described", "other"],
  back: ["no_reason", "faulty", "damaged", "not_as_described", "wrong_goods", "other"],
};

/** What a refusal means here. */
export function whyNot(error) {
  const key = `as.err.${error.code}`;
  return knows(key) ? t(key) : explain(error);
}

/** A button that does one step and says why it was refused. */
export function step(text, act, props) {
  const tried = async (button) => {
    try {
      await act(button);
    } catch (error) {
      toast(whyNot(error), "error");
    }
  };
  return doer(text, tried, props);
}

/** The requests of an order, and the way to a new one. */
export function afterSaleRows(api, order, requests, again) {
  const own = requests.filter((one) => one.order === order.order);
  const asking = PAID.has(order.status) && order.kind !== "stored" && order.presale?.part !== "deposit";
  const busy = new Set(own.filter((one) => OPEN.has(one.state)).flatMap((one) => one.lines.map((line) => line.sku)));
  const free = order.lines.filter((line) => !busy.has(line.sku));
  return [
    asking &&
      free.length > 0 &&
      h(
        "button.quiet",
        { type: "button", "data-testid": "aftersale-open", on: { click: () => openAsking(api, order, free, again) } },
        t("as.ask"),
      ),
    own.map((one) => requestCard(api, one, again)),
  ];
}

function openAsking(api, order, lines, again) {
  const gone = order.fulfilment !== "open";
  const window = sheet({ title: t("as.ask"), testid: "aftersale-sheet", closeLabel: t("common.close") });
  const form = h("form.form-grid", { "data-testid": "aftersale-form" });
  const key = newKey();
  const kinds = gone ? ["return", "refund"] : ["refund"];
  const reason = h("select", { name: "reason", "data-testid": "aftersale-reason" });
  const choose = () => {
    const kind = form.elements.kind.value;
    const where = kind === "return" ? "back" : gone ? "kept" : "unsent";
    put(reason, REASONS[where].map((name) => h("option", { value: name }, t(`as.reason.${name}`))));
  };
  const kind = field("as.what", { name: "kind", options: kinds.map((name) => [name, t(`as.kind.${name}`)]), "data-testid": "aftersale-kind" });
  kind.querySelector("select").addEventListener("change", choose);
  // Lines of one SKU are asked about together.
  const units = new Map();
  for (const { sku, title, quantity } of lines) units.set(sku, { title, quantity: quantity + (units.get(sku)?.quantity || 0) });
  put(
    form,
    kind,
    h("label.field", {}, h("span", {}, t("as.reason")), reason),
    [...units].map(([sku, one], n) => {
      const input = countField("as.units", `units${n}`, { min: "0", max: String(one.quantity), value: String(one.quantity), required: true, "data-sku": sku });
      input.querySelector("span").textContent = t("as.units", one);
      return input;
    }),
    gone && yuanField("as.amount", "amount", { required: false, "data-testid": "aftersale-amount" }),
    field("as.words", { name: "words", maxlength: 500, wide: true, "data-testid": "aftersale-words" }),
    h("small.faint.wide-field", {}, t("as.gifts")),
    h("div.form-foot", {}, h("button.buy", { type: "submit", "data-testid": "aftersale-send" }, t("as.send"))),
  );
  choose();
  onSend(form, async () => {
    const wanted = [...units].map(([sku], n) => ({ sku, quantity: whole(form, `units${n}`) })).filter((line) => line.quantity > 0);
    const yuan = form.elements.amount?.value;
    const body = { kind: form.elements.kind.value, reason: reason.value, lines: wanted, words: form.elements.words.value.trim() };
    if (yuan) body.amount = Math.round(Number.parseFloat(yuan) * 100);
    try {
      await api.post(`/orders/${encodeURIComponent(order.order)}/after-sales`, body, key);
    } catch (error) {
      toast(whyNot(error), "error");
      return;
    }
    window.close();
    toast(t("as.asked"), "good");
    await again();
  });
  put(window.body, form);
}

/** What a request is about, in a line. */
export function about(one) {
  const what = one.lines.map((line) => `${line.title} × ${line.quantity}`).join("、");
  return `${t(`as.kind.${one.kind}`)} · ${t(`as.reason.${one.reason}`)} · ${what}`;
}

function requestCard(api, one, again) {
  const path = `/after-sales/${encodeURIComponent(one.request)}`;
  const post = (verb, body) => async () => {
    await api.post(`${path}/${verb}`, body);
    await again();
  };
  const faint = (text) => text && h("span.faint", {}, text);
  const offered = one.state === "offered";
  return h(
    "div.aftersale",
    { "data-testid": "my-aftersale", data: { state: one.state } },
    h("strong", {}, about(one)),
    h("span.chip", {}, `${t(`as.state.${one.state}`)} ${money(one.state === "done" ? one.refunded : one.amount)}`),
    offered && h("span", {}, t(one.keeps ? "as.offer.keeps" : "as.offer.back", { amount: money(one.offer) })),
    faint(one.due && t(`as.due.${one.state}`, { time: when(one.due) })),
    faint(one.why && t(`as.why.${one.why}`)),
    one.answer && h("span", {}, one.answer),
    ["approved", "sent"].includes(one.state) && [
      h("span", { "data-testid": "back-to" }, one.back_to ? t("as.backTo", { where: one.back_to }) : t("as.noBackTo")),
      faint(t(`as.pays.${one.pays}`)),
      one.number && h("span.mono", {}, `${one.carrier} ${one.number}`),
      sendForm(api, path, one, again),
    ],
    h(
      "span.mine-actions",
      {},
      WITHDRAWN_FROM.has(one.state) && step(t("as.withdraw"), post("withdraw"), { className: "quiet", "data-testid": "aftersale-withdraw" }),
      offered && step(t("as.leave"), post("leave"), { className: "quiet", "data-testid": "aftersale-leave" }),
      offered && step(t("as.take"), post("take", { amount: one.offer }), { className: "buy", "data-testid": "aftersale-take" }),
    ),
  );
}

function sendForm(api, path, one, again) {
  const form = h("form.form-grid", { "data-testid": "send-back" });
  put(
    form,
    field("as.carrier", { name: "carrier", required: true, maxlength: 40, value: one.carrier, "data-testid": "send-carrier" }),
    field("as.number", { name: "number", required: true, maxlength: 60, value: one.number, "data-testid": "send-number" }),
    h("div.form-foot", {}, h("button.buy", { type: "submit", "data-testid": "send-done" }, t(one.number ? "as.renumber" : "as.sendBack"))),
  );
  onSend(form, async () => {
    const { carrier, number } = form.elements;
    await api.post(`${path}/send`, { carrier: carrier.value.trim(), number: number.value.trim() });
    await again();
  });
  return form;
}
