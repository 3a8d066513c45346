/** My orders: their state, paying again, cancelling, receiving, what is asked after the sale, what came back. */

import { newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { agreed } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { pay } from "../../shared/paying.js";
import { money } from "../../shared/speak.js";
import { ORDERS } from "../texts.js";
import { orderView } from "./view.js";

const PAGE = 20;

/** @typedef {{currentTarget: {dataset: {order: string}}}} Tap */

shopPage(ORDERS, {
  limit: PAGE,
  /** @type {Map<string, string>} one key an order until it is known what became of it */
  keys: new Map(),

  /** Back from paying elsewhere, or from another page: things may have moved. */
  onShow() {
    if (this.data.ready) this.again();
  },

  async load() {
    const { api } = this.visit;
    const [page, asked] = await Promise.all([api.get(`/orders?limit=${this.limit}`), api.get("/after-sales?limit=200")]);
    // The newest of each order stands.
    const back = new Map(asked.items.map((/** @type {any} */ one) => [one.order, one.state]).reverse());
    const now = Date.now();
    const orders = page.items.map((/** @type {any} */ one) => orderView(one, back.get(one.order), now, this.t));
    return { orders, more: Boolean(page.next) };
  },

  onMore() {
    this.limit = Math.min(200, this.limit + PAGE);
    return this.again();
  },

  /** @param {Tap} event */
  shown({ currentTarget }) {
    return this.data.orders.find((/** @type {any} */ one) => one.order === currentTarget.dataset.order);
  },

  /** @param {Tap} event */
  async onPay(event) {
    const { order } = this.shown(event);
    const key = this.keys.get(order) ?? newKey();
    this.keys.set(order, key);
    const done = await this.act(async () => {
      try {
        const paid = await pay(this.visit.api, order, key);
        wx.showToast({ title: this.t(paid.status === "pending" ? "confirming" : "paid"), icon: "none" });
      } catch (error) {
        const { code } = /** @type {any} */ (error);
        if (!OUTCOME_UNKNOWN.has(code) && code !== "cancelled") this.keys.delete(order);
        throw error;
      }
    });
    // An order whose time is over is shown as what it is now.
    if (!done) await this.again();
  },

  /** @param {Tap} event */
  async onCancel(event) {
    const { order, loses } = this.shown(event);
    if (!(await agreed(this.t(loses ? "lostDeposit" : "sure")))) return;
    await this.act(() => this.visit.api.post(`/orders/${encodeURIComponent(order)}/cancel`), "cancelled");
  },

  /** @param {Tap} event */
  async onReceive(event) {
    const { order } = this.shown(event);
    await this.act(() => this.visit.api.post(`/orders/${encodeURIComponent(order)}/done`));
  },

  /** @param {Tap} event */
  onAfterSale({ currentTarget }) {
    this.go("/shop/aftersale/aftersale", { order: currentTarget.dataset.order });
  },

  /** @param {Tap} event */
  async onRefunds({ currentTarget }) {
    const { order } = currentTarget.dataset;
    try {
      /** @type {any[]} */
      const refunds = await this.visit.api.get(`/orders/${encodeURIComponent(order)}/refunds`);
      const said = refunds.map((one) => `${money(one.amount)} ${this.t(`refund.${one.state}`)}`).join("\n");
      wx.showModal({ title: this.t("refunds"), content: said || this.t("noRefunds"), showCancel: false });
    } catch (error) {
      this.complain(error);
    }
  },

  /** @param {Tap} event */
  onCopy({ currentTarget }) {
    wx.setClipboardData({ data: currentTarget.dataset.order });
  },
});
