/** The points mall: what a member can have for points, and the merchant's form that says so. */

import { rows } from "./api.js";
import { h, picture, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { money, t } from "./i18n.js";

/** Rooms whose shelves are offered in the merchant's form. */
const ROOMS_ASKED_MAX = 10;

const cost = (item) => t("mall.cost", { points: item.points, cash: money(item.cash) });

/**
 * One thing of the mall, as a member sees it.
 * @param {any} item of GET /mall
 * @param {number} points what the member has
 * @param {(item: any) => void} exchange
 */
export function mallRow(item, points, exchange) {
  const enough = points >= item.points && item.left > 0;
  const text = item.left > 0 ? t(enough ? "mall.exchange" : "mall.short") : t("mall.gone");
  const press = { click: () => exchange({ ...item, price: item.cash }) };
  return h(
    "article.order-item",
    { "data-testid": "mall-item", data: { sku: item.sku } },
    picture(item.image, item.title),
    h(
      "div",
      {},
      h("strong", {}, item.title),
      h("span.faint", {}, `${cost(item)} · ${t("mall.worth", { price: money(item.price) })}`),
      h("button.buy", { type: "button", disabled: !enough, "data-testid": "mall-exchange", on: press }, text),
    ),
  );
}

/**
 * The merchant's form and list.
 * @param {import("./api.js").Api} api
 * @param {HTMLFormElement} form
 * @param {HTMLElement} list
 * @returns {{load: (rooms: any[]) => Promise<void>}} `load` fills both the first time
 */
export function mallForm(api, form, list) {
  let filled = false;
  const draw = (items) => put(list, items.map((item) => row(item)));
  const row = (item) => {
    const end = async () => draw(await api.delete(`/mall/${encodeURIComponent(item.sku)}`));
    const limit = item.per_person ? t("mall.limit", { n: item.per_person }) : "";
    return h(
      "article.run",
      { "data-testid": "mall-row" },
      h("div.run-head", {}, h("strong", {}, item.title), h("span.faint", {}, [cost(item), t("mall.left", { n: item.left }), limit].filter(Boolean).join(" · "))),
      h("div.run-buttons", {}, doer(t("mall.end"), end)),
    );
  };
  async function load(rooms) {
    if (filled) return;
    filled = true;
    const asked = rooms.slice(0, ROOMS_ASKED_MAX).map(({ room }) => api.get(`/rooms/${encodeURIComponent(room)}/products`));
    const cards = (await Promise.all(asked)).flatMap((answer) => rows(answer, "products"));
    const offered = [...new Map(cards.map((card) => [card.sku, card])).values()];
    put(
      form,
      field("mall.sku", { name: "sku", options: offered.map(({ sku, title }) => [sku, title]), required: true, wide: true }),
      countField("mall.points", "points", { value: "500", max: "1000000", required: true, "data-testid": "mall-points" }),
      yuanField("mall.cash", "cash", { value: "0.01", required: true }),
      countField("mall.perPerson", "per_person", { value: "0", min: "0" }),
      h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "mall-save", "data-t": "mall.save" }, t("mall.save"))),
    );
    draw(await api.get("/mall"));
  }
  onSend(form, async () => {
    const body = { points: whole(form, "points"), cash: fen(form, "cash"), per_person: whole(form, "per_person") };
    draw(await api.request("PUT", `/mall/${encodeURIComponent(form.elements.sku.value)}`, body));
    toast(t("mall.saved"), "good");
  });
  return { load };
}

export const MALL = {
  "mall.title": ["积分商城", "Points mall"],
  "mall.cost": ["{points} 积分 + {cash}", "{points} points + {cash}"],
  "mall.worth": ["价值 {price}", "worth {price}"],
  "mall.exchange": ["兑换", "Exchange"],
  "mall.short": ["积分不足", "Too few points"],
  "mall.gone": ["已兑完", "Gone"],
  "mall.sku": ["商品", "Product"],
  "mall.points": ["所需积分", "Points"],
  "mall.cash": ["另付（元，至少 0.01）", "And money (¥, at least 0.01)"],
  "mall.perPerson": ["每人限兑（0 不限）", "Limit a person (0: none)"],
  "mall.limit": ["每人限 {n} 件", "limit {n}"],
  "mall.left": ["剩 {n} 件", "{n} left"],
  "mall.save": ["上架兑换", "Offer"],
  "mall.saved": ["已保存", "Saved"],
  "mall.end": ["下架", "Take out"],
};
