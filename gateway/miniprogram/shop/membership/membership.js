/** Paid membership: what I have of it, what there is, joining and renewing. */

import { shopPage } from "../../shared/page.js";
import { day, money } from "../../shared/speak.js";
import { MEMBERSHIP } from "../texts.js";

shopPage(MEMBERSHIP, {
  onShow() {
    if (this.data.ready) this.again();
  },

  async load() {
    const { api } = this.visit;
    const [mine, plans] = await Promise.all([api.get("/memberships"), api.get("/memberships/plans")]);
    const now = Date.now();
    const live = mine.filter((/** @type {any} */ one) => one.state === "active");
    const skus = new Set(live.map((/** @type {any} */ one) => one.sku));
    return {
      mine: mine.map((/** @type {any} */ one) => ({
        id: one.membership,
        title: one.title,
        period: this.t("until", { from: day(one.since), until: day(one.until) }),
        benefits: this.benefits(one),
        state: this.t(one.state === "active" && one.since > now ? "waits" : one.state),
        good: one.state === "active",
      })),
      plans: plans
        .filter((/** @type {any} */ plan) => plan.on_shelf)
        .map((/** @type {any} */ plan) => ({
          sku: plan.sku,
          title: `${plan.title} · ${this.t(`months${plan.months}`)}`,
          benefits: this.benefits(plan),
          refund: this.t(plan.refund),
          button: this.t(skus.has(plan.sku) ? "renew" : "join", { price: money(plan.price) }),
        })),
    };
  },

  /**
   * What a plan or a membership gives, in a line.
   * @param {any} one
   * @returns {string}
   */
  benefits({ price_percent: percent, points_percent: points, coupon_amount: coupon }) {
    const given = [];
    if (percent < 100) given.push(this.t("off", { n: percent / 10, off: 100 - percent }));
    if (points > 100) given.push(this.t("points", { n: points / 100 }));
    if (coupon > 0) given.push(this.t("coupon", { amount: money(coupon) }));
    return given.join(" · ");
  },

  /** @param {{currentTarget: {dataset: {sku: string}}}} event */
  onJoin({ currentTarget }) {
    this.go("/shop/checkout/checkout", { sku: currentTarget.dataset.sku });
  },
});
