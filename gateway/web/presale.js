/** What a presale's two payments are, in words: on the sale's card, in the order sheet, in the list of my orders. */

import { h } from "./dom.js";
import { money, t, when } from "./i18n.js";

/** Terms of a sale as an order would have them, or null when it is no presale. */
export function presaleOf(sale, quantity = 1) {
  if (!sale?.deposit) return null;
  const { balance_from: opens, balance_until: until, balance_missed: missed } = sale;
  return { part: "deposit", deposit: sale.deposit * quantity, balance: (sale.price - sale.deposit) * quantity, opens, until, missed };
}

const times = ({ opens, until }) => (opens ? `${when(opens)} – ${when(until)}` : t("presale.until", { time: when(until) }));

/** In a line: the deposit, the balance and when it is due. */
export function presaleLine(presale) {
  return `${t("presale.deposit", { amount: money(presale.deposit) })} · ${t("presale.balance", { times: times(presale) })}`;
}

/** What a buyer reads before and after paying a deposit; `presale.balance` is the rest in 分. */
export function presaleNote(presale) {
  if (!presale) return null;
  const note = t("presale.note", { amount: money(presale.balance), times: times(presale) });
  const text = note + t(`presale.${presale.missed}`);
  return h("p.presale-note", { "data-testid": "presale-note" }, text);
}

/** Whether an order is a balance that cannot be paid yet. */
export function tooEarly(order, now) {
  return order.presale?.part === "balance" && now < order.presale.opens;
}
