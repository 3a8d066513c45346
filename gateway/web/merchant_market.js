/** The market: what others offer, what we may sell or let others sell, orders to send, and what is owed. */

import { $, h, put, toast } from "./dom.js";
import { doer, fen, field, onSend, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";

addStrings({
  "m.market": ["分销市场", "Market"],
  "mk.offers": ["供应商的货源", "What suppliers offer"],
  "mk.noOffers": ["还没有货源", "Nothing is offered yet"],
  "mk.grants": ["授权", "Grants"],
  "mk.orders": ["代发订单", "Orders to send"],
  "mk.debts": ["往来账", "Owed"],
  "mk.offer": ["供货", "Offer"],
  "mk.supply": ["供货价（元）", "Supply price (yuan)"],
  "mk.least": ["最低零售价（元）", "Least price (yuan)"],
  "mk.note": ["说明", "Note"],
  "mk.apply": ["申请分销", "Apply"],
  "mk.applied": ["已申请", "Applied for"],
  "mk.terms": ["供货 {supply}，零售不低于 {least}", "{supply} a unit, sold for {least} at least"],
  "mk.granted": ["同意", "Grant"],
  "mk.refused": ["拒绝", "Refuse"],
  "mk.revoked": ["收回", "Revoke"],
  "mk.list": ["上架", "Put on sale"],
  "mk.price": ["零售价（元）", "Price (yuan)"],
  "mk.units": ["拨给数量（负数收回）", "Units to give over (below 0: back)"],
  "mk.allot": ["拨货", "Give units"],
  "mk.send": ["发货", "Send"],
  "mk.carrier": ["快递公司", "Carrier"],
  "mk.number": ["单号", "Number"],
  "mk.settle": ["登记收款", "Money came"],
  "mk.amount": ["金额（元）", "Amount (yuan)"],
  "mk.state.applied": ["待审核", "applied"],
  "mk.state.granted": ["已授权", "granted"],
  "mk.state.refused": ["已拒绝", "refused"],
  "mk.state.revoked": ["已收回", "revoked"],
  "mk.state.open": ["待发货", "to send"],
  "mk.state.sent": ["已发货", "sent"],
  "mk.state.cancelled": ["已取消", "cancelled"],
  "mk.side.supplier": ["供应商", "as supplier"],
  "mk.side.channel": ["渠道", "as channel"],
  "mk.kind.supply_owed": ["应付", "we owe"],
  "mk.kind.supply_due": ["应收", "they owe us"],
  "mk.units.of": ["已拨 {allotted}，可售 {free}", "{allotted} given, {free} to sell"],
});

const row = (testid, state, left, ...right) =>
  h("article.mine-order", { "data-testid": testid, data: { state } }, h("div", {}, left), h("div", {}, right));
const yuan = (text) => Math.round(Number.parseFloat(text || "0") * 100);

/** Draw the panel. */
export async function drawMarket(api) {
  const [offers, grants, orders, debts] = await Promise.all([
    api.get("/market/offers?limit=50"),
    api.get("/market/grants"),
    api.get("/market/orders?limit=50"),
    api.get("/market/debts"),
  ]);
  const again = () => drawMarket(api);
  put($("mk-offers"), offers.items.length ? offers.items.map((one) => offerRow(api, one, again)) : h("p.empty", {}, t("mk.noOffers")));
  put($("mk-grants"), grants.length ? [h("h3", {}, t("mk.grants")), grants.map((one) => grantRow(api, one, again))].flat() : null);
  put($("mk-orders"), orders.items.length ? [h("h3", {}, t("mk.orders")), orders.items.map((one) => dropRow(api, one, again))].flat() : null);
  put($("mk-debts"), debts.length ? [h("h3", {}, t("mk.debts")), debts.map((one) => debtRow(api, one, again))].flat() : null);
}

function offerRow(api, one, again) {
  const apply = async () => {
    await api.post(`/market/offers/${encodeURIComponent(one.offer)}/applications`);
    toast(t("mk.applied"), "good");
    await again();
  };
  return row(
    "offer-row",
    "open",
    [
      h("strong", {}, one.title),
      h("span.faint", {}, `${one.supplier_name} · ${t("mk.terms", { supply: money(one.supply_price), least: money(one.least_price) })} ${one.note}`),
    ],
    doer(t("mk.apply"), apply, { "data-testid": "offer-apply" }),
  );
}

function grantRow(api, one, again) {
  const path = `/market/grants/${encodeURIComponent(one.grant)}`;
  const decide = (decision) =>
    doer(
      t(`mk.${decision}`),
      async () => {
        await api.post(path, { decision });
        await again();
      },
      { "data-testid": `grant-${decision}` },
    );
  const number = (label, testid, send) => {
    const input = h("input", { type: "number", step: "any", "aria-label": t(label), placeholder: t(label), "data-testid": `${testid}-value` });
    const act = async () => {
      await send(input.value);
      await again();
    };
    return [input, doer(t(testid === "grant-list" ? "mk.list" : "mk.allot"), act, { "data-testid": testid })];
  };
  const steps = [];
  if (one.side === "supplier" && one.state === "applied") steps.push(decide("granted"), decide("refused"));
  if (one.side === "supplier" && one.state === "granted") {
    if (one.product) steps.push(...number("mk.units", "grant-allot", (text) => api.post(`${path}/units`, { units: Number.parseInt(text, 10) })));
    steps.push(decide("revoked"));
  }
  if (one.side === "channel" && one.state === "granted" && !one.product) {
    steps.push(...number("mk.price", "grant-list", (text) => api.post(`${path}/listing`, { price: yuan(text) })));
  }
  return row(
    "grant-row",
    one.state,
    [
      h("strong", {}, one.title),
      h("span.chip", {}, t(`mk.side.${one.side}`)),
      h("span.chip", {}, t(`mk.state.${one.state}`)),
      h(
        "span.faint",
        {},
        `${one.side === "supplier" ? one.channel_name : one.supplier_name} · ${t("mk.units.of", { allotted: one.allotted, free: one.free })}`,
      ),
    ],
    steps,
  );
}

function dropRow(api, one, again) {
  const send = async () => {
    const carrier = prompt(t("mk.carrier"));
    const number = carrier && prompt(t("mk.number"));
    if (!number) return;
    await api.post(`/market/orders/${encodeURIComponent(one.drop)}/shipment`, { carrier, number });
    await again();
  };
  const where = one.delivery ? `${one.delivery.name} ${one.delivery.phone} ${one.delivery.address || ""}` : "";
  return row(
    "drop-row",
    one.state,
    [
      h("strong", {}, `${one.title} × ${one.quantity}`),
      h("span.chip", {}, t(`mk.state.${one.state}`)),
      h("span.faint", {}, `${when(one.created)} · …${one.order.slice(-8)} · ${money(one.owed)} ${where} ${one.carrier} ${one.number}`),
    ],
    one.side === "supplier" && one.state === "open" ? doer(t("mk.send"), send, { "data-testid": "drop-send" }) : null,
  );
}

function debtRow(api, one, again) {
  const settle = async () => {
    const amount = yuan(prompt(t("mk.amount")));
    const number = amount && prompt(t("mk.number"));
    if (!number) return;
    await api.post("/market/settlements", { channel: one.merchant, amount, number });
    await again();
  };
  return row(
    "debt-row",
    one.kind,
    [h("strong.num", {}, money(one.amount)), h("span.faint", {}, `${t(`mk.kind.${one.kind}`)} · ${one.name}`)],
    one.kind === "supply_due" && one.amount > 0 ? doer(t("mk.settle"), settle) : null,
  );
}

/** The form of an offer. */
export function fillMarket(api) {
  const form = $("offer-form");
  put(
    form,
    field("m.target", { name: "sku", maxlength: 64, required: true }),
    yuanField("mk.supply", "supply", { required: true }),
    yuanField("mk.least", "least", { required: true }),
    field("mk.note", { name: "note", maxlength: 200 }),
    h("button.primary", { type: "submit", "data-t": "mk.offer" }, t("mk.offer")),
  );
  onSend(form, async () => {
    await api.post("/market/offers", {
      sku: form.elements.sku.value.trim(),
      supply_price: fen(form, "supply"),
      least_price: fen(form, "least"),
      note: form.elements.note.value.trim(),
    });
    form.reset();
    await drawMarket(api);
  });
}
