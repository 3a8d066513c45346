/**
 * Pay an order, or what is owed on account: by WeChat's own sheet where the shop has an account there, else by the sandbox,
 * which pays at once. Whoever may buy on account is asked which of the two an order is paid by.
 */

import { ApiError } from "../lib/siyu.js";
import { ACCOUNT, bestOf, wayOf } from "../lib/paying_ways.js";
import { picked, walletSheet } from "./asking.js";
import { speaker } from "./speak.js";
import { SHARED } from "./texts.js";

const t = speaker(SHARED);
/** The one of a provider's methods that a mini-program can go on with. */
const METHOD = "jsapi";

/** WeChat tells the shop of the money a moment after it told the phone. */
const LOOK_MS = 1500;
const LOOKS_MAX = 20;

/**
 * @param {import("../lib/siyu.js").Api} api
 * @param {string} order
 * @param {string} key the same one until it is known what became of the attempt
 * @returns {Promise<any>} the order: paid, or pending still when nothing was heard of the money yet. Rejects with
 *   ApiError (`no_provider` when the shop can be paid by nothing that a mini-program has) or AskingError
 */
export async function pay(api, order, key) {
  const offer = await chosen(api);
  // A key is of one way: whoever left WeChat's sheet may take the other.
  const own = offer.provider === ACCOUNT ? `${key}-${ACCOUNT}` : key;
  const answer = await api.post(`/orders/${encodeURIComponent(order)}/pay`, wayOf(offer, [METHOD]), own);
  if (!answer.payment) return answer.order;
  await walletSheet(answer.payment.fields);
  return settled(api, order);
}

/**
 * @param {import("../lib/siyu.js").Api} api
 * @param {{amount: number, order: string|null}} debt 分 of what is owed, of one order's debt or of what is due first
 * @param {string} key the same one until it is known what became of the attempt
 * @returns {Promise<any>} the repayment: paid, or open still when nothing was heard of the money yet
 */
export async function repay(api, debt, key) {
  const answer = await api.post("/credit/mine/repayments", { ...debt, ...wayOf(money(await api.get("/payments")), [METHOD]) }, key);
  if (!answer.payment) return answer.repayment;
  await walletSheet(answer.payment.fields);
  for (let look = 1; ; look += 1) {
    const { repayments } = await api.get("/credit/mine");
    const found = repayments.find((/** @type {any} */ one) => one.repayment === answer.repayment.repayment);
    if (found.state !== "open" || look >= LOOKS_MAX) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** @typedef {import("../lib/paying_ways.js").Offer} Offer */

/**
 * @param {Offer[]} offers
 * @returns {Offer} rejects with ApiError when nothing that a mini-program has is among them
 */
function money(offers) {
  const best = bestOf(offers, METHOD);
  if (!best) throw new ApiError(0, "no_provider", "no way to pay inside WeChat");
  return best;
}

/**
 * What an order is paid by: money, or on account where the person may; asked for when both are there.
 * @param {import("../lib/siyu.js").Api} api
 * @returns {Promise<Offer>}
 */
async function chosen(api) {
  /** @type {Offer[]} */
  const offers = await api.get("/payments");
  const account = offers.find(({ provider }) => provider === ACCOUNT);
  const best = bestOf(offers, METHOD);
  if (!account || !best) return account ?? money(offers);
  return (await picked([t(best.methods.length ? "byWallet" : "byMoney"), t("onAccount")])) ? account : best;
}

/**
 * @param {import("../lib/siyu.js").Api} api
 * @param {string} order
 */
async function settled(api, order) {
  for (let look = 1; ; look += 1) {
    const found = (await api.get(`/orders/${encodeURIComponent(order)}`)).order;
    if (found.status !== "pending" || look >= LOOKS_MAX) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
