/** Sale on account, for the customer: what is owed, what may be ordered for, and how it came about. */

import { CREDIT } from "./credit_strings.js";
import { h } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, knows, money, t, when } from "./i18n.js";

addStrings(CREDIT);

/** Signed money: what is owed less is in front of a minus. */
const signed = (fen) => (fen < 0 ? `−${money(-fen)}` : money(fen));

/**
 * What a debtor is told of.
 * @param {string} why due, overdue or reminded
 * @param {{amount: number, due: number}} debt
 */
export const debtWords = (why, { amount, due }) => t(`cr.told.${why}`, { amount: money(amount), day: when(due) });

/** The lines of a statement, the newest first. */
export const statementRows = (entries) =>
  [...entries]
    .reverse()
    .map((one) =>
      h("div", { "data-testid": "credit-entry", data: { why: one.why } }, h("dt", {}, `${when(one.at)} · ${t(`cr.why.${one.why}`)}`), h("dd", {}, `${signed(one.amount)} → ${signed(one.owed)}`)),
    );

/**
 * What was paid through providers, the newest first.
 * @param {any[]} repayments
 */
export const repaymentRows = (repayments) =>
  repayments.map((one) =>
    h(
      "div",
      { "data-testid": "repayment", data: { state: one.state } },
      h("dt", {}, `${when(one.paid || one.created)} · ${knows(`provider.${one.provider}`) ? t(`provider.${one.provider}`) : one.provider} · ${t(`cr.state.${one.state}`)}`),
      h("dd", {}, money(one.amount), one.back > 0 && h("small", {}, ` ${t(one.failed ? "cr.stuck" : one.returned < one.back ? "cr.back" : "cr.returned", { amount: money(one.back) })}`)),
    ),
  );

/**
 * My account; null of who has none.
 * @param {any} mine of GET /credit/mine
 * @param {() => Promise<void>} repay open the sheet to pay back
 */
export function creditCard({ account, debts, entries, repayments, reminders }, repay) {
  if (!account) return null;
  const open = debts.filter((one) => one.left > 0);
  return h(
    "section.wallet",
    { "data-testid": "credit" },
    h("div.wallet-head", {}, h("strong", {}, t("cr.title")), h("span.faint", {}, t("cr.free", { amount: money(account.free), most: money(account.most) }))),
    h("p", {}, t("cr.owed", { amount: money(account.owed) }), account.spare > 0 && ` · ${t("cr.spare", { amount: money(account.spare) })}`),
    account.overdue > 0 && h("p.warn", { role: "status" }, t("cr.overdue", { amount: money(account.overdue) })),
    account.overdue > 0 && reminders.length > 0 && h("p.warn", { "data-testid": "credit-reminder" }, t("cr.reminded", { day: when(reminders[0].at) }), reminders[0].note && ` ${reminders[0].note}`),
    open.map((one) => h("article.mine-order", { "data-testid": "my-debt" }, h("span.faint.mono", {}, one.order), h("strong", {}, money(one.left)), h("span.chip", {}, t("cr.due", { day: when(one.due) })))),
    account.owed > 0 && doer(t("cr.repay"), repay, { className: "buy", "data-testid": "repay" }),
    repayments.length > 0 && h("details", {}, h("summary", {}, t("cr.repayments")), h("dl.steps", {}, repaymentRows(repayments))),
    entries.length > 0 && h("details", {}, h("summary", {}, t("cr.statement")), h("dl.steps", {}, statementRows(entries))),
  );
}
