/** Custom orders, the merchant's side: the workbench, requests for a price, what can be made to wishes. */

import { CUSTOM } from "./custom_strings.js";
import { $, h, put } from "./dom.js";
import { doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { listed } from "./lists.js";
import { ask, goodsOf, nameOf, yuanOf } from "./merchant_lines.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";
import { picturesOf, wishesOf } from "./view_custom.js";

addStrings(CUSTOM);

const DAY_MS = 86400000;
const SHOWN = 50;
const WORK = `/custom/making?limit=${SHOWN}`;
const ASKED = `/custom/requests?state=asked&limit=${SHOWN}`;
const OFFERED = `/custom/requests?state=offered&limit=${SHOWN}`;
const NEXT = { paid: "confirmed", confirmed: "making", making: "ready" };

/** Draw the workbench, the requests that wait, and the forms. */
export async function drawCustom(api) {
  const again = () => drawCustom(api);
  const [work, asked, offered, forms, goods] = await Promise.all([
    api.get(WORK).then(workPage),
    api.get(ASKED),
    api.get(OFFERED),
    api.get("/custom/forms"),
    goodsOf(api),
  ]);
  const heads = ["cu.goods", "cu.wishes", "m.col.status", "cu.balance", ""];
  put($("custom-work"), work.items.length ? listed(api, WORK, work, (one) => workRow(api, one, again), (rows) => table(heads, rows), workPage) : h("p.empty", {}, t("cu.nothing")));
  put(
    $("custom-requests"),
    [[ASKED, asked], [OFFERED, offered]].map(
      ([path, page]) => page.items.length > 0 && listed(api, path, page, (one) => requestRow(api, one, again), (rows) => h("div.runs", {}, rows)),
    ),
  );
  const names = new Map(goods.map((one) => [one.sku, nameOf(one)]));
  put($("custom-forms"), forms.map((one) => formRow(api, one, names.get(one.target) || one.target, again)));
}

/** What is to be made is a plain list: the next orders are behind the last one. */
const workPage = (items) => ({ items, next: items.length === SHOWN ? items.at(-1).order : null });

function workRow(api, one, again) {
  const stage = NEXT[one.stage];
  const go = async () => {
    await api.post(`/orders/${encodeURIComponent(one.goods_order)}/production`, { stage });
    await again();
  };
  return h(
    "tr",
    { "data-testid": "work-row", data: { stage: one.stage } },
    cell(
      "cu.goods",
      one.lines.map((line) => h("div", {}, `${line.title} × ${line.quantity}`)),
      h("small.faint", {}, [one.delivery?.name, one.goods_order].filter(Boolean).join(" · ")),
    ),
    cell("cu.wishes", one.lines.map((line) => h("div", {}, wishesOf(line), picturesOf(api, line)))),
    cell("m.col.status", h("span.chip", {}, t(`cu.${one.stage}`)), " ", h("small", {}, t("cu.due", { day: when(one.due) }))),
    cell("cu.balance", t(one.settled ? "cu.settled" : "cu.owing")),
    h("td.cell-toggle", {}, stage && doer(t(`cu.next.${stage}`), go, { "data-testid": "work-next" })),
  );
}

function requestRow(api, one, again) {
  const path = `/custom/requests/${encodeURIComponent(one.request)}`;
  const price = one.version > 0 ? money(one.price * one.quantity) : "";
  return h(
    "article.run",
    { "data-testid": "request-row", data: { state: one.state } },
    h(
      "div.run-head",
      {},
      h("strong", {}, `${one.title} × ${one.quantity} ${price}`),
      h("span.faint", {}, h("span.chip", {}, t(`cu.state.${one.state}`)), ` ${when(one.created)}`),
      h("p.words", {}, [wishesOf(one), one.words].filter(Boolean).join(" · ")),
      picturesOf(api, one),
    ),
    h(
      "div.run-buttons",
      {},
      h("button.small", { type: "button", "data-testid": "request-offer", on: { click: () => offer(api, path, again) } }, t("cu.answer")),
      doer(t("cu.decline"), async () => {
        await api.post(`${path}/decline`, {});
        await again();
      }),
    ),
  );
}

function offer(api, path, again) {
  const fields = [
    yuanField("cu.price", "price", { required: true, "data-testid": "offer-price" }),
    field("cu.percent", { name: "percent", type: "number", min: "0", max: "90", value: "30", required: true, "data-testid": "offer-percent" }),
    field("cu.missed", { name: "missed", options: [["refund", t("cu.missed.refund")], ["keep", t("cu.missed.keep")]] }),
    field("cu.validDays", { name: "valid", type: "number", min: "1", max: "90", value: "7", required: true }),
    field("cu.deliverDays", { name: "deliver", type: "number", min: "1", max: "700", value: "30", required: true }),
    field("cu.note", { name: "answer", maxlength: "1000", wide: true }),
  ];
  ask(t("cu.answer"), fields, async (form) => {
    const now = Date.now();
    await api.post(`${path}/offer`, {
      price: fen(form, "price"),
      deposit_percent: whole(form, "percent"),
      missed: form.elements.missed.value,
      valid: now + whole(form, "valid") * DAY_MS,
      deliver: now + Math.max(whole(form, "deliver"), whole(form, "valid")) * DAY_MS,
      answer: form.elements.answer.value,
    });
    await again();
  });
}

function formRow(api, one, name, again) {
  const fields = one.fields.map((each) => `${each.label} (${t(`cu.kind.${each.kind}`)}${each.required ? " *" : ""})`);
  const facts = [...fields, one.asked && t("cu.byAsking"), one.making_days > 0 && t("cu.days", { n: one.making_days })];
  return h(
    "article.run",
    { "data-testid": "form-row", data: { target: one.target } },
    h("div.run-head", {}, h("strong", {}, name), h("span.faint", {}, facts.filter(Boolean).join(" · "))),
    h("div.run-buttons", {}, doer(t("cu.drop"), async () => {
      await api.delete(`/custom/forms/${encodeURIComponent(one.target)}`);
      await again();
    })),
  );
}

/** The form that adds a field to goods, and the packing list. */
export async function fillCustom(api) {
  const form = $("custom-form");
  const goods = await goodsOf(api);
  const kinds = ["text", "choice", "number", "picture"].map((kind) => [kind, t(`cu.kind.${kind}`)]);
  const yes = [["", t("cu.no")], ["1", t("cu.yes")]];
  put(
    form,
    field("cu.goods", { name: "sku", options: goods.map((one) => [one.sku, nameOf(one)]), required: true, "data-testid": "custom-sku" }),
    field("cu.field", { name: "label", maxlength: "40", "data-testid": "custom-label" }),
    field("cu.kind", { name: "kind", options: kinds }),
    field("cu.required", { name: "required", options: yes }),
    field("cu.most", { name: "most", type: "number", min: "0", max: "1000000", value: "20" }),
    field("cu.least", { name: "least", type: "number", min: "0", max: "1000000", value: "0" }),
    yuanField("cu.amount", "amount", { min: "0", value: "0", "data-testid": "custom-amount" }),
    field("cu.options", { name: "options", wide: true }),
    field("cu.makingDays", { name: "days", type: "number", min: "0", max: "365", value: "7" }),
    field("cu.byAsking", { name: "asked", options: yes }),
    h("button.primary", { type: "submit", "data-t": "cu.save", "data-testid": "custom-save" }, t("cu.save")),
  );
  onSend(form, () => addField(api, form));
  put($("custom-tools"), doer(t("cu.print"), async () => save(await fetched(api, "/custom/making/export"), "custom-orders.csv"), { "data-testid": "packing-list" }));
}

async function addField(api, form) {
  const sku = form.elements.sku.value;
  const known = (await api.get("/custom/forms")).find((one) => one.target === sku);
  const label = form.elements.label.value.trim();
  const kind = form.elements.kind.value;
  const more = { label, kind, required: Boolean(form.elements.required.value), amount: kind === "choice" ? 0 : fen(form, "amount") };
  if (kind === "choice") more.options = optionsOf(form.elements.options.value);
  else Object.assign(more, { most: whole(form, "most"), least: kind === "number" ? whole(form, "least") : 0 });
  const before = (known?.fields || []).filter((one) => one.label !== label);
  const body = { fields: label ? [...before, more] : before, making_days: whole(form, "days"), asked: Boolean(form.elements.asked.value) };
  await api.request("PUT", `/custom/forms/${encodeURIComponent(sku)}`, body);
  await drawCustom(api);
}

/** 「橡木:0；胡桃木:30」 as options with 分. */
function optionsOf(text) {
  return text
    .split(/[;；]/)
    .map((part) => part.split(/[:：]/))
    .filter(([value]) => value.trim())
    .map(([value, yuan]) => ({ value: value.trim(), amount: yuanOf(yuan) }));
}
