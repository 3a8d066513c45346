/** Settlements: files of providers, banks and couriers, what waits on the clearing accounts, what is closed by hand. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, lang, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";

const FILE_TIMEOUT_MS = 60000;
const ITEMS_SHOWN = 200;
const FILES_SHOWN = 10;
const DAY_MS = 86400000;
const SHANGHAI_MS = 8 * 3600000;
const AGES = ["to_2", "to_7", "to_30", "over_30"];
const SOURCES = ["provider", "bank", "courier"];

addStrings({
  "se.panel": ["资金结算与对账", "Settlements"],
  "se.none": ["没有未清项：平台、银行与配送的账都对上了。", "Nothing is open: providers, bank and couriers agree with the books."],
  "se.account": ["清算科目", "Clearing account"],
  "se.open": ["未清余额", "Open"],
  "se.items": ["笔数", "Items"],
  "se.ages": ["账龄（2 天内 / 7 天 / 30 天 / 更久）", "Age (2 days / 7 / 30 / more)"],
  "se.oldest": ["最早", "Oldest"],
  "se.look": ["查看", "Look"],
  "se.files": ["已导入的文件", "Files taken in"],
  "se.source": ["来源", "Source"],
  "se.source.provider": ["支付平台", "Payment provider"],
  "se.source.bank": ["银行", "Bank"],
  "se.source.courier": ["配送商", "Courier"],
  "se.name": ["名称（平台、账户或配送商）", "Name (provider, account or courier)"],
  "se.format": ["格式", "Format"],
  "se.format.csv": ["CSV 模板", "CSV template"],
  "se.format.wechat": ["微信支付资金账单", "WeChat Pay fund flow (资金账单)"],
  "se.format.alipay": ["支付宝账务明细", "Alipay account log (账务明细)"],
  "se.take": ["导入文件", "Take the file in"],
  "se.template": ["下载模板", "Template"],
  "se.day": ["日期", "Day"],
  "se.fetch": ["拉取平台账单", "Fetch from the provider"],
  "se.match": ["重新匹配", "Match again"],
  "se.export": ["导出未清项", "Export open items"],
  "se.closedLog": ["人工核销记录", "Closed by hand"],
  "se.lines": ["行数", "Lines"],
  "se.closing": ["期末余额", "Balance after"],
  "se.taken": ["导入 {n} 行，核销 {m} 笔", "{n} lines, {m} items settled"],
  "se.again": ["这个文件已经导入过，没有变化", "This file was taken in before: nothing changed"],
  "se.matched": ["核销 {n} 笔", "{n} items settled"],
  "se.line": ["第 {n} 行 {column}：{message}", "line {n} {column}: {message}"],
  "se.faults": ["文件未导入：{n} 处有误", "Not taken in: {n} faults"],
  "se.what": ["摘要与处理", "What, and what to do"],
  "se.chosen": ["已选 {n} 笔，合计 {sum}", "{n} chosen, {sum} together"],
  "se.against": ["差额记入科目", "What is left goes to account"],
  "se.why": ["原因", "Reason"],
  "se.close": ["核销所选", "Close these"],
  "se.closed": ["已核销 {n} 笔", "{n} items closed"],
  "se.more": ["共 {n} 笔，只显示最早的 {shown} 笔", "{n} items; the oldest {shown} are shown"],
  "se.by": ["经办", "By"],
  "se.none2": ["还没有", "None yet"],
  "se.todo.wait": ["等待：对方账单还没到时间", "Wait: the other side's file is not due yet"],
  "se.todo.import": ["导入这一方的账单文件", "Take in a file of this side"],
  "se.todo.ask_provider": ["平台账单里没有：到平台核对", "Not in the provider's file: ask the provider"],
  "se.todo.ask_bank": ["银行还没到账：查提现或缴存", "Not at the bank: look into the payout or deposit"],
  "se.todo.ask_courier": ["配送商还没出账：催账单", "Not billed yet: ask the courier"],
  "se.todo.amount": ["同一笔金额不同：一起选中，差额记费用或找对方", "Same number, other amount: choose both, book the rest or dispute it"],
  "se.todo.opening": ["首个账单之前的余额：与旧款项一起核销", "What was there before the first file: close it with the old items"],
  "se.todo.unknown": ["平台有、系统没有：查「未回应的付款」再对账", "The provider has it, we do not: see payments not heard of, then match"],
  "se.todo.name": ["系统里没有：选科目核销并写原因", "Not in the books: close it to its account, with the reason"],
  "se.todo.pay": ["待付款：付款后导入银行流水", "To be paid: then take in the bank's file"],
  "se.todo.match": ["与账单一起核销", "Close it with the bill"],
});

const dayOf = (ms) => new Date(ms + SHANGHAI_MS).toISOString().slice(0, 10);
const named = (one) => `${one.account} ${lang() === "zh" ? one.name : one.english}`;

/** Draw the clearing accounts and the newest files. */
export async function drawClearing(api) {
  const [accounts, files] = await Promise.all([api.get("/settlements"), api.get(`/settlements/files?limit=${FILES_SHOWN}`)]);
  const again = () => drawClearing(api);
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "clearing-row", data: { account: one.account } },
      cell("se.account", named(one)),
      cell("se.open", h("strong.num", { "data-testid": "clearing-open" }, money(one.open))),
      cell("se.items", String(one.items)),
      cell("se.ages", AGES.map((name) => money(one.ages[name])).join(" / ")),
      cell("se.oldest", when(one.oldest)),
      h("td.cell-toggle", {}, doer(t("se.look"), () => openItems(api, one, again), { "data-testid": "clearing-look" })),
    );
  const heads = ["se.account", "se.open", "se.items", "se.ages", "se.oldest", ""];
  put(
    $("clearing"),
    accounts.length ? table(heads, accounts.map(row)) : h("p.empty", { "data-testid": "clearing-none" }, t("se.none")),
    h(
      "p.models",
      {},
      doer(t("se.match"), async () => {
        toast(t("se.matched", { n: (await api.post("/settlements/match", {})).matched }), "good");
        await again();
      }),
      doer(t("se.export"), async () => save(await fetched(api, "/settlements/items?format=csv"), "open-items.csv"), { "data-testid": "clearing-export" }),
      doer(t("se.closedLog"), () => openClosed(api), { "data-testid": "clearing-log" }),
    ),
    files.items.length > 0 && h("h3", {}, t("se.files")),
    files.items.length > 0 && fileTable(api, files.items),
  );
}

function fileTable(api, items) {
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "settlement-file" },
      cell("m.col.time", when(one.created_ms)),
      cell("se.source", `${t(`se.source.${one.source}`)} ${one.name} ${one.day}`),
      cell("se.lines", String(one.lines)),
      cell("m.col.amount", money(one.amount)),
      cell("se.closing", one.closing === null ? "—" : money(one.closing)),
      h("td.cell-toggle", {}, doer(t("m.b.document"), async () => save(await fetched(api, `/settlements/files/${one.id}`), `settlement-${one.id}.csv`))),
    );
  return table(["m.col.time", "se.source", "se.lines", "m.col.amount", "se.closing", ""], items.map(row));
}

/** The open items of an account: choose some that belong together, and say where what is left goes. */
async function openItems(api, account, again) {
  const [page, chart] = await Promise.all([
    api.get(`/settlements/items?account=${encodeURIComponent(account.account)}&limit=${ITEMS_SHOWN}`),
    api.get("/books/chart"),
  ]);
  const window = sheet({ title: named(account), testid: "items-sheet", closeLabel: t("common.close") });
  const chosen = new Set();
  const said = h("p", { "aria-live": "polite", "data-testid": "items-chosen" });
  const tell = () => put(said, t("se.chosen", { n: chosen.size, sum: money([...chosen].reduce((sum, one) => sum + one.amount, 0)) }));
  const box = (one) => {
    const input = h("input", { type: "checkbox", "aria-label": one.key || one.ref, "data-testid": "item-choose" });
    input.addEventListener("change", () => {
      if (input.checked) chosen.add(one);
      else chosen.delete(one);
      tell();
    });
    return input;
  };
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "item-row", data: { kind: one.kind, todo: one.todo } },
      h("td.choose", {}, box(one)),
      cell("m.col.time", when(one.when_ms)),
      cell("m.b.source", t(`m.b.kind.${one.kind.replace(" ", "_")}`)),
      cell("m.col.amount", h("span.faint", {}, t(one.amount > 0 ? "m.b.debit" : "m.b.credit")), " ", h("strong.num", {}, money(Math.abs(one.amount)))),
      cell("se.what", one.text, " ", h("span.mono", {}, (one.key || one.order).slice(-16)), h("br"), h("small.faint", {}, t(`se.todo.${one.todo}`))),
    );
  const options = [["", "—"], ...chart.filter((one) => one.code !== account.account).map((one) => [one.code, `${one.code} ${lang() === "zh" ? one.name : one.english}`])];
  const form = h(
    "form.link-form",
    { "data-testid": "items-form" },
    field("se.against", { name: "against", options, "data-testid": "items-against" }),
    field("se.why", { name: "why", required: true, maxlength: 200, "data-testid": "items-why" }),
    h("button.primary", { type: "submit", "data-testid": "items-close" }, t("se.close")),
  );
  onSend(form, async () => {
    const items = [...chosen].map((one) => ({ kind: one.kind, ref: one.ref }));
    const body = { account: account.account, why: form.elements.why.value.trim(), items, against: form.elements.against.value };
    const done = await api.post("/settlements/closes", body);
    toast(t("se.closed", { n: done.items }), "good");
    window.close();
    await again();
  });
  tell();
  put(
    window.body,
    account.items > page.items.length && h("p.faint", {}, t("se.more", { n: account.items, shown: page.items.length })),
    h("div.table-frame", {}, table(["", "m.col.time", "m.b.source", "m.col.amount", "se.what"], page.items.map(row))),
    said,
    form,
  );
}

/** What was closed by hand, by whom and why. */
async function openClosed(api) {
  const page = await api.get("/settlements/closes?limit=100");
  const window = sheet({ title: t("se.closedLog"), testid: "closed-sheet", closeLabel: t("common.close") });
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "closed-row" },
      cell("m.col.time", when(one.created_ms)),
      cell("se.account", one.against ? `${one.account} → ${one.against}` : one.account),
      cell("se.items", String(one.items)),
      cell("m.col.amount", money(one.amount)),
      cell("se.why", one.why),
      cell("se.by", one.name || one.staff),
    );
  const heads = ["m.col.time", "se.account", "se.items", "m.col.amount", "se.why", "se.by"];
  put(window.body, page.items.length ? table(heads, page.items.map(row)) : h("p.empty", {}, t("se.none2")));
}

/** The form: a file of one side, or a provider's of a day. */
export async function fillClearing(api, form) {
  const again = () => drawClearing(api);
  const sources = SOURCES.map((one) => [one, t(`se.source.${one}`)]);
  const formats = ["csv", "wechat", "alipay"].map((one) => [one, t(`se.format.${one}`)]);
  const yesterday = dayOf(Date.now() - DAY_MS);
  put(
    form,
    field("se.source", { name: "source", options: sources, "data-testid": "settlement-source" }),
    field("se.name", { name: "name", maxlength: 32, "data-testid": "settlement-name" }),
    field("se.format", { name: "format", options: formats, "data-testid": "settlement-format" }),
    field("m.file", { name: "file", type: "file", accept: ".csv,text/csv", "data-testid": "settlement-file-input" }),
    h("button.primary", { type: "submit", value: "take", "data-t": "se.take", "data-testid": "settlement-take" }, t("se.take")),
    doer(t("se.template"), async () => {
      const source = form.elements.source.value;
      save(await fetched(api, `/settlements/templates/${source}`), `settlement-${source}.csv`);
    }),
    field("se.day", { name: "day", type: "date", value: yesterday, max: yesterday, "data-testid": "settlement-day" }),
    h("button.small", { type: "submit", value: "fetch", "data-t": "se.fetch", "data-testid": "settlement-fetch" }, t("se.fetch")),
  );
  onSend(form, async (button) => {
    const { source, name, format, file, day } = form.elements;
    if (button === "fetch") {
      told(await api.post("/settlements/fetch", { provider: name.value.trim(), day: day.value }));
    } else {
      if (!file.files.length) return toast(t("m.file"), "error");
      const query = new URLSearchParams({ name: name.value.trim(), format: format.value });
      told(await sendFile(api, `${source.value}?${query}`, file.files[0]));
      file.value = "";
    }
    await again();
  });
}

async function sendFile(api, path, file) {
  const response = await fetch(`/api/v1/settlements/files/${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${api.token}` },
    body: await file.arrayBuffer(),
    signal: AbortSignal.timeout(FILE_TIMEOUT_MS),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

function told(answer) {
  if (answer.faults.length) {
    const window = sheet({ title: t("se.faults", { n: answer.faults.length }), testid: "faults-sheet", closeLabel: t("common.close") });
    put(window.body, h("ul.plain", { "data-testid": "settlement-faults" }, answer.faults.map((one) => h("li", {}, t("se.line", { n: one.line, column: one.column, message: one.message })))));
  } else {
    toast(answer.again ? t("se.again") : t("se.taken", { n: answer.lines, m: answer.matched }), "good");
  }
}
