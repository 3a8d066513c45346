/** Lines of goods in a form: which SKU, how many, and what one costs. */

import { h, put, sheet } from "./dom.js";
import { onSend } from "./forms.js";
import { t } from "./i18n.js";
import { everyItem } from "./lists.js";

/** 分 from what a person typed in yuan. */
export const yuanOf = (text) => Math.round(Number.parseFloat(text || "0") * 100);

/** Goods as a person knows them. */
export const nameOf = (one) => [one.title, one.name].filter(Boolean).join(" ") || one.code || `…${one.sku.slice(-6)}`;

/**
 * Ask for a few things in a sheet, and send them.
 * @param {string} title
 * @param {HTMLElement[]} fields as of `field`
 * @param {(form: HTMLFormElement) => Promise<any>} send the sheet closes when it succeeds
 */
export function ask(title, fields, send) {
  const window = sheet({ title, testid: "ask-sheet", closeLabel: t("common.close") });
  const form = h("form.form-grid", {}, fields, h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "ask-send" }, t("pu.save"))));
  onSend(form, async () => {
    await send(form);
    window.close();
  });
  put(window.body, form);
}

let asked = null;

/** All goods that have a stock: [{sku, code, title, name, grams}]. The panels that ask at one moment share the answer. */
export function goodsOf(api) {
  asked ??= allGoods(api).finally(() => {
    asked = null;
  });
  return asked;
}

async function allGoods(api) {
  const items = await everyItem(api, "/goods?limit=200");
  return items.map((one) => ({ sku: one.id, code: one.sku, title: one.title, name: one.name, grams: one.grams }));
}

/**
 * Lines that can be added and taken away.
 * @param {{sku: string, title: string, name: string, grams: number}[]} goods
 * @param {{costs?: boolean, weights?: boolean, testid: string}} options `costs`: with a price in yuan; `weights`: in grams
 * @returns {{element: HTMLElement, read: () => any[], clear: () => void}}
 */
export function lineEditor(goods, { costs = false, weights = false, testid }) {
  const list = h("div.line-list");
  const add = () => list.append(line());
  const number = (name, label, props = {}) =>
    h("label.field", {}, h("span", { "data-t": label }, t(label)), h("input", { name, type: "number", min: "1", step: "1", required: true, "data-testid": `${testid}-${name}`, ...props }));
  function line() {
    const option = (one) => h("option", { value: one.sku }, `${nameOf(one)}${one.grams ? ` (${one.grams} g)` : ""}`);
    const select = h("select", { name: "sku", "aria-label": t("pu.goods"), "data-testid": `${testid}-sku` }, goods.map(option));
    const row = h(
      "div.line-row",
      {},
      h("label.field", {}, h("span", { "data-t": "pu.goods" }, t("pu.goods")), select),
      number("quantity", "pu.units", { required: !weights }),
      costs && number("cost", "pu.unitCostYuan", { min: "0", step: "0.01" }),
      weights && number("grams", "pr.gramsAll", { required: false }),
      h("button.small", { type: "button", on: { click: () => list.children.length > 1 && row.remove() } }, "−"),
    );
    return row;
  }
  add();
  return {
    element: h("div.wide-field", {}, list, h("button.small", { type: "button", "data-testid": `${testid}-line`, on: { click: add } }, `+ ${t("pu.line")}`)),
    read: () =>
      [...list.children].map((row) => {
        const of = (name) => row.querySelector(`[name=${name}]`)?.value;
        const read = { sku: of("sku"), quantity: Number.parseInt(of("quantity") || "0", 10) };
        if (costs) read.unit_cost = yuanOf(of("cost"));
        if (weights) read.grams = Number.parseInt(of("grams") || "0", 10);
        return read;
      }),
    clear: () => put(list, line()),
  };
}
