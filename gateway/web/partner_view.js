/** What both sides of a partnership see: what was agreed, the codes, a month's statement. */

import { h, put, sheet, toast } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, explain, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { openPoster } from "./merchant_poster.js";
import { cell, table } from "./tables.js";

addStrings({
  "pt.month": ["月份", "Month"],
  "pt.statement": ["对账单", "Statement"],
  "pt.codes": ["推广码", "Codes"],
  "pt.noCodes": ["还没有推广码", "No codes yet"],
  "pt.uses": ["{uses} 次打开", "opened {uses} times"],
  "pt.visitors": ["新到访", "New visitors"],
  "pt.sales": ["成交", "Sales"],
  "pt.base": ["计算基数", "Base"],
  "pt.share": ["分成", "Share"],
  "pt.back": ["退回", "Given back"],
  "pt.state": ["状态", "State"],
  "pt.goods": ["商品", "Goods"],
  "pt.buyer": ["买家", "Buyer"],
  "pt.time": ["时间", "Time"],
  "pt.noSales": ["这个月没有成交", "No sales in this month"],
  "pt.sumsOnly": ["合同约定只看合计", "The contract shows sums alone"],
  "pt.balance": ["余额", "Balance"],
  "pt.pending": ["待付款", "unpaid"],
  "pt.frozen": ["退货期内", "in the return window"],
  "pt.available": ["可结算", "to settle"],
  "pt.leaving": ["结算中", "being settled"],
  "pt.void": ["已取消", "cancelled"],
  "pt.none": ["无分成", "no share"],
  "pt.held": ["待核查", "being looked at"],
  "pt.settlements": ["结算记录", "Settlements"],
  "pt.settle": ["申请结算", "Ask for settlement"],
  "pt.settled": ["已提交，等商家审核", "Sent: the shop decides"],
  "pt.amount": ["金额（元），最多 {most}", "Amount in yuan, at most {most}"],
  "pt.from": ["{since} 起", "from {since}"],
  "pt.fromTo": ["{since} 至 {until}", "{since} to {until}"],
  "pt.days": ["到店扫码后 {days} 天内购买", "purchases within {days} days of a visit"],
  "pt.first": ["只计首单", "first purchase only"],
  "pt.capOrder": ["单笔封顶 {cap}", "at most {cap} an order"],
  "pt.capMonth": ["每月封顶 {cap}", "at most {cap} a month"],
  "pt.bears": ["来客券成本对方担 {part}", "bears {part} of coupons"],
  "pt.coupons": ["来客优惠券", "Coupons of visitors"],
  "pt.coupon": ["优惠券", "Coupon"],
  "pt.took": ["券抵扣", "Taken off"],
  "pt.borne": ["其中合作方承担", "Borne by the partner"],
  "pt.offer": ["已发 {issued} / {total} · 已用 {used} · 抵扣 {took} · 合作方承担 {borne}", "{issued} of {total} given · {used} used · {took} off · partner bears {borne}"],
  "pt.over": ["满 {threshold} 减 {amount}", "{amount} off {threshold}"],
  "pt.any": ["立减 {amount}", "{amount} off"],
  "pt.offerEnded": ["已结束", "ended"],
  "pt.rate.shop": ["全店", "all goods"],
  "pt.rate.sku": ["{target}", "{target}"],
  "pt.rate.category": ["类目 {target}", "category {target}"],
  "pt.c.proposed": ["待对方同意", "proposed"],
  "pt.c.agreed": ["生效", "agreed"],
  "pt.c.refused": ["未同意", "refused"],
  "pt.c.closed": ["已结束", "closed"],
  "pt.why.no_contract": ["没有生效的合同", "no contract stood"],
  "pt.why.own": ["本人购买", "their own purchase"],
  "pt.why.not_first": ["不是首单", "not a first purchase"],
  "pt.why.no_rate": ["未约定比例", "no rate for these goods"],
  "pt.why.order_cap": ["单笔封顶", "cap of an order"],
  "pt.why.month_cap": ["当月封顶", "cap of the month"],
  "pt.why.cap": ["佣金总上限", "the shop's cap"],
  "pt.w.requested": ["待审核", "asked for"],
  "pt.w.approved": ["已同意", "approved"],
  "pt.w.transferring": ["转账中", "on its way"],
  "pt.w.paid": ["已打款", "paid"],
  "pt.w.rejected": ["已驳回", "refused"],
  "pt.w.failed": ["失败", "failed"],
});

const percent = (bp) => `${(bp / 100).toFixed(2).replace(/\.?0+$/, "")} %`;

/** @returns {string} a contract in one line */
export function contractWords(one) {
  return [
    one.rates.map((rate) => `${t(`pt.rate.${rate.scope}`, { target: rate.title || rate.target })} ${percent(rate.bp)}`).join("、"),
    t("pt.days", { days: one.days }),
    one.first_only && t("pt.first"),
    one.cap_order && t("pt.capOrder", { cap: money(one.cap_order) }),
    one.cap_month && t("pt.capMonth", { cap: money(one.cap_month) }),
    one.coupon_bp && t("pt.bears", { part: percent(one.coupon_bp) }),
    one.until ? t("pt.fromTo", one) : t("pt.from", one),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @returns {HTMLElement} what is unpaid, frozen, to settle, being settled */
export function balances(row) {
  return h(
    "div.balances",
    { "data-testid": "partner-balances" },
    ["pending", "frozen", "available", "leaving"].map((name) => h("div", { data: { kind: name } }, h("strong.num", {}, money(row[name])), h("span.faint", {}, t(`pt.${name}`)))),
  );
}

/** The partner's codes, each with its poster. */
export async function drawCodes(api, place, path) {
  const links = await api.get(`${path}/links`);
  const line = (one) =>
    h(
      "article.mine-order",
      { "data-testid": "partner-code", data: { token: one.token } },
      h("div", {}, h("strong", {}, one.channel || t("pt.codes")), h("span.faint", {}, `${t("pt.uses", { uses: one.uses })} · ${when(one.created)}`)),
      h("div", {}, h("a.small", { href: one.url, target: "_blank", rel: "noopener" }, t("m.open")), doer(t("m.poster"), () => openPoster(api, one), { "data-testid": "partner-poster" })),
    );
  put(place, h("h3", {}, t("pt.codes")), links.length ? links.map(line) : h("p.empty", {}, t("pt.noCodes")));
}

/**
 * Coupons of a partner's visitors, with what became of them.
 * @param {(offer: any) => any} [end] gives what ends an open one
 */
export async function drawOffers(api, place, path, end = () => null) {
  const offers = await api.get(`${path}/coupons`);
  const words = (one) => t(one.threshold ? "pt.over" : "pt.any", { amount: money(one.amount), threshold: money(one.threshold) });
  const sums = (one) => t("pt.offer", { ...one, took: money(one.took), borne: money(one.borne) });
  const line = (one) =>
    h(
      "article.mine-order",
      { "data-testid": "partner-offer", data: { offer: one.offer, open: String(one.open) } },
      h("div", {}, h("strong", {}, `${one.title} · ${words(one)}`), h("span.chip", {}, one.open ? one.reason : t("pt.offerEnded")), h("span.faint", {}, sums(one))),
      h("div", {}, one.open ? end(one) : null),
    );
  put(place, offers.length ? [h("h3", {}, t("pt.coupons")), ...offers.map(line)] : null);
}

function saleRow(one, whole) {
  const note = one.held ? t("pt.held") : one.why ? t(`pt.why.${one.why}`) : "";
  return h(
    "tr",
    { "data-testid": "partner-sale", data: { sale: one.sale } },
    cell("pt.time", when(one.at)),
    cell("pt.goods", one.title || one.receipt || `…${one.sale.slice(-6)}`),
    cell("pt.buyer", one.name || (whole ? `…${one.person.slice(-6)}` : "")),
    cell("pt.base", money(one.base)),
    cell("pt.share", h("strong", {}, money(one.amount)), one.reversed ? h("span.faint", {}, ` −${money(one.reversed)}`) : null),
    cell("pt.state", h("span.chip", {}, t(`pt.${one.state}`)), note && h("span.faint", {}, ` ${note}`)),
  );
}

/** A month's statement with what can be done there: choose another, take it as CSV, ask for settlement. */
export async function drawStatement(api, place, path, { month = "", whole = false, settle = null } = {}) {
  const found = await api.get(`${path}/statement${month ? `?month=${month}` : ""}`);
  const again = (other) => drawStatement(api, place, path, { month: other, whole, settle }).catch((error) => toast(explain(error), "error"));
  const input = h("input", { type: "month", value: found.month, "aria-label": t("pt.month"), "data-testid": "partner-month", on: { change: (event) => event.target.value && again(event.target.value) } });
  const csv = doer("CSV", async () => save(await fetched(api, `${path}/statement?month=${found.month}&format=csv`), `partner-${found.month}.csv`), { "data-testid": "partner-csv" });
  const sums = [
    ["pt.visitors", String(found.visitors)],
    ["pt.sales", String(found.orders)],
    ["pt.base", money(found.base)],
    ["pt.share", money(found.amount)],
    ["pt.back", money(found.reversed)],
    ...(found.discount ? [["pt.took", money(found.discount)], ["pt.borne", money(found.borne - found.borne_back)]] : []),
  ];
  const most = found.closing.available;
  const label = t("pt.amount", { most: money(most) });
  const amount = h("input", { type: "number", min: "0.01", step: "0.01", inputmode: "decimal", value: (most / 100).toFixed(2), "aria-label": label, title: label, "data-testid": "partner-amount" });
  const ask = async () => {
    await settle(Math.round(Number.parseFloat(amount.value || "0") * 100));
    toast(t("pt.settled"), "good");
    await again(found.month);
  };
  put(
    place,
    h("div.form-foot", {}, input, csv, settle && most > 0 ? [amount, doer(t("pt.settle"), ask, { "data-testid": "partner-settle" })] : null),
    h("div.balances", { "data-testid": "partner-sums" }, sums.map(([label, value]) => h("div", {}, h("strong.num", {}, value), h("span.faint", {}, t(label))))),
    found.sales === null
      ? h("p.empty", {}, t("pt.sumsOnly"))
      : found.sales.length
        ? h("div.table-frame", {}, table(["pt.time", "pt.goods", "pt.buyer", "pt.base", "pt.share", "pt.state"], found.sales.map((one) => saleRow(one, whole))))
        : h("p.empty", {}, t("pt.noSales")),
    found.coupons?.length
      ? [
          h("h3", {}, t("pt.coupons")),
          h(
            "div.table-frame",
            {},
            table(
              ["pt.time", "pt.coupon", "pt.took", "pt.borne"],
              found.coupons.map((one) =>
                h(
                  "tr",
                  { "data-testid": "partner-coupon", data: { sale: one.sale } },
                  cell("pt.time", when(one.at)),
                  cell("pt.coupon", one.title),
                  cell("pt.took", money(one.took)),
                  cell("pt.borne", h("strong", {}, money(one.borne)), one.back ? h("span.faint", {}, ` −${money(one.back)}`) : null),
                ),
              ),
            ),
          ),
        ]
      : null,
    found.settlements.length ? h("h3", {}, t("pt.settlements")) : null,
    found.settlements.map((one) =>
      h("p", { "data-testid": "partner-settlement", data: { state: one.state } }, `${when(one.created)} · ${money(one.amount)} `, h("span.chip", {}, t(`pt.w.${one.state}`)), h("span.faint", {}, ` ${one.number || one.reason || ""}`)),
    ),
  );
  return found;
}

/** The statement in a sheet, for consoles. */
export async function openStatement(api, title, path, more) {
  const window = sheet({ title, testid: "partner-sheet", closeLabel: t("common.close") });
  const statement = h("div", {});
  const codes = h("div", {});
  put(window.body, codes, h("h3", {}, t("pt.statement")), statement);
  try {
    await Promise.all([drawCodes(api, codes, path), drawStatement(api, statement, path, more)]);
  } catch (error) {
    toast(explain(error), "error");
    window.close();
  }
}
