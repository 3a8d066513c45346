/**
 * What this person wishes for when nothing can be grabbed, and what becomes of it: tickets of draws, places in line,
 * reminders, questions. The ledger has the truth; this has the buttons.
 */

import { money } from "../../shared/speak.js";

/** @typedef {{say: string, values: Record<string, string|number>}} News a text's key, told once */

export class Wishes {
  /**
   * @param {{hub: import("../../lib/siyu.js").SiyuHub, store: import("../../lib/store.js").RoomStore,
   *   basket: import("./basket.js").Basket, changed: () => void}} room
   */
  constructor({ hub, store, basket, changed }) {
    this.hub = hub;
    this.store = store;
    this.basket = basket;
    this.changed = changed;
    /** Draw → number of my ticket. @type {Map<string, number>} */
    this.tickets = new Map();
    /** Sale → my place in line. @type {Map<string, number>} */
    this.places = new Map();
    /** @type {Set<string>} sales that I am to be reminded of */
    this.reminded = new Set();
    /** What the page has to tell and has not yet. @type {News[]} */
    this.news = [];
  }

  /** @param {any} draw */
  async enter(draw) {
    const task = { comment: draw.word, follow: true };
    const fields = draw.task in task ? { [draw.task]: task[/** @type {"comment"|"follow"} */ (draw.task)] } : {};
    const { n } = await this.hub.command("draw.enter", { draw: draw.draw, ...fields });
    this.tickets.set(draw.draw, n);
    this.changed();
  }

  /** Stand in line for units that come back. @param {any} sale */
  async wait(sale) {
    const { place } = await this.hub.command("sale.wait", { sale: sale.sale });
    this.places.set(sale.sale, place);
    this.changed();
  }

  /** @param {any} sale */
  async remind(sale) {
    await this.hub.command("sale.remind", { sale: sale.sale });
    this.reminded.add(sale.sale);
    this.changed();
  }

  /** @param {string} text */
  async ask(text) {
    await this.hub.command("question.ask", { text });
  }

  /**
   * Something came that nobody tapped for just now.
   * @param {any} event a personal event of the hub
   */
  take(event) {
    if (event.t === "hold") this.given(event);
    if (event.t === "reminder") this.tell("opensSoon", { title: event.sale.title });
    if (event.t === "balance") this.tell("balance", {});
    if (event.t === "debt") this.tell(`debt.${event.why}`, { amount: money(event.debt.amount) });
    // A drop that was caught by a tap has been told of already.
    const { coupon } = event;
    if (event.t === "coupon" && !(coupon.drop && (this.basket.had.has(coupon.drop) || this.basket.asking.has(coupon.drop))))
      this.tell("gotCoupon", { title: coupon.title });
  }

  /**
   * Units without a request: won, or back from somebody else.
   * @param {any} event
   */
  given({ sale: id, hold, quantity, price, expires, why }) {
    const sale = this.store.sales.get(id);
    if (!sale || expires <= this.hub.now()) return;
    this.places.delete(id);
    this.basket.holds.set(id, { hold, quantity, price, expires, sale: id, item: { ...sale } });
    this.tell(why === "draw" ? "wonDraw" : "gotLine", { title: sale.title });
  }

  /**
   * @param {string} say
   * @param {Record<string, string|number>} values
   */
  tell(say, values) {
    this.news.push({ say, values });
    this.changed();
  }
}

