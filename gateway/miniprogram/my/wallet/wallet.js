/** Coupons, points with the mall, stored value, passes, and what came and went. */

import { shopPage } from "../../shared/page.js";
import { day, money, when } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { WALLET } from "../texts.js";

const ENTRIES = 50;
/** What somebody has; the accounts beside these (what an order holds, what is owed) are the shop's bookkeeping. */
const KINDS = new Set(["points", "points_pending", "principal", "bonus"]);

shopPage(WALLET, {
  onShow() {
    if (this.data.ready) this.again();
  },

  async load() {
    const { api } = this.visit;
    const [member, coupons, mall, passes, entries] = await Promise.all([
      api.get("/member"),
      api.get("/coupons"),
      api.get("/mall"),
      api.get("/passes"),
      api.get(`/member/entries?limit=${ENTRIES}`),
    ]);
    const { t } = this;
    const notes = [];
    if (member.points_pending) notes.push(t("pending", { n: member.points_pending }));
    if (member.points_expire) notes.push(t("expiring", { n: member.points_expiring, time: day(member.points_expire) }));
    return {
      points: member.points,
      pointsNote: notes.join(" · "),
      stored: money(member.principal + member.bonus),
      storedNote: member.bonus ? t("bonus", { amount: money(member.bonus) }) : "",
      coupons: coupons.map((/** @type {any} */ one) => this.couponView(one)),
      mall: mall.map((/** @type {any} */ one) => ({
        sku: one.sku,
        title: one.title,
        image: asset(one.image),
        costs: t("costs", { points: one.points, cash: money(one.cash) }),
        can: one.left > 0 && member.points >= one.points,
      })),
      passes: passes.map((/** @type {any} */ one) => this.passView(one)),
      entries: entries
        .filter((/** @type {any} */ one) => KINDS.has(one.kind))
        .map((/** @type {any} */ one) => this.entryView(one)),
    };
  },

  /** @param {any} entry */
  entryView({ id, kind, unit, amount, why, created_ms: at }) {
    const reason = this.t(`why.${why}`);
    return {
      id,
      why: `${this.t(`kind.${kind}`)} · ${reason === `why.${why}` ? why : reason}`,
      when: when(at),
      amount: `${amount > 0 ? "+" : ""}${unit === "points" ? amount : money(amount)}`,
    };
  },

  /** @param {any} coupon */
  couponView(coupon) {
    const { t } = this;
    const { percent, amount, threshold, state = "unused" } = coupon;
    return {
      coupon: coupon.coupon,
      worth: percent ? t("percent", { n: (100 - percent) / 10, off: percent }) : money(amount),
      condition: threshold ? t("over", { amount: money(threshold) }) : t("anyAmount"),
      title: [coupon.reason, coupon.title].filter(Boolean).join(" · "),
      until: t("until", { time: when(coupon.expires) }),
      state: t(state),
      good: state === "unused",
    };
  },

  /** @param {any} pass */
  passView(pass) {
    const { t } = this;
    const good = pass.state === "active";
    const times = t("times", { from: when(pass.opens), until: when(pass.until) });
    return {
      card: pass.card,
      title: pass.title,
      note: [pass.place, times].filter(Boolean).join(" · "),
      state: t(pass.state, pass),
      code: good ? pass.code.replace(/(.{4})(?=.)/g, "$1 ") : "",
      qr: (good && pass.qr) || "",
    };
  },

  /** @param {{currentTarget: {dataset: {sku: string}}}} event */
  onExchange({ currentTarget }) {
    this.go("/shop/checkout/checkout", { sku: currentTarget.dataset.sku, mall: "1" });
  },
});
