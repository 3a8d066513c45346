/**
 * What this person catches, holds and buys. Each wish has one key, kept while its outcome is unknown: a second tap, or
 * a tap after the network was away, asks for the same thing and never for a second one.
 */

import { CommandError, newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { fitting } from "../../lib/store.js";
import { pay } from "../../shared/paying.js";

/** @typedef {{hold: string, sale: string, quantity: number, price: number, expires: number, item: any}} Hold */
/**
 * A purchase on its way: `order` once the shop has made it, `paid` at its end.
 * @typedef {{item: any, hold: Hold|null, quantity: number, unit: number, coupon: any, order: any, paid: boolean,
 *   busy: boolean, orderKey: string, payKey: string}} Purchase
 */

export class Basket {
  /**
   * @param {{hub: import("../../lib/siyu.js").SiyuHub, api: import("../../lib/siyu.js").Api, changed: () => void}} shop
   */
  constructor({ hub, api, changed }) {
    this.hub = hub;
    this.api = api;
    this.changed = changed;
    /** @type {Map<string, Hold>} by sale */
    this.holds = new Map();
    /** @type {Set<string>} drops and sales of which this person has all they may have */
    this.had = new Set();
    /** @type {Set<string>} drops and sales that a command is under way for */
    this.asking = new Set();
    /** @type {Map<string, string>} */
    this.keys = new Map();
    /** @type {Purchase|null} */
    this.purchase = null;
  }

  /**
   * Run a command under the key of a wish; a second call while the first is under way is nothing.
   * @param {string} wish what is wished for, such as a sale's id
   * @param {string} cmd
   * @param {Record<string, unknown>} fields
   * @returns {Promise<any>} the answer, null when it is under way already; rejects with CommandError
   */
  async ask(wish, cmd, fields) {
    if (this.asking.has(wish)) return null;
    this.asking.add(wish);
    this.changed();
    const key = this.keys.get(wish) ?? newKey();
    this.keys.set(wish, key);
    try {
      const answer = await this.hub.command(cmd, { ...fields, key });
      this.keys.delete(wish);
      return answer;
    } catch (error) {
      const code = error instanceof CommandError ? error.code : "";
      if (!OUTCOME_UNKNOWN.has(code)) this.keys.delete(wish);
      if (code === "limit" || code === "already") this.had.add(wish);
      throw error;
    } finally {
      this.asking.delete(wish);
      this.changed();
    }
  }

  /**
   * @param {any} drop
   * @returns {Promise<any>} the coupon, null when it is being asked for
   */
  async claim(drop) {
    const answer = await this.ask(drop.drop, "coupon.claim", { drop: drop.drop });
    if (answer && drop.per_person <= 1) this.had.add(drop.drop);
    return answer?.coupon ?? null;
  }

  /**
   * Hold one unit of a flash sale and begin to buy it.
   * @param {any} sale
   */
  async grab(sale) {
    const fields = { sale: sale.sale, quantity: 1, version: sale.version };
    const answer = await this.ask(sale.sale, "sale.hold", fields);
    if (!answer) return;
    const { hold, quantity, price, expires } = answer;
    const held = { hold, quantity, price, expires, sale: sale.sale, item: { ...sale } };
    this.holds.set(sale.sale, held);
    await this.begin(sale, held);
  }

  /**
   * Begin to buy an item, held or from the shelf, with the best coupon that fits.
   * @param {any} item a card or a sale
   * @param {Hold|null} [hold]
   */
  async begin(item, hold = null) {
    // Of a presale the deposit is paid now, with money alone.
    const unit = item.deposit || (hold?.price ?? item.price);
    const quantity = hold?.quantity ?? 1;
    /** @type {Purchase} */
    const purchase = {
      item,
      hold,
      quantity,
      unit,
      coupon: null,
      order: null,
      paid: false,
      busy: false,
      orderKey: newKey(),
      payKey: newKey(),
    };
    this.purchase = purchase;
    this.changed();
    if (item.deposit) return;
    const coupons = await this.api.get("/coupons");
    // The choice is the person's until they have decided; an order that is made already has its price.
    if (!purchase.order && !purchase.busy) purchase.coupon = fitting(coupons, unit * quantity, this.hub.now())[0] ?? null;
    this.changed();
  }

  /** What the button says: the shop's amount once there is an order, before that our own sum (one 分 is left to pay). */
  amount() {
    const { purchase } = this;
    if (!purchase) return 0;
    if (purchase.order) return purchase.order.due ?? purchase.order.amount;
    const goods = purchase.unit * purchase.quantity;
    return goods - Math.min(purchase.coupon?.amount ?? 0, goods - 1);
  }

  /**
   * Order and pay. An order whose amount is not the one that was shown is not paid: the person decides again.
   * @returns {Promise<"paid"|"changed"|"confirming"|null>} "confirming": WeChat has it, the shop has not heard of it yet;
   *   null when it is under way already
   */
  async pay() {
    const { purchase } = this;
    if (!purchase || purchase.busy) return null;
    const shown = this.amount();
    purchase.busy = true;
    this.changed();
    try {
      if (!purchase.order) {
        purchase.order = (await this.hub.command("order.create", this.wanted(purchase))).order;
        if (purchase.hold) purchase.hold.expires = purchase.order.expires;
      }
      if (this.amount() !== shown) return "changed";
      purchase.order = await pay(this.api, purchase.order.order, purchase.payKey);
      if (purchase.order.status === "pending") return "confirming";
      purchase.paid = true;
      if (purchase.hold) this.bought(purchase.hold);
      return "paid";
    } catch (error) {
      this.refused(purchase, error);
      throw error;
    } finally {
      purchase.busy = false;
      this.changed();
    }
  }

  /**
   * @param {Purchase} purchase
   * @returns {Record<string, unknown>} the fields of `order.create`
   */
  wanted(purchase) {
    const { item, hold, quantity, coupon, orderKey } = purchase;
    const goods = hold ? { hold: hold.hold } : { lines: [{ sku: item.sku, quantity, version: item.version }] };
    return coupon ? { ...goods, coupon: coupon.coupon, key: orderKey } : { ...goods, key: orderKey };
  }

  /**
   * @param {Purchase} purchase
   * @param {any} error of the hub, the API or WeChat's sheet
   */
  refused(purchase, error) {
    // After an answer the attempt is over: the next tap is a new one. Without an answer the keys must stay.
    if (OUTCOME_UNKNOWN.has(error.code) || error.code === "cancelled") return;
    purchase.orderKey = newKey();
    purchase.payKey = newKey();
    if (error.code === "coupon_invalid") purchase.coupon = null;
    if (error.code === "price_changed" && error.extra.price) {
      purchase.unit = error.extra.price;
      purchase.item = { ...purchase.item, version: error.extra.version ?? purchase.item.version };
    }
    if (error.code === "expired" || error.code === "gone") this.release(purchase.hold);
  }

  /** Forget the holds of which another page has made an order. @param {Set<string>} ordered */
  leave(ordered) {
    for (const hold of [...this.holds.values()]) if (ordered.has(hold.hold)) this.bought(hold);
    if (this.purchase?.hold && ordered.has(this.purchase.hold.hold)) this.purchase = null;
  }

  /** @param {Hold} hold */
  bought(hold) {
    this.holds.delete(hold.sale);
    if (hold.quantity >= (hold.item.per_person || Infinity)) this.had.add(hold.sale);
  }

  /** @param {Hold|null} hold */
  release(hold) {
    if (hold) this.holds.delete(hold.sale);
    if (this.purchase?.hold === hold) this.purchase = null;
  }

  /**
   * Give up the holds whose time is over.
   * @returns {boolean} whether there was one
   */
  expire() {
    const over = [...this.holds.values()].filter((hold) => this.hub.now() >= hold.expires);
    for (const hold of over) if (!(this.purchase?.hold === hold && this.purchase.busy)) this.release(hold);
    return over.length > 0;
  }
}
