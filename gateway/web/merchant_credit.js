/** Sale on account, the merchant's side: accounts and their ages, repayments, debts that are given up. */

import { CREDIT } from "./credit_strings.js";
import { $, h, put, sheet } from "./dom.js";
import { doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { ask } from "./merchant_lines.js";
import { fetched, save } from "./files.js";
import { newKey } from "./siyu.js";
import { cell, table } from "./tables.js";
import { statementRows } from "./view_credit.js";

addStrings(CREDIT);

const AGES = ["not_due", "to_30", "to_60", "to_90", "over_90"];

/** Draw the accounts. */
export async function drawCredit(api) {
  const page = await api.get("/credit?limit=200");
  const again = () => drawCredit(api);
  const heads = ["cr.name", "cr.balance", "cr.ages", "cr.most", ""];
  put($("credit-accounts"), page.items.length ? table(heads, page.items.map((one) => row(api, one, again))) : h("p.empty", {}, t("cr.none")));
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
    cell("cr.name", one.name || h("span.mono", {}, `…${one.person.slice(-6)}`)),
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
}

function giveUp(api, one, debt, again) {
  const key = newKey();
  ask(t("cr.writeOff"), [field("cr.reason", { name: "reason", maxlength: "200", required: true, wide: true })], async (form) => {
    await api.post(`${path(one)}/bookings`, { kind: "lost", order: debt.order, reason: form.elements.reason.value }, key);
    await again();
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
