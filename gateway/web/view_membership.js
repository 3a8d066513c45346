/** Paid membership: what I have of it, and what can be bought. */

import { h } from "./dom.js";
import { addStrings, lang, money, t } from "./i18n.js";
import { MEMBERSHIP } from "./membership_strings.js";

addStrings(MEMBERSHIP);

/** From when to when, with the year: a membership is longer than a show. */
export function period(one) {
  const day = (ms) => new Date(ms).toLocaleDateString(lang() === "zh" ? "zh-CN" : "en-GB", { timeZone: "Asia/Shanghai" });
  return t("ms.until", { from: day(one.since), until: day(one.until) });
}

/** What a plan or a membership gives, in a line. */
export function benefits(one) {
  return [
    one.price_percent < 100 && t("ms.off", { n: one.price_percent / 10, off: 100 - one.price_percent }),
    one.points_percent > 100 && t("ms.points", { n: one.points_percent / 100 }),
    one.coupon_amount > 0 && t("ms.coupon", { amount: money(one.coupon_amount) }),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** Whether a membership is good now, is to come, or is over. */
export const standing = (one, now) => (one.state === "active" && one.since > now ? "waits" : one.state);

/**
 * My memberships and the plans on sale; null in a shop without any.
 * @param {any[]} mine of GET /memberships
 * @param {any[]} plans of GET /memberships/plans
 * @param {number} now
 * @param {(item: any) => void} buy
 */
export function membershipCard(mine, plans, now, buy) {
  const open = plans.filter((plan) => plan.on_shelf);
  const live = mine.filter((one) => one.state === "active");
  if (!open.length && !live.length) return null;
  return h(
    "section.wallet",
    { "data-testid": "membership" },
    h("div.wallet-head", {}, h("strong", {}, t("ms.title")), h("span.faint", {}, t("ms.norenew"))),
    live.map((one) => membershipRow(one, now)),
    open.map((plan) => planRow(plan, live.some((one) => one.sku === plan.sku), buy)),
  );
}

function membershipRow(one, now) {
  return h(
    "article.mine-order",
    { "data-testid": "my-membership", data: { state: standing(one, now) } },
    h(
      "div",
      {},
      h("strong", {}, one.title),
      h("span.faint", {}, `${period(one)} · ${benefits(one)}`),
    ),
    h("span.chip", {}, t(`ms.${standing(one, now)}`)),
  );
}

function planRow(plan, renews, buy) {
  const press = { click: () => buy({ ...plan, quantity: 1 }) };
  const text = t(renews ? "ms.renew" : "ms.buy", { price: money(plan.price) });
  return h(
    "article.mine-order",
    { "data-testid": "plan", data: { sku: plan.sku } },
    h(
      "div",
      {},
      h("strong", {}, `${plan.title} · ${t(`ms.months${plan.months}`)}`),
      h("span.faint", {}, [benefits(plan), t(`ms.${plan.refund}`)].join(" · ")),
    ),
    h("button.buy", { type: "button", "data-testid": "plan-buy", on: press }, text),
  );
}
