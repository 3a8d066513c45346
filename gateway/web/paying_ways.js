/** Which of a shop's ways to pay a client can take, and how it names one: for the browser's page and the mini-program. */

/** The name under which orders are paid on account, where others name a provider. */
export const ACCOUNT = "account";

/**
 * @typedef {{provider: string, methods: string[]}} Offer of GET /payments; the sandbox and the shop's account have
 *   nothing to choose from, but are chosen
 */

/**
 * The body of a request to pay by an offer; the shop's first provider without one.
 * @param {Offer|null|undefined} offer
 * @param {string[]} wanted methods that this client can go on with, the best first
 * @returns {{provider?: string, method?: string}}
 */
export function wayOf(offer, wanted) {
  if (!offer) return {};
  if (!offer.methods.length) return { provider: offer.provider };
  return { provider: offer.provider, method: wanted.find((method) => offer.methods.includes(method)) ?? wanted[wanted.length - 1] };
}

/**
 * The offers by which money moves now: what is owed on account is not paid on account.
 * @template {Offer} T
 * @param {T[]} offers
 * @returns {T[]}
 */
export const withMoney = (offers) => offers.filter(({ provider }) => provider !== ACCOUNT);

/**
 * The one offer of money that a client takes when it has a single method: of those who know it, else what pays at once.
 * @param {Offer[]} offers
 * @param {string} method
 * @returns {Offer|null}
 */
export function bestOf(offers, method) {
  const money = withMoney(offers);
  return money.find(({ methods }) => methods.includes(method)) ?? money.find(({ methods }) => !methods.length) ?? null;
}
