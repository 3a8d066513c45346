/**
 * The order sheet: what is bought, each step of the price, a coupon, the pay button, and the receipt.
 *
 * One tap makes the order and pays it. If the ledger's amount differs from the one on the button, nothing is paid: the
 * ledger's steps are shown and the person decides again.
 */

import { rows } from "./api.js";
import { h, icon, picture, put, sheet, toast } from "./dom.js";
import { clock, explain, knows, money, t } from "./i18n.js";
import { newKey, OUTCOME_UNKNOWN } from "./siyu.js";
import { fitting } from "./store.js";
import { price } from "./view_cards.js";

/** One purchase, from the sheet's opening to the receipt. */
export class Checkout {
  /**
   * @param {{hub: import("./siyu.js").SiyuHub, api: import("./api.js").Api, room: string,
   *   onOrdered: (order: any, hold: any) => void, onPaid: (order: any, hold: any) => void,
   *   onGone: (hold: any) => void}} shop
   * @param {{item: any, hold?: any, order?: any}} what `item`: title, image, price, list_price, sku, version;
   *   `hold`: {hold, quantity, price, expires}; `order`: one that waits for payment
   */
  constructor(shop, { item, hold = null, order = null }) {
    Object.assign(this, shop);
    this.item = item;
    this.hold = hold;
    this.order = order;
    this.quantity = order?.lines?.[0]?.quantity || hold?.quantity || 1;
    this.unit = order?.lines?.[0]?.price ?? hold?.price ?? item.price;
    this.coupons = [];
    this.coupon = null;
    this.orderKey = newKey();
    this.payKey = newKey();
    this.busy = false;
    this.paid = false;
    this.window = sheet({
      title: t("order.title"),
      testid: "order-sheet",
      closeLabel: t("common.close"),
      onClose: () => clearInterval(this.timer),
    });
    this.timer = setInterval(() => this.tick(), 250);
    this.draw();
    if (!order) this.loadCoupons();
  }

  expires() {
    return this.order?.expires || this.hold?.expires || null;
  }

  goods() {
    return this.unit * this.quantity;
  }

  /** A coupon leaves one 分 to pay, as the ledger has it: providers take no zero amount. */
  discount() {
    return this.coupon ? Math.min(this.coupon.amount, this.goods() - 1) : 0;
  }

  /** What the button says: the ledger's amount once there is an order, before that our own sum. */
  amount() {
    if (this.order) return this.order.amount;
    return this.goods() - this.discount();
  }

  async loadCoupons() {
    try {
      const all = rows(await this.api.get("/coupons"), "coupons");
      this.coupons = fitting(all, this.goods(), this.hub.now());
      this.coupon = this.coupons[0] || null;
      if (!this.order && !this.busy) this.draw();
    } catch (error) {
      // Without the list one can still buy, at the full price; the message says why there is no choice.
      toast(explain(error), "error");
    }
  }

  draw() {
    if (this.paid) {
      this.drawReceipt();
      return;
    }
    const { item } = this;
    this.left = h("strong.time");
    this.button = h(
      "button.primary.wide",
      { type: "button", "data-testid": "pay", disabled: this.busy, on: { click: () => this.submit() } },
      this.busy ? t("order.paying") : t("order.pay", { amount: money(this.amount()) }),
    );
    put(
      this.window.body,
      this.expires() && h("p.held-left", {}, t("order.left"), " ", this.left),
      h(
        "div.order-item",
        {},
        picture(item.image, item.title),
        h(
          "div",
          {},
          h("strong", {}, item.title),
          h("span.price-row", {}, price(this.unit), h("span.faint", {}, `× ${this.quantity}`)),
        ),
      ),
      this.order ? null : this.couponRow(),
      this.order?.steps?.length ? ledgerSteps(this.order) : this.ownSteps(),
      h("p.total", {}, h("span", {}, t("order.total")), price(this.amount(), "price.big")),
      this.button,
      h("p.faint.center", {}, t("order.sandbox")),
    );
    this.tick();
  }

  couponRow() {
    const options = [h("option", { value: "" }, t("order.noCoupon"))].concat(
      this.coupons.map((coupon) =>
        h(
          "option",
          { value: coupon.coupon },
          t("order.couponOption", { amount: money(coupon.amount), title: coupon.title }),
        ),
      ),
    );
    const select = h("select", { "data-testid": "coupon-select", "aria-label": t("order.coupon") }, options);
    select.value = this.coupon?.coupon || "";
    select.addEventListener("change", () => {
      this.coupon = this.coupons.find((coupon) => coupon.coupon === select.value) || null;
      this.draw();
      this.window.body.querySelector("select")?.focus();
    });
    return h("label.coupon-row", {}, h("span", {}, t("order.coupon")), select);
  }

  ownSteps() {
    const list = this.item.list_price;
    const flash = this.hold && list > this.unit;
    return h(
      "dl.steps",
      {},
      step(t("order.goods", { n: this.quantity }), (flash ? list : this.unit) * this.quantity),
      flash ? step(t("order.flash"), (this.unit - list) * this.quantity) : null,
      this.coupon ? step(t("order.couponStep"), -this.discount()) : null,
    );
  }

  async submit() {
    if (this.busy) return;
    const shown = this.amount();
    this.busy = true;
    this.draw();
    try {
      if (!this.order) {
        this.order = (await this.hub.command("order.create", this.createFields())).order;
        this.onOrdered(this.order, this.hold);
      }
      if (this.order.amount !== shown) {
        toast(t("order.changed"), "warn");
        return;
      }
      const answer = await this.hub.command("order.pay", { order: this.order.order, key: this.payKey });
      this.order = answer.order || this.order;
      this.paid = true;
      this.onPaid(this.order, this.hold);
    } catch (error) {
      this.refused(error);
    } finally {
      this.busy = false;
      this.draw();
    }
  }

  createFields() {
    const fields = { key: this.orderKey };
    if (this.hold) fields.hold = this.hold.hold;
    else fields.lines = [{ sku: this.item.sku, quantity: this.quantity, version: this.item.version }];
    if (this.coupon) fields.coupon = this.coupon.coupon;
    return fields;
  }

  refused(error) {
    toast(explain(error), "error");
    // After an answer the attempt is over: the next tap is a new one. Without an answer the key must stay.
    if (!OUTCOME_UNKNOWN.has(error.code)) {
      this.orderKey = newKey();
      this.payKey = newKey();
    }
    if (error.code === "price_changed" && error.extra.price) {
      this.unit = error.extra.price;
      this.item = { ...this.item, price: error.extra.price, version: error.extra.version ?? this.item.version };
    }
    if (error.code === "coupon_invalid") this.loadCoupons();
    if (error.code === "expired" || error.code === "gone") {
      this.onGone(this.hold);
      this.window.close();
    }
  }

  drawReceipt() {
    put(
      this.window.body,
      h(
        "div.receipt",
        { "data-testid": "paid", data: { order: this.order.order }, role: "status" },
        h("span.seal", {}, icon("check")),
        h("strong", {}, t("order.paid")),
        price(this.order.amount, "price.big"),
        h("span.faint.mono", {}, `${t("order.number")} ${this.order.order}`),
      ),
      this.order.steps?.length ? ledgerSteps(this.order) : null,
      h("button.primary.wide", { type: "button", on: { click: () => this.window.close() } }, t("order.done")),
    );
  }

  tick() {
    const until = this.expires();
    if (!until || this.paid) return;
    const leftMs = until - this.hub.now();
    this.left.textContent = clock(leftMs);
    if (leftMs <= 0 && !this.busy) {
      this.window.close();
      this.onGone(this.hold);
    }
  }
}

/** Each step of a price as the ledger explains it. */
export function ledgerSteps(order) {
  return h(
    "dl.steps",
    {},
    order.steps.map((part) =>
      step(knows(`step.${part.step}`) ? t(`step.${part.step}`) : part.why || part.step, part.amount, part.why),
    ),
  );
}

function step(label, amount, why) {
  return h("div", { title: why }, h("dt", {}, label), h("dd", { data: { minus: String(amount < 0) } }, money(amount)));
}
