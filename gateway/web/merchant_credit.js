/** Sale on account, the merchant's side: accounts and their ages, repayments, debts that are given up. */

import { CREDIT } from "./credit_strings.js";
import { $, h, put, sheet } from "./dom.js";
import { doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { ask } from "./merchant_lines.js";
import { fetched, save } from "./files.js";
import { listed } from "./lists.js";
import { newKey } from "./siyu.js";
import { cell, table } from "./tables.js";
import { repaymentRows, statementRows } from "./view_credit.js";

addStrings(CREDIT);

const SHOWN = 50;
const ACCOUNTS = `/credit?limit=${SHOWN}`;
const OVERDUE = `/credit/overdue?limit=${SHOWN}`;
const AGES = ["not_due", "to_30", "to_60", "to_90", "over_90"];

/** Draw the accounts. */
export async function drawCredit(api) {
  const [page, late] = await Promise.all([api.get(ACCOUNTS), api.get(OVERDUE).then(latePage)]);
  const again = () => drawCredit(api);
  const columns = ["cr.name", "cr.late", "cr.lastPaid", "cr.lastAsked", ""];
  await drawNotice(api);
  put($("credit-overdue"), late.items.length ? listed(api, OVERDUE, late, (one) => overdueRow(api, one, again), (rows) => table(columns, rows), latePage) : h("p.empty", {}, t("cr.noneOverdue")));
  const heads = ["cr.name", "cr.balance", "cr.ages", "cr.most", ""];
  put($("credit-accounts"), page.items.length ? listed(api, ACCOUNTS, page, (one) => row(api, one, again), (rows) => table(heads, rows)) : h("p.empty", {}, t("cr.none")));
}

/** The overdue are a plain list: the next ones are behind the last one's day and person. */
function latePage(items) {
  const last = items.at(-1);
  return { items, next: items.length === SHOWN ? `${last.since}:${last.person}` : null };
}

const nameOf = (one) => one.name || h("span.mono", {}, `…${one.person.slice(-6)}`);

/** One who is to be asked for money: since when, how much, what they were told before. */
function overdueRow(api, one, again) {
  const asked = one.reminders > 0 ? t("cr.times", { day: when(one.reminded), n: one.reminders }) : "—";
  return h(
    "tr",
    { "data-testid": "overdue-row", data: { person: one.person } },
    cell("cr.name", nameOf(one)),
    cell("cr.late", money(one.overdue), h("small", {}, ` ${t("cr.lateFor", { n: one.days, orders: one.orders })}`)),
    cell("cr.lastPaid", one.repaid ? when(one.repaid) : "—"),
    cell("cr.lastAsked", asked, one.note && h("small", {}, ` ${one.note}`)),
    h(
      "td.cell-toggle",
      {},
      h("button.small", { type: "button", "data-testid": "credit-remind", on: { click: () => remind(api, one, again) } }, t("cr.remind")),
      h("button.small", { type: "button", on: { click: () => statement(api, one, again) } }, t("cr.statement")),
    ),
  );
}

function remind(api, one, again) {
  const key = newKey();
  ask(t("cr.remind"), [field("cr.note", { name: "note", maxlength: "200", wide: true, "data-testid": "remind-note" })], async (form) => {
    await api.post(`${path(one)}/reminders`, { note: form.elements.note.value }, key);
    await again();
  });
}

const path = (one) => `/credit/${encodeURIComponent(one.person)}`;

function row(api, one, again) {
  const stop = async () => {
    await api.request("PUT", path(one), { most: one.most, days: one.days, name: one.name, open: false });
    await again();
  };
  return h(
    "tr",
    { "data-testid": "credit-row", data: { person: one.person } },
    cell("cr.name", nameOf(one)),
    cell("cr.balance", money(one.owed), one.spare > 0 && h("small", {}, ` ${t("cr.spare", { amount: money(one.spare) })}`)),
    cell("cr.ages", AGES.map((name) => money(one.ages[name])).join(" / ")),
    cell("cr.most", `${money(one.most)} · ${one.days}`),
    h(
      "td.cell-toggle",
      {},
      one.owed > 0 && h("button.small", { type: "button", "data-testid": "credit-repaid", on: { click: () => book(api, one, "repaid", again) } }, t("cr.book")),
      one.spare > 0 && h("button.small", { type: "button", on: { click: () => book(api, one, "given", again) } }, t("cr.give")),
      h("button.small", { type: "button", "data-testid": "credit-statement", on: { click: () => statement(api, one, again) } }, t("cr.statement")),
      one.open && doer(t("cr.stop"), stop),
    ),
  );
}

function book(api, one, kind, again) {
  const key = newKey();
  const fields = [
    yuanField("cr.amount", "amount", { required: true, "data-testid": "credit-amount" }),
    field("cr.reference", { name: "reference", maxlength: "60" }),
  ];
  ask(t(kind === "repaid" ? "cr.book" : "cr.give"), fields, async (form) => {
    await api.post(`${path(one)}/bookings`, { kind, amount: fen(form, "amount"), reference: form.elements.reference.value }, key);
    await again();
  });
}

async function statement(api, one, again) {
  const told = await api.get(path(one));
  const window = sheet({ title: t("cr.statement"), testid: "statement-sheet", closeLabel: t("common.close") });
  const debt = (each) =>
    h(
      "article.run",
      { "data-testid": "debt" },
      h("div.run-head", {}, h("strong", {}, money(each.left)), h("span.faint.mono", {}, `${each.order} · ${t("cr.due", { day: when(each.due) })}`)),
      h("button.small", { type: "button", on: { click: () => { window.close(); giveUp(api, one, each, again); } } }, t("cr.writeOff")),
    );
  put(window.body, h("h3", {}, t("cr.debts")), told.debts.filter((each) => each.left > 0).map(debt), h("dl.steps", {}, statementRows(told.entries)));
  if (!told.repayments.length) return;
  const stuck = told.repayments.filter((each) => each.failed > 0);
  const retry = (each) => async () => {
    await api.post(`${path(one)}/repayments/${encodeURIComponent(each.repayment)}/retry`);
    window.close();
    await again();
  };
  window.body.append(
    h("h3", {}, t("cr.repayments")),
    h("dl.steps", {}, repaymentRows(told.repayments)),
    ...stuck.map((each) => doer(`${t("cr.retry")} ${money(each.failed)}`, retry(each), { "data-testid": "credit-retry" })),
  );
}

function giveUp(api, one, debt, again) {
  const key = newKey();
  ask(t("cr.writeOff"), [field("cr.reason", { name: "reason", maxlength: "200", required: true, wide: true })], async (form) => {
    await api.post(`${path(one)}/bookings`, { kind: "lost", order: debt.order, reason: form.elements.reason.value }, key);
    await again();
  });
}

/** How debtors are told outside the page: by which templates, and which of their fields says what. */
async function drawNotice(api) {
  const form = $("credit-notice");
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  const had = await api.get("/credit-notice");
  const named = (what, otherwise) => Object.entries(had.fields).find(([, said]) => said === what)?.[0] ?? (had.channel ? "" : otherwise);
  put(
    form,
    field("cr.channel", { name: "channel", options: ["subscribe", "sms"].map((name) => [name, t(`cr.channel.${name}`)]) }),
    field("cr.dueTemplate", { name: "soon", maxlength: "64", value: had.due_template, "data-testid": "credit-due-template" }),
    field("cr.lateTemplate", { name: "late", maxlength: "64", value: had.overdue_template, "data-testid": "credit-late-template" }),
    field("cr.field.amount", { name: "amount", maxlength: "32", value: named("amount", "amount1") }),
    field("cr.field.due", { name: "due", maxlength: "32", value: named("due", "date2") }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "credit-notice-save" }, t("cr.save"))),
  );
  if (had.channel) form.elements.channel.value = had.channel;
  onSend(form, async () => {
    const { channel, soon, late, amount, due } = form.elements;
    const others = Object.entries(had.fields).filter(([, said]) => said === "orders");
    const fields = [[amount.value.trim(), "amount"], [due.value.trim(), "due"], ...others].filter(([name]) => name);
    await api.request("PUT", "/credit-notice", {
      channel: channel.value,
      due_template: soon.value.trim(),
      overdue_template: late.value.trim(),
      fields: Object.fromEntries(fields),
      page: had.page || "my/wallet/wallet",
    });
  });
}

/** The form that grants a limit, and the ageing report. */
export function fillCredit(api) {
  const form = $("credit-form");
  put(
    form,
    field("cr.person", { name: "person", maxlength: "64", required: true, "data-testid": "credit-person" }),
    field("cr.name", { name: "name", maxlength: "60" }),
    yuanField("cr.most", "most", { required: true, "data-testid": "credit-most" }),
    field("cr.days", { name: "days", type: "number", min: "1", max: "365", value: "30", required: true }),
    h("button.primary", { type: "submit", "data-t": "cr.grant", "data-testid": "credit-grant" }, t("cr.grant")),
  );
  onSend(form, async () => {
    const body = { most: fen(form, "most"), days: whole(form, "days"), name: form.elements.name.value };
    await api.request("PUT", `/credit/${encodeURIComponent(form.elements.person.value.trim())}`, body);
    await drawCredit(api);
  });
  put($("credit-tools"), doer(t("cr.export"), async () => save(await fetched(api, "/credit/export"), "credit-ages.csv")));
}
