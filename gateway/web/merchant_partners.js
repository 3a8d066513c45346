/** Partners of other trades: contracts, codes, statements and settlements, and whose partner the shop is itself. */

import { $, h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, explain, money, t } from "./i18n.js";
import { CATEGORY } from "./merchant_products.js";
import { contractWords, drawOffers, openStatement } from "./partner_view.js";
import { newKey } from "./siyu.js";

addStrings({
  "m.partners": ["异业合作", "Partners"],
  "pm.none": ["还没有合作商家。健身房、咖啡馆、理发店替你展示推广码，按约定分成。", "No partners yet: a gym, a café, a hairdresser shows your code and gets a share."],
  "pm.add": ["登记合作商家", "Record a partner"],
  "pm.name": ["名称", "Name"],
  "pm.trade": ["行业", "Trade"],
  "pm.counterpart": ["本平台商家编号（选填）", "Merchant id on this server (optional)"],
  "pm.owner": ["经营者的客户编号（选填，防自买）", "Who runs it: customer id (optional)"],
  "pm.rate": ["全店分成（%）", "Share of all goods (%)"],
  "pm.sku": ["某商品另定：商品编号", "A SKU of its own"],
  "pm.skuRate": ["该商品分成（%）", "Its share (%)"],
  "pm.category": ["某类目另定：类目", "A category of its own"],
  "pm.categoryRate": ["该类目分成（%）", "Its share (%)"],
  "pm.days": ["扫码后几天内购买计入", "Days after a visit that count"],
  "pm.first": ["计入范围", "What counts"],
  "pm.every": ["期内每一单", "every purchase"],
  "pm.capOrder": ["单笔封顶（元，0 不限）", "Cap of an order (yuan, 0: none)"],
  "pm.capMonth": ["每月封顶（元，0 不限）", "Cap of a month (yuan, 0: none)"],
  "pm.bears": ["来客优惠券成本由对方承担（%）", "Of visitors' coupons they bear (%)"],
  "pm.coupon": ["给来客发券", "A coupon for visitors"],
  "pm.c.title": ["券名称", "Name"],
  "pm.c.reason": ["理由（店庆、上新…）", "Reason (opening, new goods …)"],
  "pm.c.amount": ["减（元）", "Off (yuan)"],
  "pm.c.threshold": ["满（元，0 无门槛）", "On goods of (yuan, 0: any)"],
  "pm.c.total": ["张数", "How many"],
  "pm.c.budget": ["预算（元）", "Budget (yuan)"],
  "pm.c.days": ["发放几天", "Given for days"],
  "pm.c.valid": ["领后几天有效", "Good for days"],
  "pm.c.audience": ["给谁", "For whom"],
  "pm.c.all": ["所有来客", "all visitors"],
  "pm.c.new": ["从未购买过的来客", "visitors who never bought"],
  "pm.c.room": ["直播间", "Room"],
  "pm.c.save": ["开始发放", "Begin"],
  "pm.c.end": ["结束发放", "End"],
  "pm.until": ["到期日（空为长期）", "Until (empty: open)"],
  "pm.sees": ["对方能看到", "The partner sees"],
  "pm.rows": ["逐单（买家脱敏）", "its sales, buyers masked"],
  "pm.sums": ["只看合计", "sums alone"],
  "pm.note": ["合同编号或备注", "Contract number or note"],
  "pm.save": ["登记", "Record"],
  "pm.code": ["新推广码", "New code"],
  "pm.where": ["放在哪里？（前台、海报…）", "Where will it hang? (counter, poster …)"],
  "pm.made": ["推广码已生成", "The code is there"],
  "pm.key": ["给对方的查看链接", "Their own page"],
  "pm.keyShown": ["只显示一次，请复制给对方（旧链接已失效）：", "Shown once: copy it for them (the former one is void):"],
  "pm.open": ["推广码与对账", "Codes and statement"],
  "pm.paused": ["暂停", "Pause"],
  "pm.active": ["恢复", "Resume"],
  "pm.ended": ["结束合作", "End"],
  "pm.endSure": ["结束后不能恢复，确定吗？", "This is for good. End it?"],
  "pm.agree": ["同意", "Agree"],
  "pm.refuse": ["不同意", "Refuse"],
  "pm.ours": ["我们是对方的合作商家", "Whose partner we are"],
  "pm.s.active": ["合作中", "active"],
  "pm.s.paused": ["已暂停", "paused"],
  "pm.s.ended": ["已结束", "ended"],
  "pm.brought": ["带来 {visitors} 人 · {sales} 单 · 可结算 {available}", "brought {visitors} · {sales} sales · {available} to settle"],
});

const PATH = "/partners";

/** Draw the panel. */
export async function drawPartners(api) {
  const [partners, partnerships, rooms] = await Promise.all([api.get(PATH), api.get("/partnerships"), api.get("/rooms")]);
  const again = () => drawPartners(api);
  put($("pm-partners"), partners.length ? partners.map((one) => partnerRow(api, one, rooms.rooms || rooms.items || rooms, again)) : h("p.empty", {}, t("pm.none")));
  put($("pm-ours"), partnerships.length ? [h("h3", {}, t("pm.ours")), ...partnerships.map((one) => partnershipRow(api, one, again))] : null);
}

function head(one, name) {
  return [
    h("strong", {}, name),
    one.trade && h("span.chip", {}, one.trade),
    h("span.chip", { data: { state: one.state } }, t(`pm.s.${one.state}`)),
    h("span.faint", {}, t("pm.brought", { ...one, available: money(one.available) })),
    one.contracts.slice(0, 2).map((contract) => h("span.faint", { "data-testid": "contract", data: { state: contract.state } }, `${t(`pt.c.${contract.state}`)}：${contractWords(contract)}`)),
  ].flat();
}

function partnerRow(api, one, rooms, again) {
  const path = `${PATH}/${encodeURIComponent(one.partner)}`;
  const end = () => {
    const sure = h("span.sure", {}, h("span.faint", {}, t("pm.endSure")), set("ended"));
    return h("details.inline", {}, h("summary", {}, t("pm.ended")), sure);
  };
  const set = (state) =>
    doer(
      t(`pm.${state}`),
      async () => {
        await api.request("PATCH", path, { state });
        await again();
      },
      { "data-testid": `partner-${state}` },
    );
  const channel = h("input", { type: "text", maxlength: 64, placeholder: t("pm.where"), "aria-label": t("pm.where"), "data-testid": "partner-channel" });
  const code = async () => {
    await api.post(`${path}/links`, { room: rooms[0].room, channel: channel.value.trim() || one.name });
    toast(t("pm.made"), "good");
    await openStatement(api, one.name, path, { whole: true, settle });
  };
  const settle = (amount) => api.post(`${path}/settlements`, { amount }, newKey());
  const place = h("p", { hidden: true, "data-testid": "partner-key-shown" });
  const key = async () => {
    const made = await api.post(`${path}/key`);
    place.hidden = false;
    put(place, h("span.faint", {}, t("pm.keyShown")), " ", h("a", { href: made.url, target: "_blank", rel: "noopener", "data-testid": "partner-key-url" }, made.url));
  };
  const offers = h("div", { "data-testid": "partner-offers" });
  const showOffers = () => drawOffers(api, offers, path, (offer) => doer(t("pm.c.end"), () => api.request("DELETE", `${path}/coupons/${encodeURIComponent(offer.offer)}`).then(showOffers), { "data-testid": "partner-offer-end" }));
  const giving = h("details.inline", { on: { toggle: () => giving.open && showOffers().catch((error) => toast(explain(error), "error")) } }, h("summary", { "data-testid": "partner-coupon-open" }, t("pm.coupon")), one.state === "active" && rooms.length ? couponForm(api, path, rooms, showOffers) : null, offers);
  const open = () => openStatement(api, one.name, path, { whole: true, settle });
  return h(
    "article.mine-order",
    { "data-testid": "partner-row", data: { partner: one.partner, state: one.state } },
    h("div", {}, head(one, one.name), place, giving),
    h(
      "div",
      {},
      doer(t("pm.open"), open, { "data-testid": "partner-open" }),
      one.state === "active" && rooms.length ? channel : null,
      one.state === "active" && rooms.length ? doer(t("pm.code"), code, { "data-testid": "partner-code-new" }) : null,
      doer(t("pm.key"), key, { "data-testid": "partner-key" }),
      one.state === "active" ? set("paused") : null,
      one.state === "paused" ? set("active") : null,
      one.state === "ended" ? null : end(),
    ),
  );
}

/** A coupon for those who come by the partner's code. */
function couponForm(api, path, rooms, again) {
  const form = h(
    "form.form-grid",
    { "data-testid": "partner-coupon-form" },
    field("pm.c.room", { name: "room", options: rooms.map((room) => [room.room, room.title]) }),
    field("pm.c.title", { name: "title", maxlength: 60, required: true }),
    field("pm.c.reason", { name: "reason", maxlength: 60, required: true }),
    yuanField("pm.c.amount", "amount", { required: true }),
    yuanField("pm.c.threshold", "threshold", { min: "0", value: "0" }),
    countField("pm.c.total", "total", { value: "100" }),
    yuanField("pm.c.budget", "budget", { required: true }),
    countField("pm.c.days", "days", { value: "30", max: "366" }),
    countField("pm.c.valid", "valid", { value: "7", max: "365" }),
    field("pm.c.audience", { name: "audience", options: [["all", t("pm.c.all")], ["new", t("pm.c.new")]] }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "partner-coupon-save" }, t("pm.c.save"))),
  );
  onSend(form, async () => {
    const { room, title, reason, audience } = form.elements;
    const wanted = { room: room.value, title: title.value.trim(), reason: reason.value.trim(), audience: audience.value };
    const sums = { amount: fen(form, "amount"), threshold: fen(form, "threshold"), budget: fen(form, "budget") };
    const counts = { total: whole(form, "total"), days: whole(form, "days"), valid_s: whole(form, "valid") * 86_400 };
    await api.post(`${path}/coupons`, { ...wanted, ...sums, ...counts }, newKey());
    form.reset();
    await again();
  });
  return form;
}

function partnershipRow(api, one, again) {
  const path = `/partnerships/${encodeURIComponent(one.partner)}`;
  const proposed = one.contracts.find((contract) => contract.state === "proposed");
  const decide = (decision, text) =>
    doer(
      t(text),
      async () => {
        await api.post(`/partner-contracts/${encodeURIComponent(proposed.contract)}`, { decision });
        await again();
      },
      { "data-testid": `contract-${decision}` },
    );
  const settle = (amount) => api.post(`${path}/settlements`, { amount }, newKey());
  return h(
    "article.mine-order",
    { "data-testid": "partnership-row", data: { partner: one.partner, state: one.state } },
    h("div", {}, head(one, one.shop)),
    h("div", {}, proposed ? [decide("agreed", "pm.agree"), decide("refused", "pm.refuse")] : null, doer(t("pm.open"), () => openStatement(api, one.shop, path, { settle }), { "data-testid": "partnership-open" })),
  );
}

const bp = (form, name) => Math.round(Number.parseFloat(form.elements[name].value || "0") * 100);

/** The form of a partner and its first contract. */
export function fillPartners(api) {
  const form = $("partner-form");
  const share = (label, name, more) => field(label, { name, type: "number", min: "0.01", max: "100", step: "0.01", inputmode: "decimal", ...more });
  put(
    form,
    field("pm.name", { name: "name", maxlength: 60, required: true }),
    field("pm.trade", { name: "trade", maxlength: 40 }),
    share("pm.rate", "rate", { required: true, value: "5" }),
    field("pm.sku", { name: "sku", maxlength: 64 }),
    share("pm.skuRate", "skuRate", {}),
    field("pm.category", { ...CATEGORY, name: "category" }),
    share("pm.categoryRate", "categoryRate", {}),
    countField("pm.days", "days", { value: "30", max: "365" }),
    field("pm.first", { name: "first", options: [["", t("pm.every")], ["1", t("pt.first")]] }),
    yuanField("pm.capOrder", "capOrder", { min: "0", value: "0" }),
    yuanField("pm.capMonth", "capMonth", { min: "0", value: "0" }),
    share("pm.bears", "bears", { min: "0", value: "0" }),
    field("pm.until", { name: "until", type: "date" }),
    field("pm.sees", { name: "sees", options: [["rows", t("pm.rows")], ["sums", t("pm.sums")]] }),
    field("pm.counterpart", { name: "counterpart", maxlength: 64 }),
    field("pm.owner", { name: "owner", maxlength: 64 }),
    field("pm.note", { name: "note", maxlength: 200, wide: true }),
    h("button.primary", { type: "submit", "data-t": "pm.save" }, t("pm.save")),
  );
  onSend(form, async () => {
    const { name, trade, sku, category, until, sees, counterpart, owner, note, first } = form.elements;
    const rates = [{ scope: "shop", bp: bp(form, "rate") }];
    if (sku.value.trim()) rates.push({ scope: "sku", target: sku.value.trim(), bp: bp(form, "skuRate") });
    if (category.value.trim()) rates.push({ scope: "category", target: category.value.trim(), bp: bp(form, "categoryRate") });
    await api.post(PATH, {
      name: name.value.trim(),
      trade: trade.value.trim(),
      counterpart: counterpart.value.trim() || null,
      owner: owner.value.trim() || null,
      contract: {
        rates,
        days: whole(form, "days"),
        first_only: first.value === "1",
        cap_order: fen(form, "capOrder"),
        cap_month: fen(form, "capMonth"),
        coupon_bp: bp(form, "bears"),
        until: until.value || null,
        sees: sees.value,
        note: note.value.trim(),
      },
    });
    form.reset();
    await drawPartners(api);
  });
}
