/** Paid membership, the merchant's side: which goods are plans, and who has them. */

import { $, h, put } from "./dom.js";
import { doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { money, t } from "./i18n.js";
import { goodsOf, nameOf } from "./merchant_lines.js";
import { newKey } from "./siyu.js";
import { listed } from "./lists.js";
import { cell, table } from "./tables.js";
import { benefits, period, standing } from "./view_membership.js";

const MEMBERS = "/memberships/all?limit=50";

/** Draw the plans and the newest members. */
export async function drawPlans(api) {
  const [plans, members] = await Promise.all([api.get("/memberships/plans"), api.get(MEMBERS)]);
  const again = () => drawPlans(api);
  const plan = (one) =>
    h(
      "article.run",
      { "data-testid": "plan-row", data: { sku: one.sku } },
      h("div.run-head", {}, h("strong", {}, `${one.title} · ${t(`ms.months${one.months}`)} · ${money(one.price)}`), h("span.faint", {}, `${benefits(one)} · ${t(`ms.${one.refund}`)}`)),
      h("div.run-buttons", {}, doer(t("ms.unsell"), async () => {
        await api.delete(`/memberships/plans/${encodeURIComponent(one.sku)}`);
        await again();
      })),
    );
  put($("plans"), plans.length ? plans.map(plan) : h("p.empty", {}, t("ms.noPlans")));
  const heads = ["ms.members", "ms.plan", "ms.length", "m.col.amount", "m.col.status", ""];
  const row = (one) => memberRow(api, one, again);
  put($("plan-members"), members.items.length > 0 && listed(api, MEMBERS, members, row, (rows) => table(heads, rows)));
}

function memberRow(api, one, again) {
  const key = newKey();
  const back = async () => {
    await api.post(`/memberships/${encodeURIComponent(one.membership)}/refund`, {}, key);
    await again();
  };
  const now = Date.now();
  return h(
    "tr",
    { "data-testid": "plan-member", data: { state: standing(one, now) } },
    cell("ms.members", h("span.mono", {}, `…${one.person.slice(-6)}`)),
    cell("ms.plan", one.title),
    cell("ms.length", period(one)),
    cell("m.col.amount", money(one.paid)),
    cell("m.col.status", h("span.chip", {}, t(`ms.${standing(one, now)}`))),
    h("td.cell-toggle", {}, one.back > 0 && doer(t("ms.giveBack", { amount: money(one.back) }), back, { "data-testid": "membership-refund" })),
  );
}

/** The form that makes goods a plan. */
export async function fillPlans(api) {
  const form = $("plan-form");
  const goods = await goodsOf(api);
  const lengths = [1, 3, 12].map((months) => [String(months), t(`ms.months${months}`)]);
  put(
    form,
    field("ms.sku", { name: "sku", options: goods.map((one) => [one.sku, nameOf(one)]), required: true, "data-testid": "plan-sku" }),
    field("ms.length", { name: "months", options: lengths }),
    field("ms.percent", { name: "percent", type: "number", min: "50", max: "100", value: "95", required: true, "data-testid": "plan-percent" }),
    field("ms.pointsPercent", { name: "points", type: "number", min: "100", max: "1000", step: "10", value: "100", required: true }),
    yuanField("ms.couponAmount", "coupon", { min: "0", value: "0" }),
    yuanField("ms.threshold", "threshold", { min: "0", value: "0" }),
    field("ms.refund", { name: "refund", options: [["prorata", t("ms.prorata")], ["none", t("ms.none")]] }),
    h("button.primary", { type: "submit", "data-t": "ms.sell", "data-testid": "plan-sell" }, t("ms.sell")),
  );
  onSend(form, async () => {
    const body = {
      months: whole(form, "months"),
      price_percent: whole(form, "percent"),
      points_percent: whole(form, "points"),
      coupon_amount: fen(form, "coupon"),
      coupon_threshold: fen(form, "threshold"),
      refund: form.elements.refund.value,
    };
    await api.request("PUT", `/memberships/plans/${encodeURIComponent(form.elements.sku.value)}`, body);
    await drawPlans(api);
  });
}
