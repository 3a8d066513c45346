/**
 * Buy: goods of the shelf (`sku`), a unit that is held (`hold`, `until`), an exchange in the mall (`sku`, `mall`), what
 * was asked for at its offered price (`offer`, `version`). What is made to wishes has them filled in first.
 *
 * The server prices the basket after each choice; one tap makes the order of just that and pays it. When the order's
 * amount is not the one on the button nothing is paid: its steps are shown and the person decides again.
 */

import { newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { fitting } from "../../lib/store.js";
import { chosenAddress, chosenPlace, mayWrite } from "../../shared/asking.js";
import { TEMPLATES } from "../../config.js";
import { shopPage } from "../../shared/page.js";
import { pay } from "../../shared/paying.js";
import { clock, money } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { CHECKOUT } from "../texts.js";
import { carriage, deliveryOf, deliveryView, noChoice, settle } from "./delivery.js";

/** Name, phone and address of the last order, on this phone alone. */
const KEPT = "siyu-delivery";
const TICK_MS = 500;

/**
 * What a coupon takes off: an amount, or so many percent.
 * @param {any} coupon
 * @param {import("../../shared/speak.js").Speak} t
 */
const worth = ({ percent, amount }, t) => (percent ? t("percent", { n: percent, amount: money(amount) }) : money(amount));

shopPage(CHECKOUT, {
  /** @type {import("./delivery.js").Choice} */
  choice: noChoice(),
  /** @type {import("./delivery.js").Offer|null} */
  offer: null,
  /** @type {any[]} */
  coupons: [],
  /** @type {string[]|null} null: the server chooses the best */
  chosen: null,
  points: false,
  stored: false,
  /** @type {any} */
  quote: null,
  /** @type {any} */
  order: null,
  orderKey: "",
  payKey: "",
  count: 1,
  /** @type {Map<string, string>} */
  images: new Map(),
  until: 0,
  ticking: 0,

  onUnload() {
    clearInterval(this.ticking);
  },

  async load() {
    if (await this.unwished()) {
      const { sku = "", hold = "", until = "" } = this.query;
      wx.redirectTo({ url: this.visit.address("/shop/custom/custom", { sku, hold, until }) });
      return {};
    }
    if (!this.offer) await this.begin();
    if (!this.order) await this.price();
    if (!this.ticking && this.until) this.ticking = setInterval(() => this.tick(), TICK_MS);
    return this.view();
  },

  /** What does not change with a choice. */
  async begin() {
    const { api, room } = this.visit;
    this.choice = { ...noChoice(), ...wx.getStorageSync(KEPT) };
    this.orderKey = newKey();
    this.payKey = newKey();
    this.until = Number(this.query.until) || 0;
    const [{ shelf }, coupons, { ways }, stations] = await Promise.all([
      api.get(`/rooms/${encodeURIComponent(room)}`),
      api.get("/coupons"),
      api.get("/ways"),
      api.get("/stations"),
    ]);
    this.coupons = coupons;
    this.images = new Map(shelf.map((/** @type {any} */ card) => [card.sku, asset(card.image)]));
    this.offer = { ways, outlets: [], stations: stations.filter((/** @type {any} */ one) => one.open) };
  },

  /** Whether the goods have a form that nobody has filled in on this visit. */
  async unwished() {
    const { sku, mall } = this.query;
    if (this.offer || !sku || mall || this.visit.wishes.has(sku)) return false;
    return (await this.visit.api.get(`/custom/forms?skus=${encodeURIComponent(sku)}`)).length > 0;
  },

  basket() {
    const { hold, sku, mall, offer, version } = this.query;
    if (offer) return { offer: { request: offer, version: Number(version) } };
    const wishes = this.visit.wishes.get(sku || "");
    const made = wishes && { custom: wishes };
    if (hold) return { hold, ...made };
    const lines = [{ sku: sku || "", quantity: this.count, ...made }];
    return mall ? { lines, mall: true } : { lines };
  },

  async price() {
    const { api, room } = this.visit;
    const { outlet } = this.choice;
    const body = { room, ...this.basket(), points: this.points, stored: this.stored, ...carriage(this.choice) };
    this.quote = await api.post("/quotes", this.chosen ? { ...body, coupons: this.chosen } : body);
    const goods = this.quote.lines.map((/** @type {any} */ line) => `${line.sku}:${line.quantity}`).join(",");
    const near = this.choice.here ? `&lat=${this.choice.here.lat}&lng=${this.choice.here.lng}` : "";
    const outlets = await api.get(`/outlets?goods=${encodeURIComponent(goods)}${near}`);
    this.offer = { ways: [], stations: [], ...this.offer, outlets };
    this.choice = settle(this.choice, this.offer);
    // Another store may have another price, and coupons that count for it alone.
    if (this.choice.outlet !== outlet) await this.price();
  },

  amount() {
    return this.order ? (this.order.due ?? this.order.amount) : this.quote.due;
  },

  view() {
    const { order, quote, t } = this;
    const paid = Boolean(order) && order.status !== "pending";
    const fixed = Boolean(order || this.query.hold || this.query.offer);
    const amount = money(this.amount());
    const now = Date.now();
    return {
      lines: (order || quote).lines.map((/** @type {any} */ line) => this.lineView(line)),
      turn: !fixed,
      steps: (order?.steps || quote.steps).map((/** @type {any} */ step) => ({
        name: t(`step.${step.step}`) === `step.${step.step}` ? step.why : t(`step.${step.step}`),
        amount: money(step.amount),
      })),
      amount,
      time: this.until && !paid ? clock(this.until - now) : "",
      delivery: order || !this.offer ? null : deliveryView(this.choice, this.offer, now, t),
      purse: order || this.query.mall ? null : this.purseView(),
      button: paid ? t("done") : t("payAmount", { amount }),
      paid,
      number: order ? t("order", { order: order.order }) : "",
      code: paid && order.delivery?.code ? t("pickupCode", { code: order.delivery.code }) : "",
      fetch: paid && order.delivery?.day ? t("fetch", order.delivery) : "",
    };
  },

  /** @param {any} line */
  lineView({ sku, title, quantity, price }) {
    return { sku, title, quantity, price: money(price), image: this.images.get(sku) || "" };
  },

  purseView() {
    const { quote, t } = this;
    const fit = fitting(this.coupons, quote.goods, Date.now());
    const choices = fit.map((one) => t("couponWorth", { amount: worth(one, t), title: one.title }));
    const now = this.chosen === null ? 0 : this.chosen.length ? 2 + fit.findIndex((one) => one.coupon === this.chosen?.[0]) : 1;
    return {
      coupons: [t("best"), t("noCoupon"), ...choices],
      at: now,
      points: quote.points_most ? t("points", { n: quote.points_most, amount: money(quote.points_most) }) : "",
      stored: quote.stored_most ? t("stored", { amount: money(quote.stored_most) }) : "",
      pointsOn: this.points,
      storedOn: this.stored,
    };
  },

  tick() {
    if (this.until <= 0 || (this.order && this.order.status !== "pending")) return;
    const left = this.until - Date.now();
    if (left > 0 || this.data.busy) {
      this.setData({ time: clock(left) });
      return;
    }
    this.until = 0;
    wx.showToast({ title: this.t("released"), icon: "none" });
    wx.navigateBack();
  },

  // — choices —

  /** @param {Partial<import("./delivery.js").Choice>} change */
  choose(change) {
    return this.act(async () => {
      this.choice = { ...this.choice, ...change };
      if (this.offer) this.choice = settle(this.choice, this.offer);
    });
  },

  /** @param {{currentTarget: {dataset: {way: string}}}} event */
  onWay({ currentTarget }) {
    return this.choose({ way: currentTarget.dataset.way, station: "" });
  },

  /** @param {{currentTarget: {dataset: {outlet: string, can: boolean}}}} event */
  onStore({ currentTarget }) {
    if (!currentTarget.dataset.can) return Promise.resolve(false);
    return this.choose({ outlet: currentTarget.dataset.outlet, station: "" });
  },

  /** @param {{currentTarget: {dataset: {station: string, can: boolean}}}} event */
  onStation({ currentTarget }) {
    if (!currentTarget.dataset.can) return Promise.resolve(false);
    return this.choose({ station: currentTarget.dataset.station });
  },

  /** @param {{currentTarget: {dataset: {name: "name"|"phone"|"address"}}, detail: {value: string}}} event */
  onField({ currentTarget, detail }) {
    this.choice[currentTarget.dataset.name] = detail.value;
  },

  onAddress() {
    return this.act(async () => {
      this.choice = { ...this.choice, ...(await chosenAddress()) };
    });
  },

  onLocate() {
    return this.act(async () => {
      const { address, ...here } = await chosenPlace();
      this.choice = { ...this.choice, here, address: this.choice.address || address };
    });
  },

  /** @param {{detail: {value: string|number}}} event */
  onCoupon({ detail }) {
    const at = Number(detail.value);
    const fit = fitting(this.coupons, this.quote.goods, Date.now());
    return this.act(async () => {
      this.chosen = at === 0 ? null : at === 1 ? [] : [fit[at - 2].coupon];
    });
  },

  /** @param {{currentTarget: {dataset: {name: "points"|"stored"}}, detail: {value: boolean}}} event */
  onPurse({ currentTarget, detail }) {
    return this.act(async () => {
      this[currentTarget.dataset.name] = detail.value;
    });
  },

  /** @param {{currentTarget: {dataset: {by: string}}}} event */
  onCount({ currentTarget }) {
    return this.act(async () => {
      this.count = Math.max(1, this.count + Number(currentTarget.dataset.by));
    });
  },

  // — paying —

  async onPay() {
    if (this.order && this.order.status !== "pending") {
      wx.navigateBack();
      return;
    }
    const found = deliveryOf(this.choice, this.offer?.ways || []);
    if (!this.order && found.missing) {
      wx.showToast({ title: this.t(found.missing), icon: "none" });
      return;
    }
    // Refused, the basket is priced anew: what could not be had is gone from it.
    if (!(await this.act(() => this.pay(found.delivery)))) await this.again();
  },

  /** @param {Record<string, unknown>|null} delivery */
  async pay(delivery) {
    const { api } = this.visit;
    const shown = this.amount();
    try {
      if (!this.order) await this.create(delivery);
      if (this.amount() !== shown) {
        wx.showToast({ title: this.t("changed"), icon: "none" });
        return;
      }
      this.order = await pay(api, this.order.order, this.payKey);
      wx.showToast({ title: this.t(this.order.status === "pending" ? "confirming" : "paid"), icon: "none" });
    } catch (error) {
      const { code, status } = /** @type {any} */ (error);
      // After an answer the attempt is over: the next tap is a new one. Without an answer the keys must stay.
      if (!OUTCOME_UNKNOWN.has(code) && code !== "cancelled") {
        this.payKey = newKey();
        if (!this.order) this.orderKey = newKey();
      }
      if (!this.order && status === 422) Object.assign(this, { chosen: null, points: false, stored: false });
      throw error;
    }
  },

  /** @param {Record<string, unknown>|null} delivery */
  async create(delivery) {
    const { api, room, ordered } = this.visit;
    const { points, stored, coupons } = this.quote;
    const spend = this.query.mall ? {} : { points, stored, coupons };
    const body = { room, ...this.basket(), ...spend, ...(delivery && { delivery }) };
    this.order = (await api.post("/orders", body, this.orderKey)).order;
    this.until = this.order.expires || 0;
    if (this.query.hold) ordered.add(this.query.hold);
    this.visit.wishes.delete(this.query.sku || "");
    const { way, name, phone, address } = this.choice;
    // A courier needs to be told anew where to go, so the way is not kept.
    if (delivery) wx.setStorageSync(KEPT, { way: way === "courier" ? "" : way, name, phone, address });
  },

  onOrders() {
    // One tap, one question: whether the shop may write when the goods are on their way.
    mayWrite(this.visit.api, [TEMPLATES.order])
      .catch((error) => this.complain(error))
      .then(() => this.go("/shop/orders/orders"));
  },
});
