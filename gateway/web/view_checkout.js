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
import { price } from "./view_cards.js";

/**
 * The coupons that fit an amount, the best first.
 * @param {any[]} coupons
 * @param {number} amount 分
 * @param {number} now Unix ms
 */
export function fitting(coupons, amount, now) {
  return coupons
    .filter((coupon) => (coupon.state || "unused") === "unused" && coupon.expires > now && coupon.threshold <= amount)
    .sort((left, right) => right.amount - left.amount || left.expires - right.expires);
}

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
    this.payment = null;
    this.offers = [];
    this.offer = null;
    this.window = sheet({
      title: t("order.title"),
      testid: "order-sheet",
      closeLabel: t("common.close"),
      onClose: () => {
        clearInterval(this.timer);
        clearInterval(this.asking);
      },
    });
    this.timer = setInterval(() => this.tick(), 250);
    this.draw();
    if (!order) this.loadCoupons();
    this.loadOffers();
  }

  /** The ways to pay here; the sandbox, which pays at once, has none to choose from. */
  async loadOffers() {
    try {
      this.offers = rows(await this.api.get("/payments"), "payments");
      this.offer = this.offers[0] || null;
      if (!this.busy && !this.payment && !this.paid) this.draw();
    } catch (error) {
      // Without the list the shop's first provider is taken.
      toast(explain(error), "error");
    }
  }

  /** A phone goes to the provider's page, a desktop shows a code to scan. */
  way() {
    if (!this.offer?.methods.length) return {};
    const phone = matchMedia("(pointer: coarse)").matches && this.offer.methods.includes("wap");
    return { provider: this.offer.provider, method: phone ? "wap" : "native" };
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
    if (this.payment) {
      this.drawPayment();
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
      this.offers.length > 1 ? this.offerRow() : null,
      this.button,
      this.offer?.provider === "sandbox" ? h("p.faint.center", {}, t("order.sandbox")) : null,
    );
    this.tick();
  }

  offerRow() {
    const select = h(
      "select",
      { "data-testid": "provider-select", "aria-label": t("order.provider") },
      this.offers.map(({ provider }) =>
        h("option", { value: provider }, knows(`provider.${provider}`) ? t(`provider.${provider}`) : provider),
      ),
    );
    select.value = this.offer.provider;
    select.addEventListener("change", () => {
      this.offer = this.offers.find(({ provider }) => provider === select.value);
      this.payKey = newKey();
    });
    return h("label.coupon-row", {}, h("span", {}, t("order.provider")), select);
  }

  /** The code to scan or the page to go to; asked for until the order is paid, whoever tells us first. */
  drawPayment() {
    const { fields, qr } = this.payment;
    this.left = h("strong.time");
    put(
      this.window.body,
      h("p.held-left", {}, t("order.left"), " ", this.left),
      h("p.total", {}, h("span", {}, t("order.total")), price(this.amount(), "price.big")),
      qr
        ? h("img.pay-code", { src: qr, alt: t("order.scan"), "data-testid": "pay-code" })
        : h("a.button.primary.wide", { href: fields.url, "data-testid": "pay-page" }, t("order.goPay")),
      h("p.faint.center", {}, t(qr ? "order.scan" : "order.waiting")),
      h("button.wide", { type: "button", on: { click: () => this.otherWay() } }, t("order.otherWay")),
    );
    this.tick();
  }

  otherWay() {
    clearInterval(this.asking);
    this.payment = null;
    this.payKey = newKey();
    this.draw();
  }

  async ask() {
    try {
      const { order } = await this.api.get(`/orders/${this.order.order}`);
      if (!this.payment || order.status === "pending") return;
      clearInterval(this.asking);
      this.payment = null;
      this.order = order;
      if (order.status === "cancelled") {
        this.onGone(this.hold);
        this.window.close();
        return;
      }
      this.paid = true;
      this.onPaid(order, this.hold);
      this.draw();
    } catch (error) {
      // The next round asks again; only the log needs to know.
      console.warn("the order cannot be read", error);
    }
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
      const answer = await this.hub.command("order.pay", { order: this.order.order, key: this.payKey, ...this.way() });
      this.order = answer.order || this.order;
      if (answer.payment) {
        this.payment = answer.payment;
        clearInterval(this.asking);
        this.asking = setInterval(() => this.ask(), 2000);
        return;
      }
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
