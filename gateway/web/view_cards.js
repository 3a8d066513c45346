/** What the host holds up: the product being explained, a coupon drop, a flash sale. */

import { h, icon, picture, put } from "./dom.js";
import { clock, money, t } from "./i18n.js";
import { presaleLine, presaleOf } from "./presale.js";

/** How long a caught, emptied or ended coupon stays in sight. */
const TICKET_LINGER_MS = 5000;
/** How long an ended sale stays in sight. */
const SALE_LINGER_MS = 12000;

/**
 * The pinned product, lower right.
 * @param {HTMLElement} place
 * @param {any|null} card
 * @param {(card: any) => void} onBuy
 */
export function drawPinned(place, card, onBuy) {
  if (!card) {
    put(place);
    return;
  }
  const tag = card.explaining
    ? h(
        "span.pin-tag.explaining",
        {},
        h("i.wave", { "aria-hidden": "true" }, h("b"), h("b"), h("b")),
        t("pin.explaining"),
      )
    : h("span.pin-tag", {}, t("pin.pinned"));
  put(
    place,
    h(
      "button.pin-card",
      {
        type: "button",
        "data-testid": "pinned-card",
        data: { product: card.product },
        "aria-label": `${t(card.explaining ? "pin.explaining" : "pin.pinned")}: ${card.title} ${money(card.price)}`,
        on: { click: () => onBuy(card) },
      },
      tag,
      picture(card.image, card.title),
      h("span.pin-title", {}, card.title),
      h("span.price-row", {}, price(card.price), h("span.mini-buy", {}, t("pin.buy"))),
    ),
  );
}

/** A price with small ¥ and decimals. */
export function price(fen, className = "price") {
  const [yuan, rest] = money(fen).slice(1).split(".");
  return h(`span.${className}`, {}, h("small", {}, "¥"), yuan, rest ? h("small", {}, `.${rest}`) : null);
}

/** What a coupon takes off: an amount, or a percentage with its most. */
export function worth(coupon) {
  if (!coupon.percent) return money(coupon.amount);
  const tenths = (100 - coupon.percent) / 10;
  return t("coupon.percent", { n: coupon.percent, tenths, most: money(coupon.amount) });
}

/** The same, large. */
export function worthTag(coupon) {
  return coupon.percent ? h("span.worth.percent", {}, worth(coupon)) : price(coupon.amount, "worth");
}

/** The coupon drop in sight: caught by a tap, counted down by the server's clock. */
export class CouponCard {
  /**
   * @param {{place: HTMLElement, store: any, now: () => number, claim: (drop: any) => Promise<any>,
   *   caught: Set<string>}} options `caught` holds the drops this person has had all of
   */
  constructor({ place, store, now, claim, caught }) {
    Object.assign(this, { place, store, now, claim, caught });
    this.ended = new Map();
    this.busy = false;
    this.shown = null;
    store.on("drops", () => this.draw());
  }

  /** The newest drop that can be caught, else one that ended a moment ago. */
  pick() {
    const now = this.now();
    let best = null;
    for (const drop of this.store.drops.values()) {
      const done = drop.state !== "open" || now > drop.ends || this.caught.has(drop.drop);
      if (!done) this.ended.delete(drop.drop);
      else if (!this.ended.has(drop.drop)) {
        // A drop that was over before this page saw it open is no news.
        this.ended.set(drop.drop, this.shown === drop.drop ? now : 0);
      }
      if (done && now - this.ended.get(drop.drop) > TICKET_LINGER_MS) continue;
      const rank = (done ? 0 : 1e15) + drop.starts;
      if (!best || rank > best.rank) best = { drop, rank, done };
    }
    return best;
  }

  draw() {
    const best = this.pick();
    if (!best) {
      this.shown = null;
      put(this.place);
      return;
    }
    const { drop, done } = best;
    this.shown = drop.drop;
    this.time = h("span.time");
    put(
      this.place,
      h(
        "article.ticket",
        { "data-testid": "coupon-card", data: { drop: drop.drop, done: String(done) } },
        h("div.ticket-worth", {}, worthTag(drop), h("small", {}, this.condition(drop))),
        h(
          "div.ticket-text",
          {},
          h("strong", {}, drop.reason || drop.title),
          h("span", {}, drop.reason ? drop.title : "", " "),
          h("span.faint", {}, h("span", {}, t("drop.left", { n: drop.left })), " · ", this.time),
        ),
        this.button(drop, done),
      ),
    );
    this.tick();
  }

  condition(drop) {
    return drop.threshold ? t("drop.over", { threshold: money(drop.threshold) }) : t("drop.any");
  }

  button(drop, done) {
    if (this.caught.has(drop.drop)) return h("span.ticket-done", {}, icon("check"), t("drop.caught"));
    if (done) return h("span.ticket-done", {}, t(drop.state === "gone" ? "drop.gone" : "drop.closed"));
    return h(
      "button.catch",
      { type: "button", "data-testid": "coupon-catch", disabled: this.busy, on: { click: () => this.catch(drop) } },
      t("drop.catch"),
    );
  }

  async catch(drop) {
    if (this.busy) return;
    this.busy = true;
    this.draw();
    try {
      await this.claim(drop);
    } finally {
      this.busy = false;
      this.draw();
    }
  }

  tick() {
    if (!this.shown) return;
    const drop = this.store.drops.get(this.shown);
    const best = this.pick();
    if (!drop || !best || best.drop !== drop || (best.done && !this.place.querySelector('[data-done="true"]'))) {
      this.draw();
      return;
    }
    const now = this.now();
    this.time.textContent =
      now < drop.starts ? t("drop.soon", { time: clock(drop.starts - now) }) : clock(drop.ends - now);
  }
}

const RANK = { open: 5, entering: 5, countdown: 4, paused: 3, sold_out: 2, scheduled: 1, closed: 0 };
/** A countdown this near its end is what the host talks about now: it stands before a sale that is open already. */
const SOON_MS = 60000;

/** The flash sale in sight: countdown → grab → held → (checkout elsewhere). */
export class SaleCard {
  /**
   * @param {{place: HTMLElement, store: any, now: () => number, grab: (sale: any) => Promise<any>,
   *   pay: (hold: any) => void, holds: Map<string, any>, done: Set<string>, wishes: any,
   *   onReleased: (hold: any) => void}} options `holds`: sale → {hold, sale, quantity, price, expires} of this person;
   *   `done`: the sales of which this person has all they may have
   */
  constructor({ place, store, now, grab, pay, holds, done, wishes, onReleased }) {
    Object.assign(this, { place, store, now, grab, pay, holds, done, wishes, onReleased });
    this.busy = false;
    this.seenClosed = new Map();
    this.drawn = "";
    store.on("sales", () => this.draw());
  }

  pick() {
    let best = null;
    for (const sale of this.store.sales.values()) {
      const held = this.holds.has(sale.sale);
      // Prizes and groups have cards of their own; what this person holds is paid here.
      if (!held && (sale.mode === "bag" || sale.mode === "team")) continue;
      if (sale.state === "closed" && !held && !this.recent(sale)) continue;
      const rank = (held ? 10 : this.rank(sale)) * 1e14 + (sale.opens || 0);
      if (!best || rank > best.rank) best = { sale, rank };
    }
    return best?.sale || null;
  }

  rank(sale) {
    if (this.done.has(sale.sale)) return RANK.scheduled;
    const soon = sale.state === "countdown" && sale.opens - this.now() < SOON_MS;
    return RANK[soon ? "open" : sale.state] || 0;
  }

  recent(sale) {
    if (!this.seenClosed.has(sale.sale)) this.seenClosed.set(sale.sale, this.shown === sale.sale ? this.now() : 0);
    return this.now() - this.seenClosed.get(sale.sale) < SALE_LINGER_MS;
  }

  /** "countdown" whose time has come counts as open: the server has the last word, not the delay of a message. */
  state(sale) {
    if (this.holds.has(sale.sale)) return "held";
    if (this.done.has(sale.sale) && sale.state === "open") return "done";
    if (sale.state !== "countdown" || this.now() < sale.opens) return sale.state;
    return sale.mode === "draw" ? "entering" : "open";
  }

  draw() {
    const sale = this.pick();
    this.shown = sale?.sale || null;
    if (!sale) {
      this.drawn = "";
      put(this.place);
      return;
    }
    const state = this.state(sale);
    // Stock changes many times a second: then only the bar moves, so that a finger on the button does not miss it.
    const wish = this.wish(sale, state);
    const shown = [sale.title, sale.price, sale.version, this.busy, wish?.text, t("sale.tag")];
    const key = JSON.stringify([sale.sale, state, ...shown]);
    if (key !== this.drawn) this.build(sale, state);
    this.drawn = key;
    const share = sale.total ? sale.left / sale.total : 0;
    this.bar.style.setProperty("--share", String(Math.max(0, Math.min(1, share))));
    this.left.textContent = this.figures(sale, state);
    this.tick();
  }

  build(sale, state) {
    this.bar = h("span.stock-bar", { "aria-hidden": "true" }, h("i"));
    this.left = h("span.stock-left");
    this.label = h("span.sale-label");
    this.time = h("span.time");
    const limits = [sale.per_person && t("sale.limit", { n: sale.per_person }), sale.live_only && t("sale.liveOnly")];
    const limit = limits.filter(Boolean).join(" · ");
    put(
      this.place,
      h(
        "article.sale",
        { "data-testid": "sale-card", data: { sale: sale.sale, state } },
        h("div.sale-head", {}, h("span.sale-tag", {}, icon("bolt"), t(sale.deposit ? "presale.tag" : "sale.tag")), this.label, this.time),
        h(
          "div.sale-row",
          {},
          picture(sale.image, sale.title),
          h(
            "div.sale-text",
            {},
            h("strong", {}, sale.title),
            h(
              "span.price-row",
              {},
              price(sale.price),
              sale.list_price > sale.price && h("s", {}, money(sale.list_price)),
              h("small.faint", {}, limit),
            ),
            sale.deposit ? h("small", { "data-testid": "presale" }, presaleLine(presaleOf(sale))) : null,
            h("span.stock-row", {}, this.bar, this.left),
          ),
          this.button(sale, state),
        ),
      ),
    );
  }

  button(sale, state) {
    if (state === "held") {
      const hold = this.holds.get(sale.sale);
      return h(
        "button.grab.held",
        { type: "button", "data-testid": "sale-pay", on: { click: () => this.pay(hold) } },
        t("sale.pay"),
      );
    }
    const wish = this.wish(sale, state);
    if (wish) {
      const press = { click: () => this.act(() => wish.act(sale)) };
      const disabled = this.busy || !wish.act;
      return h("button.grab", { type: "button", "data-testid": "sale-wish", disabled, on: press }, wish.text);
    }
    const texts = { open: sale.deposit ? "presale.grab" : "sale.grab", countdown: "sale.wait", scheduled: "sale.wait" };
    const text = this.busy ? "sale.grabbing" : texts[state] || `sale.${state}`;
    const disabled = state !== "open" || this.busy;
    return h(
      "button.grab",
      { type: "button", "data-testid": "sale-grab", disabled, on: { click: () => this.tryGrab(sale) } },
      t(text),
    );
  }

  /** What can be wished for when nothing can be grabbed: a draw's ticket, a place in line, a reminder. */
  wish(sale, state) {
    const { wishes } = this;
    if (state === "entering") {
      const n = wishes.tickets.get(sale.draw);
      return n ? { text: t("sale.entered", { n }) } : { text: t("sale.enter"), act: (one) => wishes.enterSale(one) };
    }
    if (state === "sold_out" && !this.done.has(sale.sale)) {
      const n = wishes.places.get(sale.sale);
      return n ? { text: t("sale.inLine", { n }) } : { text: t("sale.line"), act: (one) => wishes.wait(one) };
    }
    if (state === "scheduled" && sale.opens) {
      if (wishes.reminded.has(sale.sale)) return { text: t("sale.reminded") };
      return { text: t("sale.remind"), act: (one) => wishes.remind(one) };
    }
    return null;
  }

  figures(sale, state) {
    if (state === "scheduled" && sale.reserved) return t("sale.reserved", { n: sale.reserved });
    if (state === "sold_out") return sale.waiting ? t("sale.waiting", { n: sale.waiting }) : t("sale.returns");
    return t("sale.left", { left: sale.left, total: sale.total });
  }

  tryGrab(sale) {
    return this.act(() => this.grab(sale));
  }

  async act(does) {
    if (this.busy) return;
    this.busy = true;
    this.draw();
    try {
      await does();
    } finally {
      this.busy = false;
      this.draw();
    }
  }

  tick() {
    const sale = this.shown && this.store.sales.get(this.shown);
    if (!sale) return;
    const now = this.now();
    const hold = this.holds.get(sale.sale);
    if (hold && now >= hold.expires) {
      this.holds.delete(sale.sale);
      this.onReleased(hold);
      this.draw();
      return;
    }
    const state = this.state(sale);
    if (state !== this.place.firstElementChild?.dataset.state || (state === "closed" && !this.recent(sale))) {
      this.drawn = "";
      this.draw();
      return;
    }
    const [label, until] = {
      held: [t("sale.held"), hold?.expires],
      countdown: [t("sale.opens"), sale.opens],
      open: [t("sale.closes"), sale.closes],
      done: [t("sale.closes"), sale.closes],
      entering: [t("sale.drawsIn"), sale.draws],
      scheduled: [t("sale.scheduled"), sale.opens],
      paused: [t("sale.paused"), null],
      sold_out: [t("sale.sold_out"), null],
      closed: [t("sale.closed"), null],
    }[state] || ["", null];
    this.label.textContent = label;
    this.time.textContent = until ? clock(until - now) : "";
  }
}
