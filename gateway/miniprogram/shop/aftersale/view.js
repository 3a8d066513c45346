/** What the page shows of requests after the sale. Pure. */

import { money, when } from "../../shared/speak.js";

/** @typedef {import("../../shared/speak.js").Speak} Speak */

const OPEN = new Set(["asked", "offered", "approved", "sent"]);
const PAID = new Set(["paid", "fulfilled", "done", "partly_refunded"]);
/** Which reasons there are: for goods not sent, kept, or given back. */
export const REASONS = {
  unsent: ["mind", "mistake", "late", "other"],
  kept: ["not_arrived", "missing", "damaged", "faulty", "not_as_described", "other"],
  back: ["no_reason", "faulty", "damaged", "not_as_described", "wrong_goods", "other"],
};

/**
 * @param {any} one a request
 * @param {Speak} t
 */
export function requestView(one, t) {
  const due = one.due ? t(`due.${one.state}`, { time: when(one.due) }) : "";
  const offer = one.state === "offered" ? t(one.keeps ? "offerKeeps" : "offerBack", { amount: money(one.offer) }) : "";
  const back = one.state === "approved" || one.state === "sent";
  return {
    request: one.request,
    kind: t(`kind.${one.kind}`),
    reason: t(`reason.${one.reason}`),
    state: t(`state.${one.state}`),
    goods: one.lines.map((/** @type {any} */ line) => `${line.title} × ${line.quantity}`).join("、"),
    amount: money(one.state === "done" ? one.refunded : one.amount),
    news: [
      offer,
      due,
      one.why ? t(`why.${one.why}`) : "",
      back ? t(one.back_to ? "backTo" : "noBackTo", { where: one.back_to }) : "",
      back ? t(`pays.${one.pays}`) : "",
      one.number ? `${one.carrier} ${one.number}` : "",
    ].filter(Boolean),
    answer: one.answer,
    offer: one.offer,
    canWithdraw: OPEN.has(one.state) && one.state !== "sent",
    canTake: one.state === "offered",
    canSend: back,
  };
}

/**
 * The lines of an order about which something may be asked: those that no open request is about.
 * @param {any} order
 * @param {any[]} requests
 * @returns {{sku: string, title: string, quantity: number, units: number}[]}
 */
export function freeLines(order, requests) {
  if (!PAID.has(order.status) || order.kind === "stored" || order.presale?.part === "deposit") return [];
  const busy = new Set(requests.filter((one) => OPEN.has(one.state)).flatMap((one) => one.lines.map((/** @type {any} */ line) => line.sku)));
  /** @type {Map<string, {sku: string, title: string, quantity: number, units: number}>} */
  const lines = new Map();
  for (const { sku, title, quantity } of order.lines) {
    const units = quantity + (lines.get(sku)?.quantity ?? 0);
    if (!busy.has(sku)) lines.set(sku, { sku, title, quantity: units, units });
  }
  return [...lines.values()];
}
