/** The books of a day: each account's figures with the postings behind them, files, closing, rates of tax, invoices. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { lang, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";

const DAY_MS = 86400000;
const SHANGHAI_MS = 8 * 3600000;
const ENTRIES_SHOWN = 100;
const INVOICES_SHOWN = 10;
const dayOf = (ms) => new Date(ms + SHANGHAI_MS).toISOString().slice(0, 10);

let day = dayOf(Date.now());

/** Draw the day's books and the newest invoices. */
export async function drawBooks(api) {
  const [book, closes, rates, invoices, unheard] = await Promise.all([
    api.get(`/books?day=${day}`),
    api.get("/books/closes"),
    api.get("/tax-rates"),
    api.get(`/invoices?limit=${INVOICES_SHOWN}`),
    api.get("/payments/unheard"),
  ]);
  const name = (one) => (lang() === "zh" ? one.name : one.english);
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "book-row", data: { account: one.account } },
      cell("m.b.account", h("span.mono", {}, one.account), ` ${name(one)}`),
      cell("m.b.opening", money(one.opening)),
      cell("m.b.debit", money(one.debit)),
      cell("m.b.credit", money(one.credit)),
      cell("m.b.closing", h("strong.num", { "data-testid": "closing" }, money(one.closing))),
      h(
        "td.cell-toggle",
        {},
        one.entries > 0 && doer(t("m.b.entries", { n: one.entries }), () => openEntries(api, one), { "data-testid": "book-entries" }),
      ),
    );
  const heads = ["m.b.account", "m.b.opening", "m.b.debit", "m.b.credit", "m.b.closing", ""];
  const closed = closes[0] ? t("m.b.closedThrough", { day: closes[0].through }) : t("m.b.noneClosed");
  const shopRate = rates.find((one) => one.sku === "");
  put(
    $("books"),
    book.accounts.length ? table(heads, book.accounts.map(row)) : h("p.empty", {}, t("m.b.empty")),
    h(
      "p.models",
      { "data-testid": "book-margin" },
      h("span.chip", {}, `${t("m.b.revenue")} ${money(book.revenue)}`),
      h("span.chip", {}, `${t("m.b.cost")} ${money(book.cost)}`),
      h("span.chip", {}, `${t("m.b.margin")} ${money(book.margin)}${book.revenue > 0 ? ` (${((book.margin / book.revenue) * 100).toFixed(1)}%)` : ""}`),
      ["online", "tills"].map((side) => h("span.chip", { "data-testid": `margin-${side}` }, `${t(`m.b.${side}`)} ${money(book[side].margin)}`)),
      doer(t("m.b.margins"), () => openMargins(api), { "data-testid": "margins-open" }),
    ),
    h(
      "p.models",
      { "data-testid": "book-state" },
      h("span.chip", {}, `${t("m.b.debit")} ${money(book.debit)} = ${t("m.b.credit")} ${money(book.credit)}`),
      h("span.chip", {}, closed),
      h("span.chip", {}, t("m.b.shopRate", { rate: shopRate ? shopRate.basis_points / 100 : 0 })),
    ),
    unheard.items.length > 0 && h("h3", {}, t("m.b.unheard")),
    unheard.items.length > 0 && unheardTable(api, unheard.items),
    invoices.items.length > 0 && h("h3", {}, t("m.b.invoices")),
    invoices.items.length > 0 && invoiceTable(api, invoices.items),
  );
}

/** Payments of ended orders that their provider has not said the end of. */
function unheardTable(api, items) {
  const ask = async (one) => {
    const { order, repayment } = await api.post(`/payments/unheard/${one.payment}`, {});
    const paid = order ? order.status === "paid" : repayment.state === "paid";
    toast(t(paid ? "m.b.heardPaid" : "m.b.heard"), "good");
    await drawBooks(api);
  };
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "unheard-row", data: { order: one.order } },
      cell("m.col.order", h("span.mono", {}, `…${one.order.slice(-8)}`)),
      cell("m.col.amount", money(one.amount)),
      cell("m.b.provider", one.provider),
      cell("m.b.since", when(one.since_ms)),
      cell("m.b.next", one.next_ms === null ? t("m.b.toPeople") : when(one.next_ms)),
      h("td.cell-toggle", {}, doer(t("m.b.askNow"), () => ask(one), { "data-testid": "unheard-ask" })),
    );
  return table(["m.col.order", "m.col.amount", "m.b.provider", "m.b.since", "m.b.next", ""], items.map(row));
}

function invoiceTable(api, items) {
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "invoice-row", data: { kind: one.kind, state: one.state } },
      cell("m.col.time", when(one.created_ms)),
      cell("m.b.number", h("span.mono", {}, one.number || one.error || "—")),
      cell("m.b.title", one.title),
      cell("m.col.amount", money(one.kind === "red" ? -one.amount : one.amount)),
      h("td.cell-toggle", {}, one.state === "issued" && doer(t("m.b.document"), () => download(api, `/invoices/${one.id}/document`, `invoice-${one.number}.xml`))),
    );
  return table(["m.col.time", "m.b.number", "m.b.title", "m.col.amount", ""], items.map(row));
}

const download = async (api, path, name) => save(await fetched(api, path), name);

async function openEntries(api, account) {
  const found = await api.get(`/books/entries?day=${day}&account=${account.account}&limit=${ENTRIES_SHOWN}`);
  const window = sheet({ title: `${account.account} ${lang() === "zh" ? account.name : account.english}`, testid: "entries-sheet", closeLabel: t("common.close") });
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "posting-row", data: { order: one.order_id } },
      cell("m.col.time", when(one.at_ms)),
      cell("m.b.source", t(`m.b.kind.${one.kind.replace(" ", "_")}`)),
      cell("m.b.debit", one.amount > 0 ? money(one.amount) : ""),
      cell("m.b.credit", one.amount < 0 ? money(-one.amount) : ""),
      cell("m.col.order", h("span.mono", {}, (one.order_id || one.ref).slice(-12))),
    );
  put(window.body, table(["m.col.time", "m.b.source", "m.b.debit", "m.b.credit", "m.col.order"], found.items.map(row)));
}

/** What each order of the day was sold for, and what its goods cost. */
async function openMargins(api) {
  const found = await api.get(`/books/margins?day=${day}&limit=${ENTRIES_SHOWN}`);
  const window = sheet({ title: t("m.b.margins"), testid: "margins-sheet", closeLabel: t("common.close") });
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "margin-row", data: { order: one.order_id } },
      cell("m.col.order", one.order_id ? h("span.mono", {}, `…${one.order_id.slice(-8)}`) : t("m.b.noOrder"), one.till && ` ${t("m.b.ofTill")}`),
      cell("m.b.revenue", money(one.revenue)),
      cell("m.b.cost", money(one.cost)),
      cell("m.b.margin", h("strong.num", {}, money(one.margin))),
    );
  const heads = ["m.col.order", "m.b.revenue", "m.b.cost", "m.b.margin"];
  put(window.body, found.items.length ? table(heads, found.items.map(row)) : h("p.empty", {}, t("m.b.empty")));
}

/** The forms around the books: which day, files, closing, the shop's rate of tax. */
export function fillBooks(api, form, again) {
  const file = (label, path, name) => doer(t(label), () => download(api, `${path}day=${day}&format=csv`, `${name}-${day}.csv`), { "data-testid": `file-${name}` });
  const chosen = field("m.b.day", { name: "day", type: "date", value: day, max: dayOf(Date.now()), required: true, "data-testid": "book-day" });
  put(
    form,
    chosen,
    h(
      "div.run-buttons.whole-row",
      {},
      file("m.b.fileBook", "/books?", "books"),
      file("m.b.fileJournal", "/books/entries?", "journal"),
      file("m.b.fileMargin", "/books/margins?", "margin"),
      file("m.b.fileStock", "/books/stock?", "stock"),
      file("m.b.fileChart", "/books/chart?", "chart"),
    ),
    field("m.b.rate", { name: "rate", type: "number", min: "0", max: "20", step: "0.01" }),
    h("button.small", { type: "submit", value: "rate", "data-t": "m.b.setRate" }, t("m.b.setRate")),
    h("button.small", { type: "submit", value: "close", "data-testid": "book-close", "data-t": "m.b.close" }, t("m.b.close")),
  );
  chosen.querySelector("input").addEventListener("change", async (event) => {
    if (!event.target.value) return;
    day = event.target.value;
    await again();
  });
  form.onsubmit = null;
  onSend(form, async (button) => {
    if (button === "rate") {
      await api.request("PUT", "/tax-rates", { basis_points: Math.round(Number(form.elements.rate.value) * 100) });
    } else if (confirm(t("m.b.sure", { day }))) {
      await api.post("/books/closes", { through: day });
      toast(t("m.b.closedThrough", { day }), "good");
    }
    await again();
  });
}
