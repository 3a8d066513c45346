/** Partners of other trades: contracts, codes, statements and settlements, and whose partner the shop is itself. */

import { $, h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t } from "./i18n.js";
import { CATEGORY } from "./merchant_products.js";
import { contractWords, openStatement } from "./partner_view.js";
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
  const open = () => openStatement(api, one.name, path, { whole: true, settle });
  return h(
    "article.mine-order",
    { "data-testid": "partner-row", data: { partner: one.partner, state: one.state } },
    h("div", {}, head(one, one.name), place),
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
        until: until.value || null,
        sees: sees.value,
        note: note.value.trim(),
      },
    });
    form.reset();
    await drawPartners(api);
  });
}
