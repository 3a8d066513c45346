/** What tills took: by store and day, drawers and their counts, and receipts whose takings nobody told of. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";

const DAY_MS = 86400000;
const SHANGHAI_MS = 8 * 3600000;
const DAYS_SHOWN = 7;
const WAITING_SHOWN = 20;
const COUNTS_SHOWN = 10;
const TENDERS = ["cash", "wechat", "alipay", "card", "stored", "other"];
/** Stored value is taken when the member shows their code: nobody writes it down later. */
const BY_HAND = TENDERS.filter((name) => name !== "stored");

addStrings({
  "m.t.takings": ["门店收款（近七天，按入账日）", "Takings (seven days, as booked)"],
  "m.t.day": ["日期", "Day"],
  "m.t.gross": ["应收", "Gross"],
  "m.t.discount": ["折扣", "Discount"],
  "m.t.refunded": ["退款", "Refunded"],
  "m.t.tax": ["税额", "Tax"],
  "m.t.margin": ["毛利", "Margin"],
  "m.t.tenders": ["收款方式", "Tenders"],
  "m.t.cash": ["现金", "cash"],
  "m.t.wechat": ["微信", "WeChat"],
  "m.t.alipay": ["支付宝", "Alipay"],
  "m.t.card": ["银行卡", "card"],
  "m.t.stored": ["储值", "stored value"],
  "m.t.other": ["其他", "other"],
  "m.t.file": ["导出 CSV", "CSV"],
  "m.t.drawers": ["钱箱", "Drawers"],
  "m.t.expected": ["应有现金", "Should be there"],
  "m.t.closed": ["最近日结", "Last counted"],
  "m.t.waits": ["待确认收款", "Waiting"],
  "m.t.waitsFor": ["{n} 笔，最久 {days} 天", "{n}, oldest {days} days"],
  "m.t.count": ["日结盘点", "Count"],
  "m.t.counts": ["盘点记录", "Counts"],
  "m.t.counted": ["实点现金（元）", "Counted (¥)"],
  "m.t.banked": ["缴存银行（元，补零钱填负数）", "Banked (¥; below 0: change put in)"],
  "m.t.why": ["差异原因", "Why it differs"],
  "m.t.difference": ["长短款", "Difference"],
  "m.t.shouldBe": ["应有 {sum}，请写明差异原因", "{sum} should be there: say why it differs"],
  "m.t.waiting": ["未报收款方式的小票", "Receipts nobody told the takings of"],
  "m.t.number": ["小票号", "Number"],
  "m.t.sale": ["销售", "sale"],
  "m.t.refund": ["退款", "refund"],
  "m.t.cost": ["商品成本", "Cost"],
  "m.t.age": ["已等", "Waits"],
  "m.t.days": ["{n} 天", "{n} days"],
  "m.t.tell": ["补录", "Write down"],
  "m.t.tender": ["收款方式", "Tender"],
  "m.t.how": ["依据", "How one knows"],
});

const dayOf = (ms) => new Date(ms + SHANGHAI_MS).toISOString().slice(0, 10);
const fen = (input) => Math.round(Number(input.value || 0) * 100);

/** Draw takings, drawers and what waits. */
export async function drawTakings(api) {
  const through = dayOf(Date.now());
  const since = dayOf(Date.now() - (DAYS_SHOWN - 1) * DAY_MS);
  const span = `day=${since}&through=${through}`;
  const [days, drawers, waiting] = await Promise.all([
    api.get(`/pos/takings?${span}`),
    api.get("/pos/drawers"),
    api.get(`/pos/waiting?limit=${WAITING_SHOWN}`),
  ]);
  const again = () => drawTakings(api);
  const file = async () => save(await fetched(api, `/pos/takings?${span}&format=csv`), `takings-${since}.csv`);
  put(
    $("takings"),
    days.length > 0 && h("div.panel-tools", {}, h("h3", {}, t("m.t.takings")), doer(t("m.t.file"), file, { "data-testid": "takings-file" })),
    days.length > 0 && h("div.table-frame", {}, dayTable(days)),
    drawers.length > 0 && h("h3", {}, t("m.t.drawers")),
    drawers.length > 0 && h("div.table-frame", {}, drawerTable(api, drawers, again)),
    waiting.items.length > 0 && h("h3", {}, t("m.t.waiting")),
    waiting.items.length > 0 && h("div.table-frame", {}, waitingTable(api, waiting.items, drawers, again)),
  );
}

function dayTable(days) {
  const paid = (row) => TENDERS.filter((name) => row.tenders[name]).map((name) => `${t(`m.t.${name}`)} ${money(row.tenders[name])}`);
  const line = (row) =>
    h(
      "tr",
      { "data-testid": "takings-row", data: { outlet: row.outlet, day: row.day } },
      cell("m.t.day", row.day),
      cell("m.store.name", row.name),
      cell("m.sold.receipts", String(row.receipts)),
      cell("m.t.gross", money(row.gross)),
      cell("m.t.discount", money(row.discount)),
      cell("m.t.refunded", money(row.refunded)),
      cell("m.t.tax", money(row.tax)),
      cell("m.t.margin", h("strong.num", {}, money(row.margin))),
      cell("m.t.tenders", paid(row).join(" · ") || "—"),
    );
  const heads = ["m.t.day", "m.store.name", "m.sold.receipts", "m.t.gross", "m.t.discount", "m.t.refunded", "m.t.tax", "m.t.margin", "m.t.tenders"];
  return table(heads, days.map(line));
}

function drawerTable(api, drawers, again) {
  const age = (row) => Math.floor((Date.now() - row.oldest_ms) / DAY_MS);
  const line = (row) =>
    h(
      "tr",
      { "data-testid": "drawer-row", data: { outlet: row.outlet } },
      cell("m.store.name", row.name),
      cell("m.t.expected", h("strong.num", {}, money(row.expected))),
      cell("m.t.closed", row.closed || "—"),
      cell("m.t.waits", row.waiting ? t("m.t.waitsFor", { n: row.waiting, days: age(row) }) : "—"),
      h(
        "td.cell-toggle",
        {},
        doer(t("m.t.count"), () => openCount(api, row, again), { "data-testid": "drawer-count" }),
        doer(t("m.t.counts"), () => openCounts(api, row), { "data-testid": "drawer-counts" }),
      ),
    );
  return table(["m.store.name", "m.t.expected", "m.t.closed", "m.t.waits", ""], drawers.map(line));
}

function openCount(api, drawer, again) {
  const window = sheet({ title: `${t("m.t.count")} · ${drawer.name}`, testid: "count-sheet", closeLabel: t("common.close") });
  const form = h(
    "form.form-grid",
    { "data-testid": "count-form" },
    field("m.t.day", { name: "day", type: "date", value: dayOf(Date.now()), max: dayOf(Date.now()), required: true }),
    field("m.t.counted", { name: "counted", type: "number", min: "0", step: "0.01", required: true }),
    field("m.t.banked", { name: "banked", type: "number", step: "0.01", value: "0" }),
    field("m.t.why", { name: "why", maxlength: 200 }),
    h("button.primary", { type: "submit" }, t("m.t.count")),
  );
  put(window.body, h("p", {}, `${t("m.t.expected")} ${money(drawer.expected)}`), form);
  onSend(form, async () => {
    const { day, counted, banked, why } = form.elements;
    const body = { day: day.value, counted: fen(counted), banked: fen(banked), why: why.value.trim() };
    if (body.counted !== drawer.expected && !body.why) {
      toast(t("m.t.shouldBe", { sum: money(drawer.expected) }), "error");
      return;
    }
    await api.post(`/pos/counts/${encodeURIComponent(drawer.outlet)}`, body);
    window.close();
    await again();
  });
}

async function openCounts(api, drawer) {
  const found = await api.get(`/pos/counts?outlet=${encodeURIComponent(drawer.outlet)}&limit=${COUNTS_SHOWN}`);
  const window = sheet({ title: `${t("m.t.counts")} · ${drawer.name}`, testid: "counts-sheet", closeLabel: t("common.close") });
  const line = (row) =>
    h(
      "tr",
      { "data-testid": "count-row" },
      cell("m.t.day", row.day),
      cell("m.t.expected", money(row.opening + row.cash)),
      cell("m.t.counted", money(row.counted)),
      cell("m.t.difference", h("strong.num", {}, money(row.difference))),
      cell("m.t.banked", money(row.banked)),
      cell("m.t.why", row.why || "—"),
    );
  const heads = ["m.t.day", "m.t.expected", "m.t.counted", "m.t.difference", "m.t.banked", "m.t.why"];
  put(window.body, found.items.length ? table(heads, found.items.map(line)) : h("p.empty", {}, "—"));
}

function waitingTable(api, items, drawers, again) {
  const names = new Map(drawers.map((one) => [one.outlet, one.name]));
  const line = (row) =>
    h(
      "tr",
      { "data-testid": "waiting-row", data: { ref: row.ref } },
      cell("m.store.name", names.get(row.outlet) || ""),
      cell("m.t.number", h("span.mono", {}, row.number), ` ${t(`m.t.${row.kind}`)}`),
      cell("m.col.time", when(row.at_ms)),
      cell("m.col.amount", money(row.kind === "sale" ? row.amount : -row.amount)),
      cell("m.t.cost", money(row.cost)),
      cell("m.t.age", t("m.t.days", { n: Math.floor(row.age_ms / DAY_MS) })),
      h("td.cell-toggle", {}, doer(t("m.t.tell"), () => openTell(api, row, again), { "data-testid": "waiting-tell" })),
    );
  const heads = ["m.store.name", "m.t.number", "m.col.time", "m.col.amount", "m.t.cost", "m.t.age", ""];
  return table(heads, items.map(line));
}

function openTell(api, row, again) {
  const window = sheet({ title: `${t("m.t.tell")} · ${row.number}`, testid: "tell-sheet", closeLabel: t("common.close") });
  const form = h(
    "form.form-grid",
    { "data-testid": "tell-form" },
    field("m.t.tender", { name: "tender", options: BY_HAND.map((name) => [name, t(`m.t.${name}`)]) }),
    field("m.t.how", { name: "why", maxlength: 200, required: true }),
    h("button.primary", { type: "submit" }, t("m.t.tell")),
  );
  put(window.body, h("p", {}, money(row.amount)), form);
  onSend(form, async () => {
    const takings = { tenders: [{ tender: form.elements.tender.value, amount: row.amount }] };
    await api.post(`/pos/waiting/${encodeURIComponent(row.ref)}`, { takings, why: form.elements.why.value.trim() });
    window.close();
    await again();
  });
}
