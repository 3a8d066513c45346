/** The shelf (购物袋): a list for a sheet on a phone and for the side of a desktop. */

import { h, icon, picture, put } from "./dom.js";
import { price } from "./view_cards.js";
import { money, t, when } from "./i18n.js";

/** What every place of the shelf shows; null: all. */
let looked = null;

/**
 * @param {HTMLElement} place
 * @param {any[]} cards
 * @param {{explaining: string|null, onBuy: (card: any) => void, onWatch?: (card: any) => void,
 *   onAdd?: (card: any) => void, onTerms?: (card: any) => void, onFilter: () => void}} options `onFilter` draws the places of the shelf anew
 */
export function drawShelf(place, cards, { explaining, onBuy, onWatch, onAdd, onTerms, onFilter }) {
  if (!cards.length) {
    put(place, h("p.empty", {}, t("shelf.empty")));
    return;
  }
  const categories = [...new Set(cards.map((card) => card.category).filter(Boolean))];
  const shown = categories.length > 1 && categories.includes(looked) ? looked : null;
  const rows = cards.map((card, index) => (shown === null || card.category === shown) && row(card, index + 1, explaining, { onBuy, onWatch, onAdd, onTerms }));
  put(place, categories.length > 1 && filter(categories, shown, onFilter), h("ol.shelf-list", {}, rows));
}

function filter(categories, shown, onFilter) {
  const look = (category) => {
    looked = category;
    onFilter();
  };
  const one = (category) =>
    h(
      "button",
      { type: "button", "data-testid": "shelf-category", "aria-pressed": String(shown === category), on: { click: () => look(category) } },
      category ?? t("shelf.all"),
    );
  return h("div.shelf-filter", { role: "group", "aria-label": t("shelf.categories") }, [null, ...categories].map(one));
}

/** Show what is left without making the rows anew: a finger on a button must not miss it. */
export function markLeft(place, cards) {
  for (const card of cards) {
    const item = place.querySelector(`[data-product="${CSS.escape(card.product)}"]`);
    if (!item) continue;
    item.querySelector(".shelf-left").textContent = left(card);
    item.querySelector(".buy").disabled = card.stock === 0;
  }
}

function left(card) {
  if (card.stock === 0) return t("shelf.soldout");
  return Number.isFinite(card.stock) ? t("shelf.left", { n: card.stock }) : "";
}

function row(card, number, explaining, { onBuy, onWatch, onAdd, onTerms }) {
  return h(
    "li.shelf-item",
    { "data-testid": "shelf-item", data: { product: card.product } },
    h("span.shelf-picture", {}, picture(card.image, card.title), h("span.shelf-number", {}, String(number))),
    h(
      "div.shelf-text",
      {},
      card.product === explaining && h("span.on-now", {}, t("pin.explaining")),
      h("strong", {}, card.title),
      card.offer_until && h("span.on-now", {}, t("shelf.offer", { time: when(card.offer_until) })),
      onTerms &&
        h("button.link", { type: "button", "data-testid": "shelf-terms", on: { click: () => onTerms(card) } }, t("notice.terms")),
      card.bonus > 0 && h("span.on-now", {}, t("shelf.bonus", { amount: money(card.bonus) })),
      h("span.faint.shelf-left", {}, left(card)),
      h(
        "span.price-row",
        {},
        price(card.price),
        card.list_price > card.price && h("s", {}, money(card.list_price)),
        card.clip &&
          onWatch &&
          h(
            "button.watch-clip",
            { type: "button", "data-testid": "shelf-clip", on: { click: () => onWatch(card) } },
            icon("play"),
            t("shelf.clip"),
          ),
        onAdd &&
          card.kind !== "stored" &&
          h(
            "button.round.quiet",
            {
              type: "button",
              "data-testid": "shelf-add",
              "aria-label": t("cart.add"),
              disabled: card.stock === 0,
              on: { click: () => onAdd(card) },
            },
            "+",
          ),
        h(
          "button.buy",
          { type: "button", "data-testid": "shelf-buy", disabled: card.stock === 0, on: { click: () => onBuy(card) } },
          t("shelf.buy"),
        ),
      ),
    ),
  );
}
