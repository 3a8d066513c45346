/** The cart of one visit, and the sheet in which one of several variants is chosen. */

import { h, put, sheet } from "./dom.js";
import { money, t, when } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { price } from "./view_cards.js";

/** As many lines as an order takes (LINES_MAX), and units as a line takes (QUANTITY_MAX). */
const LINES_MAX = 50;
const UNITS_MAX = 999;

/**
 * What is bought of a card: one SKU with the price as it was seen.
 * @param {any} card of the shelf
 * @param {any} [variant] one of `card.variants`
 */
export function itemOf(card, variant = null) {
  const { sku, price: unit, list_price, version } = variant || card;
  const title = variant ? `${card.title} ${variant.name}`.trim() : card.title;
  const plain = { product: card.product, image: card.image, kind: card.kind || "goods" };
  return { ...plain, sku, title, price: unit, list_price, version, quantity: 1 };
}

/** Goods put aside to be ordered together; kept while the page's tab is. */
export class Cart {
  /** @param {string} room */
  constructor(room) {
    this.name = `siyu.cart.${room}`;
    /** @type {any[]} */
    this.items = recall("session", this.name, []);
    this.listeners = [];
  }

  /** @param {() => void} listener called after each change */
  onChange(listener) {
    this.listeners.push(listener);
  }

  get units() {
    return this.items.reduce((sum, item) => sum + item.quantity, 0);
  }

  /** Add a unit; the newest price seen counts. */
  add(item) {
    const known = this.items.find((one) => one.sku === item.sku);
    const quantity = Math.min(UNITS_MAX, (known?.quantity || 0) + item.quantity);
    const rest = this.items.filter((one) => one.sku !== item.sku);
    if (rest.length >= LINES_MAX) return false;
    this.set([...rest, { ...item, quantity }]);
    return true;
  }

  /** @param {any[]} items all there is from now on */
  set(items) {
    this.items = items;
    remember("session", this.name, items);
    for (const listener of this.listeners) listener();
  }

  /** The bar under the shelf: how much is in it, and the way out. */
  bar(checkOut) {
    if (!this.items.length) return null;
    const sum = this.items.reduce((total, item) => total + item.price * item.quantity, 0);
    return h(
      "div.cart-bar",
      { "data-testid": "cart-bar" },
      h("span", {}, t("cart.count", { n: this.units }), " ", h("strong.num", {}, money(sum))),
      h("button.quiet", { type: "button", on: { click: () => this.set([]) } }, t("cart.clear")),
      h("button.buy", { type: "button", "data-testid": "cart-checkout", on: { click: checkOut } }, t("cart.checkout")),
    );
  }
}

/**
 * Let the person choose a variant, then buy it or put it into the cart.
 * @param {any} card with variants
 * @param {{buy: (item: any) => void, add: (item: any) => void}} then
 */
export function chooseVariant(card, { buy, add }) {
  const window = sheet({ title: card.title, testid: "variant-sheet", closeLabel: t("common.close") });
  let chosen = card.variants.find((variant) => variant.stock > 0) || null;

  const done = (act) => {
    window.close();
    act(itemOf(card, chosen));
  };

  function draw() {
    put(
      window.body,
      h("p.price-row", {}, chosen ? price(chosen.price, "price.big") : h("span", {}, t("shelf.soldout"))),
      h(
        "div.variants",
        { role: "group", "aria-label": t("variant.title") },
        card.variants.map((variant) =>
          h(
            "button.variant",
            {
              type: "button",
              "data-testid": "variant",
              "aria-pressed": String(variant.sku === chosen?.sku),
              disabled: variant.stock === 0,
              on: {
                click: () => {
                  chosen = variant;
                  draw();
                },
              },
            },
            variant.name || t("variant.plain"),
            variant.slot ? h("small", {}, when(variant.slot)) : null,
            h("small.faint", {}, variant.stock ? t("shelf.left", { n: variant.stock }) : t("shelf.soldout")),
          ),
        ),
      ),
      h(
        "div.variant-foot",
        {},
        h(
          "button.quiet.wide",
          { type: "button", "data-testid": "variant-add", disabled: !chosen, on: { click: () => done(add) } },
          t("cart.add"),
        ),
        h(
          "button.primary.wide",
          { type: "button", "data-testid": "variant-buy", disabled: !chosen, on: { click: () => done(buy) } },
          t("pin.buy"),
        ),
      ),
    );
  }

  draw();
}
