/** The shop's products with what each is filed under; `known-categories` offers the names wherever one is typed. */

import { $, h, put, toast } from "./dom.js";
import { doer } from "./forms.js";
import { explain, money, t } from "./i18n.js";
import { cell, table } from "./tables.js";

const PRODUCTS_SHOWN = 20;
const CATEGORY_CHARACTERS_MAX = 40;
/** Props of a field that takes one of the known categories, or a new one. */
export const CATEGORY = { list: "known-categories", maxlength: CATEGORY_CHARACTERS_MAX };

const asked = { category: null, pages: 1 };

/** Draw the products of the category that is looked at; a field that is being typed in stays. `changed`: one was filed. */
export async function drawProducts(api, changed) {
  const again = () => drawProducts(api, changed);
  const found = { items: [], next: "", categories: {} };
  for (let page = 0; page < asked.pages && found.next !== null; page++) {
    const query = new URLSearchParams({ limit: PRODUCTS_SHOWN, after: found.next });
    if (asked.category !== null) query.set("category", asked.category);
    const answer = await api.get(`/products?${query}`);
    Object.assign(found, { ...answer, items: [...found.items, ...answer.items] });
  }
  if (asked.category !== null && !Object.hasOwn(found.categories, asked.category)) {
    // The last of it was filed otherwise.
    Object.assign(asked, { category: null, pages: 1 });
    return again();
  }
  const named = Object.keys(found.categories).filter(Boolean);
  put($("known-categories"), named.map((name) => h("option", { value: name })));
  drawFilter(found.categories, again);
  if ($("goods-list").contains(document.activeElement)) return;
  const heads = ["m.g.goods", "m.g.price", "m.g.stock", "m.g.category"];
  const more = doer(t("m.g.more"), async (button) => {
    asked.pages += 1;
    button.blur();
    await again();
  });
  put(
    $("goods-list"),
    found.items.length ? table(heads, found.items.map((one) => productRow(api, one, changed))) : h("p.empty", {}, t("m.g.noGoods")),
    found.next !== null && more,
  );
}

function drawFilter(categories, again) {
  const look = (category) => () => {
    Object.assign(asked, { category, pages: 1 });
    return again();
  };
  const chip = (category, text) =>
    doer(text, look(category), { "aria-pressed": String(asked.category === category), "data-testid": "goods-category-filter" });
  const named = Object.entries(categories).filter(([name]) => name);
  const rest = categories[""] > 0 && chip("", `${t("m.g.uncategorised")} ${categories[""]}`);
  put($("goods-filter"), named.length > 0 && [chip(null, t("m.k.all")), named.map(([name, n]) => chip(name, `${name} ${n}`)), rest]);
}

function productRow(api, one, changed) {
  const input = h("input", { ...CATEGORY, type: "text", value: one.category, autocomplete: "off", "aria-label": `${one.title} ${t("m.g.category")}`, "data-testid": "goods-category" });
  input.addEventListener("change", async () => {
    try {
      await api.request("PUT", `/products/${encodeURIComponent(one.product)}/category`, { category: input.value.trim() });
      toast(t("m.saved"), "good");
      input.blur();
      await changed();
    } catch (error) {
      toast(explain(error), "error");
      input.value = one.category;
    }
  });
  return h(
    "tr",
    { "data-testid": "product-row", data: { product: one.product } },
    cell("m.g.goods", one.title),
    cell("m.g.price", money(one.price)),
    cell("m.g.stock", String(one.variants.length ? one.variants.reduce((sum, variant) => sum + variant.stock, 0) : one.stock)),
    cell("m.g.category", input),
  );
}
