/** What the page shows of an order. Pure. */

import { money, when } from "../../shared/speak.js";

/** @typedef {import("../../shared/speak.js").Speak} Speak */

/** What was paid, whatever became of the goods. */
const PAID = new Set(["paid", "fulfilled", "done", "partly_refunded", "refunded"]);
/** How many days an event, a pass and a membership travel: their orders are sent by themselves. */
const BY_ITSELF = new Set(["member", "pass", "event"]);

/**
 * @param {any} order
 * @param {string|undefined} back the state of what was asked for after the sale last
 * @param {number} now Unix ms
 * @param {Speak} t
 */
export function orderView(order, back, now, t) {
  const { delivery, presale, status } = order;
  const pending = status === "pending";
  const early = presale?.part === "balance" && now < presale.opens;
  const open = order.fulfilment === "open";
  return {
    order: order.order,
    title: order.lines.map((/** @type {any} */ line) => `${line.title} × ${line.quantity}`).join("、"),
    note: [presale ? t(presale.part) : "", when(order.created)].filter(Boolean).join(" · "),
    status: t(`status.${status}`),
    amount: money(order.amount),
    code: open && delivery?.code && PAID.has(status) ? t("pickupCode", { code: delivery.code }) : "",
    news: [...travels(order, t), ...(back ? [t(`afterSale.${back}`)] : [])],
    due: pending ? dueNote(order, early, t) : "",
    canPay: pending && !early,
    canCancel: pending,
    loses: presale?.part === "balance" && presale.missed === "keep",
    canReceive: status === "fulfilled" && order.fulfilment === "shipped",
    canAsk: PAID.has(status) && order.kind !== "stored" && presale?.part !== "deposit",
    canSeeRefunds: PAID.has(status),
  };
}

/**
 * @param {any} order
 * @param {boolean} early
 * @param {Speak} t
 */
function dueNote(order, early, t) {
  if (early) return t("balanceFrom", { time: when(order.presale.opens) });
  return order.expires ? t("until", { time: when(order.expires) }) : "";
}

/**
 * Where the goods are.
 * @param {any} order
 * @param {Speak} t
 * @returns {string[]}
 */
function travels({ delivery }, t) {
  if (!delivery) return [];
  const news = [];
  if (delivery.day) news.push(t("fetch", delivery));
  const { courier, carrier, number } = delivery;
  if (courier) news.push([t(`courier.${courier.state}`, courier), courier.phone].filter(Boolean).join(" "));
  else if (carrier && !BY_ITSELF.has(carrier)) news.push(t("carried", { carrier, number }));
  return news;
}
