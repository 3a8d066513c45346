/** My orders and coupons. */

import { rows } from "./api.js";
import { h, put, sheet, toast } from "./dom.js";
import { explain, money, t, when } from "./i18n.js";
import { advice } from "./view_advice.js";
import { invoiceButton } from "./view_invoice.js";
import { mallRow } from "./mall.js";
import { presaleNote, tooEarly } from "./presale.js";
import { price, worthTag } from "./view_cards.js";
import { earnings } from "./view_earn.js";
import { afterSaleRows } from "./view_aftersale.js";
import { eventsCard } from "./view_events.js";
import { creditCard } from "./view_credit.js";
import { makingRow, picturesOf, requestsCard, wishesOf } from "./view_custom.js";
import { membershipCard } from "./view_membership.js";
import { passRow } from "./view_passes.js";
import { privacy } from "./view_privacy.js";
import { ledStations } from "./stations.js";
import { helping } from "./view_helping.js";
import { myGroups } from "./view_groups.js";
import { memberCode } from "./view_stores.js";
import { openRepay } from "./view_repay.js";
import { walletCard } from "./view_wallet.js";

/**
 * Open the sheet and load it.
 * @param {{api: import("./api.js").Api, room: string, pay: (order: any) => void, now: () => number,
 *   exchange: (item: any) => void, buy: (item: any) => void}} options
 */
export async function openMine({ api, room, pay, now, exchange, buy }) {
  const window = sheet({ title: t("me.title"), testid: "me-sheet", closeLabel: t("common.close") });
  put(window.body, h("p.empty", {}, t("common.loading")));

  async function load() {
    try {
      const [orders, coupons, member, passes, mall, stations, memberships, plans, events, tickets, requests, credit, afterSales] = await Promise.all([
        api.get("/orders"),
        api.get("/coupons"),
        api.get("/member"),
        api.get("/passes"),
        api.get("/mall"),
        api.get("/stations"),
        api.get("/memberships"),
        api.get("/memberships/plans"),
        api.get("/events"),
        api.get("/tickets"),
        api.get("/custom/requests"),
        api.get("/credit/mine"),
        api.get("/after-sales?limit=200"),
      ]);
      const take = (item) => leaveFor(buy, item);
      const paid = [
        creditCard(credit, () => openRepay(api, credit, load)),
        membershipCard(memberships, plans, now(), take),
        eventsCard(api, events, tickets, now(), { buy: take, again: load }),
        requestsCard(api, room, rows(requests, "requests"), { buy: take, again: load }),
      ];
      draw(rows(orders, "orders"), rows(coupons, "coupons"), member, rows(passes, "passes"), rows(mall, "mall"), rows(stations, "stations"), paid, afterSales.items);
    } catch (error) {
      put(window.body, h("p.empty", {}, explain(error)));
    }
  }

  async function cancel(order) {
    const lost = order.presale?.part === "balance" && order.presale.missed === "keep";
    if (lost && !globalThis.confirm(t("presale.giveUp"))) return;
    try {
      await api.post(`/orders/${encodeURIComponent(order.order)}/cancel`);
    } catch (error) {
      toast(explain(error), "error");
    }
    await load();
  }

  function payNow(order) {
    window.close();
    pay(order);
  }

  function leaveFor(open, item) {
    window.close();
    open(item);
  }

  const takeOut = (item) => leaveFor(exchange, item);

  function draw(orders, coupons, member, passes, mall, stations, paid, afterSales) {
    put(
      window.body,
      walletCard(api, member, load),
      paid,
      ledStations(api, stations, now()),
      mall.length ? [h("h3", {}, t("mall.title")), mall.map((item) => mallRow(item, member.points, takeOut))] : null,
      passes.length ? [h("h3", {}, t("pass.mine")), passes.map(passRow)] : null,
      h("h3", {}, t("me.orders")),
      orders.length
        ? orders.map((order) => orderRow(api, order, afterSales, payNow, cancel, load, now()))
        : h("p.empty", {}, t("me.noOrders")),
      h("h3", {}, t("me.coupons")),
      coupons.length ? coupons.map(couponRow) : h("p.empty", {}, t("me.noCoupons")),
      advice(api, room),
      helping(api),
      myGroups(api),
      memberCode(api),
      earnings(api),
      privacy(api),
    );
  }

  await load();
}

const PARTS = { deposit: "presale.partDeposit", balance: "presale.partBalance" };

function part(order) {
  return order.presale ? [t(PARTS[order.presale.part])] : [];
}

function orderRow(api, order, afterSales, pay, cancel, again, now) {
  const early = tooEarly(order, now);
  return h(
    "article.mine-order",
    { "data-testid": "my-order", data: { status: order.status } },
    h(
      "div",
      {},
      h("strong", {}, (order.lines || []).map((line) => `${line.title} × ${line.quantity}`).join("、")),
      h("span.faint", {}, [...part(order), when(order.created), t(`status.${order.status}`)].join(" · ")),
      order.presale?.part === "balance" && order.status === "pending" ? presaleNote({ ...order.presale, balance: order.due }) : null,
      (order.lines || [])
        .filter((line) => line.wishes?.length)
        .map((line) => [h("span.faint", {}, wishesOf(line)), picturesOf(api, line)]),
      order.delivery?.code && order.fulfilment === "open"
        ? h("span.pickup-code", {}, t("order.pickupCode", { code: order.delivery.code }))
        : null,
      order.delivery?.day ? h("span.faint", {}, t("station.fetch", order.delivery)) : null,
    ),
    price(order.amount),
    order.status === "pending" &&
      h(
        "span.mine-actions",
        {},
        h("button.quiet", { type: "button", on: { click: () => cancel(order) } }, t("me.cancel")),
        early
          ? h("small", { "data-testid": "balance-later" }, t("presale.notYet", { time: when(order.presale.opens) }))
          : h("button.buy", { type: "button", on: { click: () => pay(order) } }, t("me.pay")),
      ),
    makingRow(api, order, again),
    invoiceButton(api, order),
    afterSaleRows(api, order, afterSales, again),
  );
}

function couponRow(coupon) {
  const state = coupon.state || "unused";
  const condition = coupon.threshold ? t("drop.over", { threshold: money(coupon.threshold) }) : t("drop.any");
  return h(
    "article.mine-coupon",
    { "data-testid": "my-coupon", data: { state } },
    h("div.ticket-worth", {}, worthTag(coupon), h("small", {}, condition)),
    h(
      "div",
      {},
      h("strong", {}, [coupon.reason, coupon.title].filter(Boolean).join(" · ")),
      h("span.faint", {}, t("me.until", { time: when(coupon.expires) })),
    ),
    h("span.chip", {}, t(`coupon.${state}`)),
  );
}
