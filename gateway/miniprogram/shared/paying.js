/** Pay an order, or what is owed on account: by WeChat's own sheet where the shop has an account there, else by the sandbox, which pays at once. */

import { ApiError } from "../lib/siyu.js";
import { walletSheet } from "./asking.js";

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
  const answer = await api.post(`/orders/${encodeURIComponent(order)}/pay`, await way(api), key);
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
  const answer = await api.post("/credit/mine/repayments", { ...debt, ...(await way(api)) }, key);
  if (!answer.payment) return answer.repayment;
  await walletSheet(answer.payment.fields);
  for (let look = 1; ; look += 1) {
    const { repayments } = await api.get("/credit/mine");
    const found = repayments.find((/** @type {any} */ one) => one.repayment === answer.repayment.repayment);
    if (found.state !== "open" || look >= LOOKS_MAX) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** @param {import("../lib/siyu.js").Api} api */
async function way(api) {
  /** @type {{provider: string, methods: string[]}[]} */
  const offers = await api.get("/payments");
  const wallet = offers.find(({ methods }) => methods.includes("jsapi"));
  if (wallet) return { provider: wallet.provider, method: "jsapi" };
  // The shop's account has nothing to choose from, either, but is no way to pay now.
  if (offers.some(({ provider, methods }) => !methods.length && provider !== "account")) return {};
  throw new ApiError(0, "no_provider", "no way to pay inside WeChat");
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
