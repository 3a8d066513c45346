/** What bringing goods costs their buyer: rules of the shop and its stores. */

import { $, h, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, money, t } from "./i18n.js";
import { cell, table } from "./tables.js";

addStrings({
  "m.fr.title": ["配送费", "Delivery fees"],
  "m.fr.set": ["设置配送费", "Set a delivery fee"],
  "m.fr.where": ["适用门店", "For"],
  "m.fr.shop": ["全店（门店未单独设置的）", "the shop, and stores without their own"],
  "m.fr.way": ["方式", "Way"],
  "m.fr.fee": ["收费", "Fee"],
  "m.fr.bands": ["收费：一口价填 5；按距离填 3:5, 5:8（公里:元）", "Fee: 5 for flat; 3:5, 5:8 by distance (km:¥)"],
  "m.fr.free": ["满多少元免配送费（可空）", "Free from ¥ (may be empty)"],
  "m.fr.keeps": ["发出后退货", "Goods given back once sent"],
  "m.fr.keep": ["不退配送费", "the fee is kept"],
  "m.fr.back": ["退配送费", "the fee goes back too"],
  "m.fr.freeFrom": ["满 {sum} 免", "free from {sum}"],
  "m.fr.upTo": ["{km} 公里内 {fee}", "up to {km} km {fee}"],
  "m.fr.bad": ["收费写法不对：5 或 3:5, 5:8", "A fee is written 5, or 3:5, 5:8"],
  "m.fr.drop": ["取消", "Remove"],
});

const said = (bands) =>
  bands.map(([metres, fee]) => (metres ? t("m.fr.upTo", { km: metres / 1000, fee: money(fee) }) : money(fee))).join(" · ");

/** @returns {number[][]|null} metres and 分 of "5" or "3:5, 5:8", null when it is neither */
export function readBands(text) {
  const parts = text.split(/[,，]/).map((part) => part.trim().split(/[:：]/).map(Number));
  if (parts.some((part) => part.length > 2 || part.some((value) => !Number.isFinite(value) || value < 0))) return null;
  if (parts.length === 1 && parts[0].length === 1) return [[0, Math.round(parts[0][0] * 100)]];
  if (parts.some((part) => part.length !== 2)) return null;
  return parts.map(([km, yuan]) => [Math.round(km * 1000), Math.round(yuan * 100)]);
}

/** Draw the rules and their form. @param {any[]} outlets the shop's stores */
export async function drawFreight(api, outlets) {
  const rules = await api.get("/freight");
  const again = () => drawFreight(api, outlets);
  const drop = (one) => async () => {
    await api.request("PUT", "/freight", { outlet: one.outlet, way: one.way });
    await again();
  };
  const line = (one) =>
    h(
      "tr",
      { "data-testid": "freight-row", data: { way: one.way, outlet: one.outlet } },
      cell("m.fr.where", one.outlet ? one.name : t("m.fr.shop")),
      cell("m.fr.way", t(`o.${one.way}`)),
      cell("m.fr.fee", [said(one.bands), one.free_from && t("m.fr.freeFrom", { sum: money(one.free_from) })].filter(Boolean).join(" · ")),
      cell("m.fr.keeps", t(one.keeps ? "m.fr.keep" : "m.fr.back")),
      h("td.cell-toggle", {}, doer(t("m.fr.drop"), drop(one), { "data-testid": "freight-drop" })),
    );
  const form = h(
    "form.form-grid",
    { "data-testid": "freight-form" },
    field("m.fr.where", { name: "outlet", options: [["", t("m.fr.shop")], ...outlets.map((one) => [one.outlet, one.name])] }),
    field("m.fr.way", { name: "way", options: ["courier", "express"].map((way) => [way, t(`o.${way}`)]) }),
    field("m.fr.bands", { name: "bands", maxlength: 120, required: true }),
    field("m.fr.free", { name: "free", type: "number", min: "0.01", step: "0.01" }),
    field("m.fr.keeps", { name: "keeps", options: [["yes", t("m.fr.keep")], ["no", t("m.fr.back")]] }),
    h("button.primary", { type: "submit", "data-testid": "freight-set" }, t("m.fr.set")),
  );
  onSend(form, async () => {
    const { outlet, way, bands, free, keeps } = form.elements;
    const read = readBands(bands.value);
    if (!read) {
      toast(t("m.fr.bad"), "error");
      return;
    }
    const free_from = free.value ? Math.round(Number(free.value) * 100) : null;
    await api.request("PUT", "/freight", { outlet: outlet.value, way: way.value, bands: read, free_from, keeps: keeps.value === "yes" });
    await again();
  });
  put(
    $("freight"),
    rules.length > 0 && h("h3", {}, t("m.fr.title")),
    rules.length > 0 && h("div.table-frame", {}, table(["m.fr.where", "m.fr.way", "m.fr.fee", "m.fr.keeps", ""], rules.map(line))),
    h("details.adder", { "data-testid": "freight-adder" }, h("summary", {}, t("m.fr.set")), form),
  );
}
