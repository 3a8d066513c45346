/** The shelf of a room. */

import { shopPage } from "../../shared/page.js";
import { money } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { GOODS } from "../texts.js";

shopPage(GOODS, {
  async load() {
    const { shelf, pins } = await this.visit.api.get(`/rooms/${encodeURIComponent(this.visit.room)}`);
    const explained = new Set(pins.filter((/** @type {any} */ one) => one.explaining).map((/** @type {any} */ one) => one.product));
    const goods = shelf.map((/** @type {any} */ card) => ({
      sku: card.sku,
      title: card.title,
      image: asset(card.image),
      price: money(card.price),
      before: card.list_price > card.price ? money(card.list_price) : "",
      left: this.t(card.stock > 0 ? "left" : "soldout", { n: card.stock }),
      can: card.stock > 0,
      tag: explained.has(card.product) ? this.t("explaining") : "",
    }));
    return { goods };
  },

  /** @param {{currentTarget: {dataset: {sku: string}}}} event */
  onBuy({ currentTarget }) {
    this.go("/shop/checkout/checkout", { sku: currentTarget.dataset.sku });
  },

  onOrders() {
    this.go("/shop/orders/orders");
  },
});
