/**
 * The order sheet: what is bought, each step of the price, coupons, points, stored value, the pay button, the receipt.
 *
 * The server prices the basket (`POST /quotes`) whenever something is chosen; one tap makes the order with just that and
 * pays it. If the ledger's amount differs from the one on the button, nothing is paid: its steps are shown and the
 * person decides again.
 */

import { rows } from "./api.js";
import { h, icon, picture, put, sheet, toast } from "./dom.js";
import { addStrings, clock, explain, knows, money, t } from "./i18n.js";
import { presaleNote, presaleOf } from "./presale.js";
import { wayOf } from "./paying_ways.js";
import { newKey, OUTCOME_UNKNOWN } from "./siyu.js";
import { fitting } from "./store.js";
import { price, worth } from "./view_cards.js";
import { Delivery } from "./view_delivery.js";
import { CREDIT } from "./credit_strings.js";
import { askForm, missing, wishFields } from "./view_custom.js";
import { Stores } from "./view_stores.js";

const BEST = "best";

addStrings(CREDIT);

/** One purchase, from the sheet's opening to the receipt. */
export class Checkout {
  /**
   * @param {{hub: import("./siyu.js").SiyuHub, api: import("./api.js").Api, room: string,
   *   onOrdered: (order: any, hold: any) => void, onPaid: (order: any, hold: any) => void,
   *   onGone: (hold: any) => void}} shop
   * @param {{items: any[], hold?: any, order?: any, mall?: boolean}} what `items`: sku, title, image, price, version, quantity each;
   *   `hold`: {hold, quantity, price, expires}; `order`: one that waits for payment;
   *   `mall`: the one item is had for points
   */
  constructor(shop, { items, hold = null, order = null, mall = false }) {
    Object.assign(this, shop);
    this.items = items.map((item) => ({ ...item, quantity: item.quantity || 1 }));
    if (hold) Object.assign(this.items[0], { quantity: hold.quantity, price: hold.price });
    this.hold = hold;
    this.order = order;
    this.mall = mall;
    this.presale = presaleOf(items[0], hold?.quantity);
    this.coupons = [];
    /** @type {string[]|null} null: the server chooses the best */
    this.chosen = null;
    this.points = false;
    this.stored = false;
    this.quote = null;
    this.quoted = 0;
    this.orderKey = newKey();
    this.payKey = newKey();
    this.busy = false;
    this.paid = false;
    this.payment = null;
    this.following = 0;
    this.offers = [];
    this.offer = null;
    /** What was agreed on request: {request, version}; its price stands, and nothing is to be filled in. */
    this.agreed = items[0]?.offer || null;
    /** @type {Map<string, any>} forms of goods made to wishes, by SKU */
    this.forms = new Map();
    this.versions = {};
    this.outlet = "";
    this.brought = JSON.stringify(["", null]);
    this.delivery = new Delivery(new Stores(this.api), {
      goods: () => this.items.map(({ sku, quantity }) => `${sku}:${quantity}`).join(","),
      onStore: () => this.storeChosen(),
    });
    this.window = sheet({
      title: t("order.title"),
      testid: "order-sheet",
      closeLabel: t("common.close"),
      onClose: () => {
        clearInterval(this.timer);
        clearInterval(this.following);
      },
    });
    this.timer = setInterval(() => this.tick(), 250);
    /** Whether the price is being asked for: nothing is paid before it is known. */
    this.asking = !order;
    this.draw();
    if (!order) {
      this.loadCoupons();
      this.loadForms();
    }
    this.loadOffers();
    if (!order) {
      this.loadStations();
      this.delivery.load();
    }
  }

  /** What is made to wishes has fields to fill in before it has a price. */
  async loadForms() {
    try {
      const skus = this.items.map(({ sku }) => encodeURIComponent(sku)).join(",");
      const forms = this.agreed || this.mall ? [] : await this.api.get(`/custom/forms?skus=${skus}`);
      this.forms = new Map(forms.map((form) => [form.target, form]));
    } catch (error) {
      // The server refuses what lacks its wishes, and says which.
      toast(explain(error), "error");
    }
    this.ask();
  }

  /** The form of goods whose price is asked for, if there are some. */
  onRequest() {
    return this.items.find((item) => this.forms.get(item.sku)?.asked);
  }

  /** Whether something is still to be filled in. */
  lacking() {
    return this.items.some((item) => this.forms.has(item.sku) && missing(this.forms.get(item.sku), item.custom || {}) !== null);
  }

  /** Where goods can be fetched: without the list there is the shop itself. */
  async loadStations() {
    try {
      this.delivery.offer(rows(await this.api.get("/stations"), "stations"));
    } catch (error) {
      console.info("stations:", error.message);
    }
  }

  /** A store may ask prices of its own, and coupons may count there alone. */
  async storeChosen() {
    const { outlet, way, here } = this.delivery;
    const brought = JSON.stringify([way, way === "courier" ? here : null]);
    const same = outlet === this.outlet;
    if (same && brought === this.brought) return;
    Object.assign(this, { outlet, brought });
    if (same) {
      this.ask();
      return;
    }
    try {
      const goods = encodeURIComponent(this.delivery.goods());
      const prices = outlet ? await this.api.get(`/outlets/${encodeURIComponent(outlet)}/prices?goods=${goods}`) : [];
      if (outlet !== this.outlet) return;
      const stocked = this.delivery.stores.stores.find((one) => one.outlet === outlet)?.stocked;
      this.versions = stocked ? Object.fromEntries(prices.map((one) => [one.sku, one.version])) : {};
    } catch (error) {
      toast(explain(error), "error");
    }
    this.ask();
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
    return wayOf(this.offer, matchMedia("(pointer: coarse)").matches ? ["wap", "native"] : ["native"]);
  }

  expires() {
    return this.order?.expires || this.hold?.expires || null;
  }

  goods() {
    return this.items.reduce((sum, item) => sum + item.price * item.quantity, 0);
  }

  /** What the button says: the ledger's amount once there is an order, before that the quote's, before that our sum. */
  amount() {
    if (this.order) return this.order.due ?? this.order.amount;
    return this.quote ? this.quote.due : this.goods();
  }

  basket() {
    const lines = this.items.map(({ sku, quantity, version }) => ({
      sku,
      quantity,
      version: this.versions[sku] ?? version,
      custom: this.wished(sku),
    }));
    if (this.agreed) return { offer: this.agreed };
    if (this.mall) return { lines, mall: true };
    return this.hold ? { hold: this.hold.hold, custom: lines[0].custom } : { lines };
  }

  /** What was filled in for goods; nothing for those that are as they are. */
  wished(sku) {
    const filled = Object.entries(this.items.find((item) => item.sku === sku)?.custom || {});
    return Object.fromEntries(filled.filter(([, value]) => value.trim()));
  }

  /** Have the basket priced; an answer that a later choice has overtaken is dropped. */
  async ask() {
    const number = (this.quoted += 1);
    this.asking = false;
    if (this.onRequest() || this.lacking()) {
      this.quote = null;
      this.draw();
      return;
    }
    const body = { room: this.room, ...this.basket(), points: this.points, stored: this.stored };
    if (this.chosen) body.coupons = this.chosen;
    if (this.outlet) body.outlet = this.outlet;
    const { way, here } = this.delivery;
    if (way) body.way = way;
    if (way === "courier" && here) Object.assign(body, here);
    this.asking = true;
    this.draw();
    try {
      const quote = await this.api.post("/quotes", body);
      if (number !== this.quoted) return;
      this.quote = quote;
      for (const item of this.items) item.shown = quote.lines.find(({ sku }) => sku === item.sku)?.price;
      this.spend = { points: quote.points, stored: quote.stored, coupons: quote.coupons };
      if (!this.chosen) this.best = quote.coupons;
    } catch (error) {
      if (number !== this.quoted) return;
      this.quote = null;
      this.refused(error);
      // A refusal that changes the basket has asked again already.
      if (number !== this.quoted) return;
    }
    this.asking = false;
    if (!this.order && !this.busy) this.draw();
  }

  async loadCoupons() {
    try {
      this.coupons = fitting(rows(await this.api.get("/coupons"), "coupons"), this.goods(), this.hub.now());
      if (!this.order && !this.busy) this.draw();
    } catch (error) {
      // Without the list one can still buy; the message says why there is no choice.
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
    const asked = this.order ? null : this.onRequest();
    if (asked) {
      this.drawRequest(asked);
      return;
    }
    this.left = h("strong.time");
    this.button = h(
      "button.primary.wide",
      {
        type: "button",
        "data-testid": "pay",
        disabled: this.busy || this.asking || (!this.order && this.lacking()),
        on: { click: () => this.submit() },
      },
      this.busy ? t("order.paying") : t("order.pay", { amount: money(this.amount()) }),
    );
    put(
      this.window.body,
      this.expires() && h("p.held-left", {}, t("order.left"), " ", this.left),
      this.items.map((item) => [this.itemRow(item), this.wishRows(item)]),
      this.order || this.presale || this.mall ? null : this.couponRow(),
      this.order ? null : this.purseRows(),
      this.order ? null : this.delivery.element,
      !this.order && this.lacking() ? h("p.faint.center", {}, t("cu.fill")) : null,
      steps(this.order?.steps || this.quote?.steps || []),
      presaleNote(this.presale),
      h("p.total", {}, h("span", {}, t("order.total")), price(this.amount(), "price.big")),
      this.offers.length > 1 ? this.offerRow() : null,
      this.button,
      this.offer?.provider === "sandbox" ? h("p.faint.center", {}, t("order.sandbox")) : null,
    );
    this.tick();
  }

  wishRows(item) {
    const form = this.forms.get(item.sku);
    if (!form || this.order) return null;
    item.custom ||= {};
    return wishFields(this.api, this.room, form, item.custom, () => this.ask());
  }

  /** Goods without a price of their own: the sheet asks for one instead. */
  drawRequest(item) {
    const sent = () => {
      toast(t("cu.asked"));
      this.window.close();
    };
    this.left = h("strong.time");
    put(this.window.body, this.itemRow(item), askForm(this.api, this.room, item, this.forms.get(item.sku), sent));
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
    clearInterval(this.following);
    this.payment = null;
    this.payKey = newKey();
    this.draw();
  }

  async follow() {
    try {
      const { order } = await this.api.get(`/orders/${this.order.order}`);
      if (!this.payment || order.status === "pending") return;
      clearInterval(this.following);
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

  itemRow(item) {
    const fixed = this.hold || this.order || this.busy || this.agreed;
    const turn = (by) => () => {
      item.quantity += by;
      if (item.quantity < 1) this.items = this.items.filter((one) => one !== item);
      if (!this.items.length) this.window.close();
      else this.ask();
    };
    const button = (text, by, label) =>
      h("button.round.quiet", { type: "button", "aria-label": t(label), on: { click: turn(by) } }, text);
    return h(
      "div.order-item",
      { "data-testid": "order-item", data: { sku: item.sku } },
      picture(item.image, item.title),
      h(
        "div",
        {},
        h("strong", {}, item.title),
        h(
          "span.price-row",
          {},
          price(item.shown ?? item.price),
          fixed ? null : button("−", -1, "order.less"),
          h("span.faint", {}, `× ${item.quantity}`),
          fixed ? null : button("+", 1, "order.more"),
        ),
      ),
    );
  }

  couponRow() {
    const option = (coupon) =>
      h(
        "option",
        { value: coupon.coupon },
        t("order.couponOption", { amount: worth(coupon), title: coupon.title }),
      );
    const several = (this.best || []).length > 1;
    const options = [
      several ? h("option", { value: BEST }, t("order.couponBest", { n: this.best.length })) : null,
      h("option", { value: "" }, t("order.noCoupon")),
      ...this.coupons.map(option),
    ];
    const select = h(
      "select",
      { "data-testid": "coupon-select", "aria-label": t("order.coupon") },
      options.filter(Boolean),
    );
    const now = this.chosen ?? this.best ?? [];
    select.value = now.length > 1 ? BEST : now[0] || "";
    select.addEventListener("change", () => {
      if (select.value === BEST) this.chosen = null;
      else this.chosen = select.value ? [select.value] : [];
      this.ask().then(() => this.window.body.querySelector("select")?.focus());
    });
    return h("label.coupon-row", {}, h("span", {}, t("order.coupon")), select);
  }

  /** Points and stored value: shown when there are some that may be spent here. */
  purseRows() {
    const row = (name, most, text) => {
      if (!most && !this[name]) return null;
      const box = h("input", { type: "checkbox", "data-testid": `use-${name}`, checked: this[name] });
      box.addEventListener("change", () => {
        this[name] = box.checked;
        this.ask();
      });
      return h("label.coupon-row", {}, h("span", {}, text), box);
    };
    const { points_most: points = 0, stored_most: stored = 0 } = this.quote || {};
    return [
      row("points", points, t("order.usePoints", { n: points, amount: money(points) })),
      row("stored", stored, t("order.useStored", { amount: money(stored) })),
    ];
  }

  async submit() {
    if (this.busy) return;
    const shown = this.amount();
    const fields = this.createFields();
    if (!this.order && !fields) return;
    this.busy = true;
    this.draw();
    try {
      if (!this.order) {
        this.order = (await this.hub.command("order.create", fields)).order;
        this.onOrdered(this.order, this.hold);
      }
      if (this.amount() !== shown) {
        toast(t("order.changed"), "warn");
        return;
      }
      const answer = await this.hub.command("order.pay", { order: this.order.order, key: this.payKey, ...this.way() });
      this.order = answer.order || this.order;
      if (answer.payment) {
        this.payment = answer.payment;
        clearInterval(this.following);
        this.following = setInterval(() => this.follow(), 2000);
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

  /** The command's fields, or null when the delivery is not filled in rightly (the form says where). */
  createFields() {
    const delivery = this.order ? null : this.delivery.read();
    if (delivery === false) return null;
    const fields = { key: this.orderKey, ...this.basket(), ...(this.mall ? {} : this.spend) };
    if (delivery) fields.delivery = delivery;
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
      const item = this.items.find((one) => one.sku === (error.extra.sku || one.sku));
      Object.assign(item, { price: error.extra.price, version: error.extra.version ?? item.version });
      this.ask();
    }
    if (error.code === "coupon_invalid" || error.code === "insufficient") {
      Object.assign(this, { chosen: null, points: false, stored: false });
      this.loadCoupons();
      this.ask();
    }
    if (error.code === "expired" || error.code === "gone") {
      this.onGone(this.hold);
      this.window.close();
    }
  }

  drawReceipt() {
    const code = this.order.delivery?.code;
    put(
      this.window.body,
      h(
        "div.receipt",
        { "data-testid": "paid", data: { order: this.order.order }, role: "status" },
        h("span.seal", {}, icon("check")),
        h("strong", {}, t("order.paid")),
        price(this.order.amount, "price.big"),
        code ? h("span.pickup-code", { "data-testid": "pickup-code" }, t("order.pickupCode", { code })) : null,
        this.order.delivery?.day ? h("span.faint", {}, t("station.fetch", this.order.delivery)) : null,
        h("span.faint.mono", {}, `${t("order.number")} ${this.order.order}`),
      ),
      presaleNote(this.presale),
      steps(this.order.steps || []),
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

/** Each step of a price as the server explains it. */
function steps(parts) {
  if (!parts.length) return null;
  return h(
    "dl.steps",
    {},
    parts.map((part) =>
      step(knows(`step.${part.step}`) ? t(`step.${part.step}`) : part.why || part.step, part.amount, part.why),
    ),
  );
}

function step(label, amount, why) {
  return h("div", { title: why }, h("dt", {}, label), h("dd", { data: { minus: String(amount < 0) } }, money(amount)));
}
