/** Purchasing: suppliers and what they are owed, purchase orders with deliveries and returns, what goods cost. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, fen, field, onSend, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { ask, goodsOf, lineEditor, nameOf } from "./merchant_lines.js";
import { fetched, save } from "./files.js";
import { PURCHASES } from "./merchant_strings_purchases.js";
import { newKey } from "./siyu.js";
import { everyItem, listed } from "./lists.js";
import { cell, table } from "./tables.js";

addStrings(PURCHASES);

const ORDERS = "/purchases?limit=50";
const COSTS = "/costs?limit=50";
const SHEET_TIMEOUT_MS = 60000;

/** Draw the panel. */
export async function drawPurchases(api) {
  const [suppliers, orders, costs] = await Promise.all([
    everyItem(api, "/suppliers?limit=200"),
    api.get(ORDERS),
    api.get(COSTS),
  ]);
  const again = () => drawPurchases(api);
  const known = $("purchase-form").elements.supplier;
  if (known) {
    const chosen = known.value;
    put(known, suppliers.filter((one) => !one.closed).map((one) => h("option", { value: one.supplier }, one.name)));
    if (chosen) known.value = chosen;
  }
  put($("suppliers"), suppliers.map((one) => supplierRow(api, one, again)));
  const heads = ["pu.number", "pu.supplier", "pu.state", "pu.ordered", "pu.arrived", "pu.short", ""];
  const order = (one) => orderRow(api, one, again);
  put($("purchases"), orders.items.length ? listed(api, ORDERS, orders, order, (rows) => table(heads, rows)) : h("p.empty", {}, t("pu.none")));
  const costHeads = ["pu.goods", "pu.units", "pu.unitCost", "pu.worth", "pu.price", ""];
  put($("costs"), costs.items.length ? listed(api, COSTS, costs, (one) => costRow(api, one, again), (rows) => table(costHeads, rows)) : h("p.empty", {}, t("pu.noCosts")));
}

function supplierRow(api, one, again) {
  const pay = () =>
    ask(
      `${t("pu.pay")} · ${one.name} · ${t("pu.owed")} ${money(one.owed)}`,
      [yuanField("pu.payAmount", "amount", { required: true }), field("pu.payNumber", { name: "number", required: true, maxlength: 64 })],
      async (form) => {
        await api.post(`/suppliers/${encodeURIComponent(one.supplier)}/payments`, { amount: fen(form, "amount"), number: form.elements.number.value.trim() });
        await again();
      },
    );
  return h(
    "article.run",
    { "data-testid": "supplier-row", data: { supplier: one.supplier } },
    h("div.run-head", {}, h("strong", {}, one.name), h("span.faint", {}, [one.contact, one.phone, one.note].filter(Boolean).join(" · "))),
    h(
      "div.run-head",
      {},
      h("span.faint", {}, t("pu.owed")),
      h("strong.num", { "data-testid": "supplier-owed" }, money(one.owed)),
      one.owed > 0 && doer(t("pu.pay"), async () => pay(), { "data-testid": "supplier-pay" }),
    ),
  );
}

function orderRow(api, one, again) {
  return h(
    "tr",
    { "data-testid": "purchase-row", data: { purchase: one.purchase, state: one.state } },
    cell("pu.number", h("span.mono", {}, one.number === one.purchase ? `…${one.number.slice(-8)}` : one.number)),
    cell("pu.supplier", one.supplier_name),
    cell("pu.state", h("span.chip", { data: { state: one.state } }, t(`pu.state.${one.state}`))),
    cell("pu.ordered", money(one.ordered)),
    cell("pu.arrived", h("strong.num", {}, money(one.amount))),
    cell("pu.short", String(one.short)),
    h("td.cell-toggle", {}, doer(t("pu.open"), () => openOrder(api, one.purchase, again), { "data-testid": "purchase-open" })),
  );
}

function costRow(api, one, again) {
  const set = async () =>
    ask(
      `${t("pu.setCost")} · ${nameOf(one)}`,
      [yuanField("pu.unitCostYuan", "cost", { required: true, min: "0" }), field("m.g.why", { name: "why", required: true, maxlength: 200 })],
      async (form) => {
        await api.request("PUT", `/costs/${encodeURIComponent(one.sku)}`, { unit_cost: fen(form, "cost"), why: form.elements.why.value.trim() });
        await again();
      },
    );
  return h(
    "tr",
    { "data-testid": "cost-row", data: { sku: one.sku } },
    cell("pu.goods", nameOf(one)),
    cell("pu.units", String(one.units)),
    cell("pu.unitCost", one.cost ? money(one.unit_cost) : h("span.chip", {}, t("pu.unknown"))),
    cell("pu.worth", money(one.cost)),
    cell("pu.price", money(one.price)),
    h("td.cell-toggle", {}, doer(t("pu.setCost"), set, { "data-testid": "cost-set" })),
  );
}

/** One order: its lines with what came, and what can be done now. */
async function openOrder(api, purchase, again) {
  const path = `/purchases/${encodeURIComponent(purchase)}`;
  const window = sheet({ title: t("pu.order"), testid: "purchase-sheet", closeLabel: t("common.close") });
  const draw = async () => put(window.body, orderBody(api, path, await api.get(path), async () => Promise.all([draw(), again()])));
  await draw();
}

function orderBody(api, path, one, again) {
  const receiving = one.state === "ordered" || one.state === "partly";
  const returning = one.lines.some((line) => line.received > line.returned);
  const inputs = new Map();
  const line = (row) => {
    const most = receiving ? row.quantity - row.received : row.received - row.returned;
    const input = h("input", { type: "number", min: "0", max: String(most), step: "1", value: receiving ? String(most) : "0", "aria-label": t("pu.now"), "data-testid": "purchase-now" });
    inputs.set(row.sku, input);
    return h(
      "tr",
      { "data-testid": "purchase-line", data: { sku: row.sku } },
      cell("pu.goods", nameOf(row)),
      cell("pu.quantity", `${row.quantity} × ${money(row.unit_cost)}`),
      cell("pu.received", row.returned ? `${row.received} − ${row.returned}` : String(row.received)),
      cell("pu.now", receiving || returning ? input : "—"),
    );
  };
  const chosen = () => [...inputs].map(([sku, input]) => ({ sku, units: Number.parseInt(input.value || "0", 10) })).filter((row) => row.units > 0);
  const step = (name, why = "") => doer(t(`pu.step.${name}`), async () => {
    await api.post(`${path}/steps`, { step: name, why });
    await again();
  }, { "data-testid": `purchase-${name}` });
  // One key while the sheet shows this state: a repeat of what went through must not receive twice.
  const key = newKey();
  const note = field(receiving ? "pu.noteNumber" : "m.g.why", { name: "note", maxlength: receiving ? 64 : 200, "data-testid": "purchase-note" });
  const moved = (kind) => doer(t(`pu.step.${kind}`), async () => {
    const body = { lines: chosen() };
    body[kind === "receive" ? "number" : "why"] = note.querySelector("input").value.trim();
    await api.post(`${path}/${kind === "receive" ? "receipts" : "returns"}`, body, key);
    toast(t(`pu.done.${kind}`), "good");
    await again();
  }, { "data-testid": `purchase-${kind}` });
  const notes = [
    ...one.deliveries.map((row) => [row.created, `${t(`pu.${row.kind}`)} ${money(row.amount)} ${row.number} ${row.why}`]),
    ...one.steps.filter((row) => !row.step.startsWith("receive") && row.step !== "send_back").map((row) => [row.at, `${t(`pu.step.${row.step}`)} ${row.name} ${row.why}`]),
  ].sort((left, right) => left[0] - right[0]);
  return [
    h("p", {}, h("strong", {}, one.supplier_name), ` ${one.number} `, h("span.chip", {}, t(`pu.state.${one.state}`)), one.expected && ` ${t("pu.expected")} ${one.expected}`),
    table(["pu.goods", "pu.quantity", "pu.received", "pu.now"], one.lines.map(line)),
    (receiving || returning) && note,
    h(
      "div.run-buttons",
      {},
      one.state === "draft" && step("order"),
      receiving && moved("receive"),
      !receiving && returning && moved("back"),
      one.state === "partly" && step("close_short"),
      (one.state === "draft" || one.state === "ordered") && step("cancel"),
      doer(t("pu.export"), async () => save(await fetched(api, `${path}/export`), `purchase-${one.number}.csv`), { "data-testid": "purchase-export" }),
    ),
    h("ul.plain", {}, notes.map(([at, text]) => h("li", {}, h("span.faint", {}, when(at)), ` ${text}`))),
  ];
}

/** The forms: a new supplier, a new order by its lines or as a file. */
export async function fillPurchases(api) {
  const again = () => drawPurchases(api);
  const supplier = $("supplier-form");
  put(
    supplier,
    field("pu.name", { name: "name", required: true, maxlength: 60, "data-testid": "supplier-name" }),
    field("pu.contact", { name: "contact", maxlength: 60 }),
    field("pu.phone", { name: "phone", maxlength: 21 }),
    field("pu.note", { name: "note", maxlength: 200 }),
    h("button.primary", { type: "submit", "data-t": "pu.addSupplier", "data-testid": "supplier-add" }, t("pu.addSupplier")),
  );
  onSend(supplier, async () => {
    const body = Object.fromEntries(["name", "contact", "phone", "note"].map((name) => [name, supplier.elements[name].value.trim()]));
    await api.post("/suppliers", body);
    supplier.reset();
    await again();
  });
  await fillOrder(api, $("purchase-form"), again);
}

async function fillOrder(api, form, again) {
  const lines = lineEditor(await goodsOf(api), { costs: true, testid: "purchase-add" });
  put(
    form,
    field("pu.supplier", { name: "supplier", options: [], required: true, "data-testid": "purchase-supplier" }),
    field("pu.numberOwn", { name: "number", maxlength: 64, "data-testid": "purchase-number" }),
    field("pu.expected", { name: "expected", type: "date" }),
    lines.element,
    h("button.primary", { type: "submit", value: "lines", "data-t": "pu.draft", "data-testid": "purchase-draft" }, t("pu.draft")),
    field("m.file", { name: "file", type: "file", accept: ".csv,text/csv", "data-testid": "purchase-file" }),
    h("button.small", { type: "submit", value: "file", formnovalidate: "", "data-t": "pu.import", "data-testid": "purchase-import" }, t("pu.import")),
  );
  onSend(form, async (button) => {
    const { supplier, number, expected, file } = form.elements;
    if (button === "file") {
      if (!file.files.length) return toast(t("m.file"), "error");
      if (!(await importFile(api, supplier.value, number.value.trim(), file.files[0]))) return;
    } else {
      await api.post("/purchases", { supplier: supplier.value, number: number.value.trim(), expected: expected.value, lines: lines.read() });
    }
    lines.clear();
    form.reset();
    await again();
  });
}

async function importFile(api, supplier, number, file) {
  const query = new URLSearchParams({ supplier, number });
  const response = await fetch(`/api/v1/purchases/import?${query}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${api.token}` },
    body: await file.arrayBuffer(),
    signal: AbortSignal.timeout(SHEET_TIMEOUT_MS),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  if (answer.faults.length) toast(answer.faults.map((one) => `${t("m.line", { n: one.line })} ${one.column} ${one.message}`).join("; "), "error");
  return Boolean(answer.purchase);
}

