/** One store: what it offers and when, its stock and prices, units that move, and the orders that wait there. */

import { h, put, sheet, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t } from "./i18n.js";
import { newKey } from "./siyu.js";

const ORDERS_MAX = 200;

addStrings({
  "o.title": ["门店：{name}", "Store: {name}"],
  "o.steer": ["管理", "Manage"],
  "o.offers": ["配送与营业时间", "Ways and hours"],
  "o.express": ["快递发货", "Express"],
  "o.pickup": ["到店自提", "Pick-up"],
  "o.courier": ["同城配送", "Same-city courier"],
  "o.stocked": ["独立库存与价格", "Stock and prices of its own"],
  "o.radius": ["配送半径（米）", "Courier's radius (m)"],
  "o.from": ["每日营业自", "Open each day from"],
  "o.until": ["至（留空为全天）", "until (empty: always)"],
  "o.save": ["保存", "Save"],
  "o.saved": ["已保存", "Saved"],
  "o.stock": ["库存与价格", "Stock and prices"],
  "o.none": ["还没有商品", "No goods here yet"],
  "o.sku": ["商品", "Goods"],
  "o.free": ["可售", "Free"],
  "o.held": ["待付", "Held"],
  "o.sold": ["待取", "Sold"],
  "o.price": ["店内售价", "Price here"],
  "o.offer": ["限时价", "Limited-time"],
  "o.hours": ["限时小时数", "for hours"],
  "o.setPrice": ["改价", "Set the price"],
  "o.quantity": ["件数", "Units"],
  "o.receive": ["入库", "Receive"],
  "o.target": ["调往", "Move to"],
  "o.warehouse": ["总仓", "Warehouse"],
  "o.move": ["调拨", "Move"],
  "o.why": ["原因", "Why"],
  "o.orders": ["待交付订单", "Orders to hand over"],
  "o.noOrders": ["没有待交付的订单", "No orders wait here"],
  "o.code": ["取货码", "Code"],
  "o.hand": ["核销交付", "Hand over"],
  "o.call": ["呼叫骑手", "Send a courier"],
  "o.fee": ["运费 {fee}，约 {km} 公里。呼叫？", "{fee}, about {km} km. Send one?"],
  "o.off": ["取消骑手", "Call it off"],
  "o.e.asked": ["已请求", "asked"],
  "o.e.waiting": ["待接单", "looking for a rider"],
  "o.e.accepted": ["骑手取货中", "rider is coming"],
  "o.e.carried": ["配送中", "on its way"],
  "o.e.back": ["退回中", "coming back"],
  "o.e.delivered": ["已送达", "delivered"],
  "o.e.failed": ["未送成，可改用其他方式", "failed: send it another way"],
});

const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
const minute = (text) => {
  const [hours, minutes] = text.split(":").map(Number);
  return hours * 60 + minutes;
};

/**
 * Open a store's sheet.
 * @param {import("./api.js").Api} api
 * @param {any} store as `GET /outlets` has it
 * @param {any[]} stores all of them
 * @param {() => Promise<any>} changed
 */
export async function openOutlet(api, store, stores, changed) {
  const window = sheet({ title: t("o.title", store), testid: "outlet-sheet", closeLabel: t("common.close") });
  const path = `/outlets/${encodeURIComponent(store.outlet)}`;
  const [terms, stock, orders] = [h("form.form-grid"), h("div"), h("div")];
  put(
    window.body,
    h("h3", {}, t("o.orders")),
    orders,
    h("h3", {}, t("o.offers")),
    terms,
    store.stocked && [h("h3", {}, t("o.stock")), stock],
  );
  fillTerms(api, path, store, terms, changed);
  const again = () => Promise.all([drawOrders(api, store, orders, again), store.stocked && drawStock(api, path, store, stores, stock, again)]);
  await again();
}

function fillTerms(api, path, store, form, changed) {
  const [since, until] = store.hours[0] || [];
  const box = (name) =>
    h("label.coupon-row", {}, h("input", { type: "checkbox", name, checked: store[name] ?? store.offers.includes(name) }), t(`o.${name}`));
  put(
    form,
    ["pickup", "express", "courier", "stocked"].map(box),
    countField("o.radius", "radius", { value: store.radius, max: 100000 }),
    field("o.from", { name: "since", type: "time", value: since === undefined ? "" : clock(since) }),
    field("o.until", { name: "until", type: "time", value: until === undefined ? "" : clock(Math.min(until, 1439)) }),
    h("button.primary", { type: "submit", "data-testid": "outlet-save" }, t("o.save")),
  );
  onSend(form, async () => {
    const { elements } = form;
    const day = elements.since.value && elements.until.value;
    const body = Object.fromEntries(["pickup", "express", "courier", "stocked"].map((one) => [one, elements[one].checked]));
    const hours = day ? Array(7).fill([minute(elements.since.value), minute(elements.until.value)]) : [];
    await api.request("PATCH", path, { ...body, radius: whole(form, "radius"), hours });
    toast(t("o.saved"));
    await changed();
  });
}

async function drawStock(api, path, store, stores, place, again) {
  const [{ items }, shop] = await Promise.all([api.get(`${path}/stock?limit=200`), api.get("/goods?limit=200").catch(() => null)]);
  const names = new Map(items.map((row) => [row.sku, `${row.title} ${row.name}`.trim()]));
  for (const one of shop?.items || []) names.set(one.id, `${one.title} ${one.name}`.trim());
  const options = [...names].map(([sku, name]) => [sku, name]);
  const others = stores.filter((one) => one.stocked && one.mine && one.outlet !== store.outlet);
  const form = h("form.form-grid", { "data-testid": "outlet-stock-form" });
  put(
    form,
    field("o.sku", { name: "sku", options, required: true }),
    countField("o.quantity", "quantity", { value: 1 }),
    field("o.why", { name: "why", maxlength: 200 }),
    h("button.primary", { type: "submit", value: "receive" }, t("o.receive")),
    field("o.target", {
      name: "target",
      options: [...(shop ? [["", t("o.warehouse")]] : []), ...others.map((one) => [one.outlet, one.name])],
    }),
    h("button.quiet", { type: "submit", value: "move" }, t("o.move")),
    yuanField("o.price", "price"),
    yuanField("o.offer", "offer"),
    countField("o.hours", "hours", { value: 24 }),
    h("button.quiet", { type: "submit", value: "price" }, t("o.setPrice")),
  );
  onSend(form, async (button) => {
    const { sku, why, target, price, offer } = form.elements;
    const quantity = whole(form, "quantity");
    if (button === "receive") {
      await api.post(`${path}/stock`, { sku: sku.value, quantity, reason: "received" });
    } else if (button === "move") {
      const move = { sku: sku.value, quantity, source: store.outlet, target: target.value, why: why.value || t("o.move") };
      await api.post("/stock/moves", move, newKey());
    } else {
      const until = Date.now() + whole(form, "hours") * 3600_000;
      const body = { price: price.value ? fen(form, "price") : null, offer: offer.value ? fen(form, "offer") : null };
      await api.request("PUT", `${path}/prices/${encodeURIComponent(sku.value)}`, { ...body, until, why: why.value });
    }
    await again();
  });
  put(place, items.length ? stockTable(items) : h("p.empty", {}, t("o.none")), options.length ? form : null);
}

function stockTable(items) {
  const cell = (label, ...content) => h("td", { "data-label": t(label) }, content);
  const heads = ["o.sku", "o.free", "o.held", "o.sold", "o.price", "o.offer"];
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, t(name))))),
    h(
      "tbody",
      {},
      items.map((row) =>
        h(
          "tr",
          { "data-testid": "outlet-stock", data: { sku: row.sku } },
          cell("o.sku", `${row.title} ${row.name}`.trim()),
          cell("o.free", h("strong.num", {}, String(row.free))),
          cell("o.held", String(row.held)),
          cell("o.sold", String(row.sold)),
          cell("o.price", money(row.price ?? row.shop_price)),
          cell("o.offer", row.offer === null || row.until <= Date.now() ? "—" : money(row.offer)),
        ),
      ),
    ),
  );
}

async function drawOrders(api, store, place, again) {
  const { items } = await api.get(`/orders?limit=${ORDERS_MAX}`);
  const waiting = items.filter(
    (one) => one.delivery?.outlet === store.outlet && one.fulfilment === "open" && ["paid", "partly_refunded"].includes(one.status),
  );
  put(place, waiting.length ? waiting.map((one) => orderRow(api, one, again)) : h("p.empty", {}, t("o.noOrders")));
}

function orderRow(api, order, again) {
  const path = `/orders/${encodeURIComponent(order.order)}`;
  const goods = order.lines.map((line) => `${line.title} × ${line.quantity}`).join("、");
  const { delivery } = order;
  const act = delivery.method === "courier" ? courierButtons(api, path, order, again) : null;
  const code = h("input", { maxlength: 16, size: 8, placeholder: t("o.code"), "aria-label": t("o.code") });
  const hand = async () => {
    await api.post(`${path}/pickup`, { code: code.value.trim() });
    await again();
  };
  return h(
    "p.coupon-row",
    { "data-testid": "outlet-order", data: { order: order.order } },
    h("span", {}, `${delivery.name} · ${goods} · ${t(`o.${delivery.method}`)} `),
    h("span", {}, delivery.method === "pickup" ? [code, doer(t("o.hand"), hand)] : act),
  );
}

function courierButtons(api, path, order, again) {
  const { courier } = order.delivery;
  const running = courier && !["delivered", "failed"].includes(courier.state);
  const call = async () => {
    const quote = await api.get(`${path}/courier/quote`);
    const asked = t("o.fee", { fee: money(quote.fee), km: (quote.distance / 1000).toFixed(1) });
    if (!confirm(asked)) return;
    await api.post(`${path}/courier`, {});
    await again();
  };
  const off = async () => {
    await api.post(`${path}/courier/cancel`, { reason: t("o.off") });
    await again();
  };
  const state = courier ? `${t(`o.e.${courier.state}`)} ${courier.rider} ` : "";
  return [state, running ? doer(t("o.off"), off) : doer(t("o.call"), call, { "data-testid": "courier-call" })];
}
