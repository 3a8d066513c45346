/** Coupons, points with the mall, stored value, passes, what is owed on account, and what came and went. */

import { newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { TEMPLATES } from "../../config.js";
import { mayWrite } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { repay } from "../../shared/paying.js";
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
    const [member, coupons, mall, passes, entries, credit] = await Promise.all([
      api.get("/member"),
      api.get("/coupons"),
      api.get("/mall"),
      api.get("/passes"),
      api.get(`/member/entries?limit=${ENTRIES}`),
      api.get("/credit/mine"),
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
      credit: this.creditView(credit),
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

  /**
   * What is owed, order by order, and what the shop wrote about it; null of who buys on no account.
   * @param {any} mine of GET /credit/mine
   */
  creditView({ account, debts, reminders }) {
    if (!account) return null;
    const { t } = this;
    const [asked] = account.overdue ? reminders : [];
    return {
      owed: money(account.owed),
      amount: account.owed,
      free: t("free", { amount: money(account.free), most: money(account.most) }),
      overdue: account.overdue ? t("overdue", { amount: money(account.overdue) }) : "",
      reminds: Boolean(account.owed && (TEMPLATES.due || TEMPLATES.late)),
      asked: asked ? [t("asked", { day: day(asked.at) }), asked.note].filter(Boolean).join(" ") : "",
      debts: debts
        .filter((/** @type {any} */ one) => one.left > 0)
        .map((/** @type {any} */ one) => ({
          order: one.order,
          amount: one.left,
          left: money(one.left),
          due: t("due", { day: day(one.due) }),
        })),
    };
  },

  /** @param {{currentTarget: {dataset: {order: string, amount: number}}}} event */
  async onRepay({ currentTarget }) {
    const { order, amount } = currentTarget.dataset;
    const debt = { amount: Number(amount), order: order || null };
    const name = `${order}:${amount}`;
    if (this.tried?.name !== name) this.tried = { name, key: newKey() };
    await this.act(async () => {
      try {
        const paid = await repay(this.visit.api, debt, this.tried.key);
        if (paid.state !== "open") this.tried = null;
        wx.showToast({ title: this.t(paid.state === "paid" ? "repaid" : "confirming"), icon: "none" });
      } catch (error) {
        const { code } = /** @type {any} */ (error);
        // After an answer the attempt is over: the next tap is a new one.
        if (!OUTCOME_UNKNOWN.has(code) && code !== "cancelled") this.tried = null;
        throw error;
      }
    });
  },

  /** One yes is one message: the day before something is due, and once it is overdue. */
  async onRemind() {
    try {
      const granted = await mayWrite(this.visit.api, [TEMPLATES.due, TEMPLATES.late]);
      if (granted) wx.showToast({ title: this.t("reminded"), icon: "none" });
    } catch (error) {
      this.complain(error);
    }
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
