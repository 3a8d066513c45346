/** Custom orders for their buyer: what to wish, a price on request, how far the making is. */

import { CUSTOM } from "./custom_strings.js";
import { h, toast } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { pictureField, pictureRow } from "./pictures.js";
import { newKey } from "./siyu.js";

/** Pictures beside a request. */
const PICTURES_MAX = 9;

addStrings(CUSTOM);

/** What is still to be filled in, of a form and what was: the label of the first, or null. */
export const missing = (form, custom) => form.fields.find((one) => one.required && !custom[one.label]?.trim())?.label ?? null;

/**
 * The fields of a form; `changed` is called when one is left.
 * @param {string} room in which it is bought or asked
 * @param {any} form of GET /custom/forms
 * @param {Record<string, string>} custom filled in here
 * @param {() => void} changed
 */
export function wishFields(api, room, form, custom, changed) {
  return h(
    "div.form-grid",
    { "data-testid": "wishes" },
    form.fields.map((one) => (one.kind === "picture" ? pictureWish(api, room, one, custom, changed) : wishField(one, custom, changed))),
    h(
      "p.faint",
      {},
      [form.returns === "seven_days" ? "" : t("cu.noReturn"), form.making_days > 0 && t("cu.days", { n: form.making_days })]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

function wishField(one, custom, changed) {
  const attributes = { name: one.label, "data-testid": "wish", required: one.required, "aria-label": one.label };
  const options = one.options.map((option) =>
    h("option", { value: option.value }, option.value + (option.amount ? ` ${t("cu.more", { amount: money(option.amount) })}` : "")),
  );
  const kinds = {
    choice: () => h("select", attributes, h("option", { value: "" }, t("cu.choose")), options),
    text: () => h("input", { ...attributes, maxlength: String(one.most), autocomplete: "off" }),
    number: () => h("input", { ...attributes, type: "number", min: String(one.least), max: String(one.most), step: "1" }),
  };
  const input = kinds[one.kind]();
  input.value = custom[one.label] || "";
  input.addEventListener("change", () => {
    custom[one.label] = input.value;
    changed();
  });
  return h("label.field", {}, heading(one), input);
}

function heading(one) {
  const costs = one.amount > 0 && t(one.kind === "number" ? "cu.each" : "cu.more", { amount: money(one.amount) });
  return h("span", {}, one.required ? `${one.label} *` : one.label, " ", h("small", {}, costs));
}

function pictureWish(api, room, one, custom, changed) {
  const ids = (custom[one.label] || "").split(" ").filter(Boolean);
  const chosen = (pictures) => {
    custom[one.label] = pictures.join(" ");
    changed();
  };
  return h("div.field.wide-field", {}, heading(one), pictureField(api, room, { ...one, ids }, chosen));
}

/** What a line was made to, in words; empty of goods that are as they are. */
export const wishesOf = (line) =>
  (line.wishes || [])
    .filter((wish) => wish.label)
    .map((wish) => `${wish.label}: ${wish.value}`)
    .join("；");

/** The pictures that a line is made after; null without any. */
export const picturesOf = (api, line) =>
  pictureRow(api, (line.wishes || []).flatMap((wish) => wish.pictures || []), t("cu.pictures"));

/** A form that asks for a price; `sent` follows. */
export function askForm(api, room, item, form, sent) {
  const custom = {};
  let pictures = [];
  const words = h("textarea", { maxlength: "1000", rows: "3", "data-testid": "request-words", "aria-label": t("cu.words") });
  const key = newKey();
  const send = async () => {
    await api.post("/custom/requests", { room, sku: item.sku, quantity: item.quantity, custom, words: words.value, pictures }, key);
    sent();
  };
  return h(
    "div",
    { "data-testid": "ask-form" },
    wishFields(api, room, form, custom, () => {}),
    h("label.field.wide-field", {}, h("span", {}, t("cu.words")), words),
    h(
      "div.field.wide-field",
      {},
      h("span", {}, t("cu.pictures")),
      pictureField(api, room, { label: t("cu.pictures"), most: PICTURES_MAX, ids: [] }, (chosen) => (pictures = chosen)),
    ),
    doer(t("cu.ask"), send, { className: "primary", "data-testid": "ask-price" }),
  );
}

/**
 * My requests and their offers; null without any.
 * @param {any[]} requests of GET /custom/requests
 * @param {{buy: (item: any) => void, again: () => Promise<void>}} then
 */
export function requestsCard(api, room, requests, then) {
  if (!requests.length) return null;
  return h(
    "section.wallet",
    { "data-testid": "requests" },
    h("div.wallet-head", {}, h("strong", {}, t("cu.mine"))),
    requests.map((one) => requestRow(api, room, one, then)),
  );
}

function requestRow(api, room, one, { buy, again }) {
  const price = one.price * one.quantity;
  const stands = one.state === "offered" && one.room === room;
  const item = { sku: one.sku, title: one.title, image: "", price: one.deposit || one.price, quantity: one.quantity };
  const withdraw = async () => {
    await api.post(`/custom/requests/${encodeURIComponent(one.request)}/withdraw`);
    await again();
  };
  return h(
    "article.mine-order",
    { "data-testid": "my-request", data: { state: one.state } },
    h(
      "div",
      {},
      h("strong", {}, `${one.title} × ${one.quantity}`),
      h("span.faint", {}, [wishesOf(one), one.words].filter(Boolean).join("；")),
      picturesOf(api, one),
      one.version > 0 && h("span", {}, t("cu.offer", { price: money(price), deliver: when(one.deliver), valid: when(one.valid) })),
      one.deposit > 0 && h("span.faint", {}, `${t("cu.deposit", { deposit: money(one.deposit * one.quantity) })} · ${t(`cu.${one.missed}`)}`),
      one.answer && h("span.faint", {}, one.answer),
    ),
    h("span.chip", {}, t(`cu.state.${one.state}`)),
    h(
      "span.mine-actions",
      {},
      ["asked", "offered", "expired"].includes(one.state) && doer(t("cu.withdraw"), withdraw, { className: "quiet" }),
      stands &&
        h(
          "button.buy",
          { type: "button", "data-testid": "accept-offer", on: { click: () => buy({ ...item, offer: { request: one.request, version: one.version } }) } },
          t("cu.accept"),
        ),
    ),
  );
}

/** How far the making of an order is, and the way out before it begins. */
export function makingRow(api, order, again) {
  const made = order.production;
  if (!made || order.presale?.part === "deposit") return null;
  const key = newKey();
  const early = !made.ended && ["paid", "confirmed"].includes(made.stage);
  const cancel = async () => {
    if (!globalThis.confirm(t("cu.sure"))) return;
    try {
      await api.post(`/orders/${encodeURIComponent(order.order)}/change-of-mind`, undefined, key);
    } catch (error) {
      if (error.code !== "already") throw error;
      toast(t("cu.begun"), "error");
    }
    await again();
  };
  return h(
    "span.mine-actions",
    { "data-testid": "making", data: { stage: made.ended ? "ended" : made.stage } },
    h("span.chip", {}, t(`cu.${made.ended ? "ended" : made.stage}`)),
    !made.ended && !made.sent && h("small", {}, t("cu.due", { day: when(made.due) })),
    early && doer(t("cu.mind"), cancel, { className: "quiet", "data-testid": "change-mind" }),
  );
}
