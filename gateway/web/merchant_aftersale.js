/** After the sale, the shop's side: what buyers ask for, by when it is to be answered, and the answers. */

import { AFTER_SALE } from "./aftersale_strings.js";
import { $, h, put, toast } from "./dom.js";
import { countField, doer, fen, field, whole, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { ask } from "./merchant_lines.js";
import { cell, table } from "./tables.js";
import { whyNot } from "./view_aftersale.js";

addStrings(AFTER_SALE);

const ROWS_SHOWN = 50;
const HOUR_MS = 3600000;
const TABS = ["open", "asked", "sent", "all"];
const HEADS = ["m.col.time", "as.for", "as.money", "m.col.status", "as.due", ""];
const ANSWERED = new Set(["asked", "offered"]);

let tab = "open";

/** Draw the panel; it stays away from who has no orders. */
export async function drawAfterSales(api) {
  const panel = $("aftersale-panel");
  try {
    const state = tab === "all" ? "" : `&state=${tab}`;
    const page = await api.get(`/after-sales?limit=${ROWS_SHOWN}${state}`);
    panel.hidden = false;
    draw(api, page.items);
  } catch (error) {
    if (error.status !== 403) throw error;
    panel.hidden = true;
  }
}

/** What waits for the shop first, most urgent first; then what has ended, newest first. */
function urgent(one, other) {
  return (one.due || Number.MAX_SAFE_INTEGER) - (other.due || Number.MAX_SAFE_INTEGER) || other.created - one.created;
}

function draw(api, items) {
  const again = () => drawAfterSales(api);
  const choose = (name) => () => {
    tab = name;
    return again();
  };
  const button = (name) =>
    doer(t(`as.tab.${name}`), choose(name), { "aria-pressed": String(name === tab), "data-testid": `aftersale-${name}` });
  put(
    $("aftersale"),
    h("div.periods", { role: "group", "aria-label": t("as.panel") }, TABS.map(button)),
    items.length
      ? table(HEADS, items.sort(urgent).map((one) => row(api, one, again)))
      : h("p.empty", {}, t("as.none")),
  );
}

function row(api, one, again) {
  const money_ = one.state === "done" ? one.refunded : one.amount;
  const offer = one.state === "offered" && h("div.faint", {}, t(one.keeps ? "as.offer.keeps" : "as.offer.back", { amount: money(one.offer) }));
  return h(
    "tr",
    { "data-testid": "aftersale-row", data: { state: one.state } },
    cell("m.col.time", when(one.created), h("div.mono.faint", {}, `…${one.order.slice(-8)}`)),
    cell(
      "as.for",
      h("strong", {}, `${t(`as.kind.${one.kind}`)} · ${t(`as.reason.${one.reason}`)}`),
      one.lines.map((line) => h("div", {}, `${line.title} × ${line.quantity}`)),
      one.words && h("div.faint", {}, `“${one.words}”`),
    ),
    cell("as.money", money(money_), offer),
    cell(
      "m.col.status",
      h("span.chip", {}, t(`as.state.${one.state}`)),
      one.why && h("div.faint", {}, t(`as.why.${one.why}`)),
      one.answer && h("div.faint", {}, one.answer),
      one.number && h("div.mono", {}, `${one.carrier} ${one.number}`),
      one.kind === "return" && h("div.faint", {}, t(`as.pays.${one.pays}`)),
    ),
    cell("as.due", one.due ? dueNote(one.due) : "—"),
    h("td.cell-toggle", {}, steps(api, one, again)),
  );
}

function dueNote(due) {
  const hours = (due - Date.now()) / HOUR_MS;
  const soon = hours < 0 ? t("as.over", { n: Math.ceil(-hours) }) : t("as.left", { n: Math.floor(hours) });
  return [when(due), h(hours < 6 ? "div.overdue" : "div.faint", {}, soon)];
}

function steps(api, one, again) {
  const path = `/after-sales/${encodeURIComponent(one.request)}`;
  const post = async (verb, body) => {
    try {
      await api.post(`${path}/${verb}`, body);
    } catch (error) {
      toast(whyNot(error), "error");
    }
    await again();
  };
  // Money alone goes at once; a return is paid when the goods are there, and its buyer asks where they go.
  const sure = one.kind === "refund" ? t("as.approveSure", { amount: money(one.amount) }) : t("as.approveReturn");
  const note = (label, required) => field(label, { name: "answer", maxlength: 500, wide: true, required, "data-testid": "aftersale-answer" });
  const said = (verb) => (form) => post(verb, { answer: form.elements.answer.value.trim() });
  const approve = async () => ask(sure, [note("as.note", false)], said("approve"));
  const refuse = async () => ask(t("as.refuse"), [note("as.whyNot", true)], said("refuse"));
  const waits = ANSWERED.has(one.state);
  return [
    waits && doer(t("as.approve"), approve, { "data-testid": "aftersale-approve" }),
    waits && doer(t("as.less"), async () => openOffer(post, one), { "data-testid": "aftersale-offer" }),
    ["approved", "sent"].includes(one.state) &&
      doer(t("as.receive"), async () => openCount(post, one), { "data-testid": "aftersale-receive" }),
    (waits || one.state === "sent") && doer(t("as.refuse"), refuse, { "data-testid": "aftersale-refuse" }),
  ];
}

function openOffer(post, one) {
  const keeps = [["1", t("as.keeps.yes")], ...(one.kind === "return" ? [["", t("as.keeps.no")]] : [])];
  const most = ((one.amount - 1) / 100).toFixed(2);
  const fields = [
    yuanField("as.lessAmount", "amount", { required: true, max: most, "data-testid": "less-amount" }),
    field("as.keeps", { name: "keeps", options: keeps, "data-testid": "less-keeps" }),
    field("as.note", { name: "answer", maxlength: 500, wide: true }),
  ];
  ask(t("as.less"), fields, async (form) => {
    const { keeps: kept, answer } = form.elements;
    await post("offer", { amount: fen(form, "amount"), keeps: Boolean(kept.value), answer: answer.value.trim() });
  });
}

function openCount(post, one) {
  const count = (label, name, line, value) => {
    const input = countField(label, name, { min: "0", max: String(line.quantity), value: String(value), required: true, "data-testid": name });
    input.querySelector("span").textContent = t(label, line);
    return input;
  };
  const fields = one.lines.flatMap((line, n) => [
    count("as.sellable", `sellable${n}`, line, line.quantity),
    count("as.quarantined", `quarantined${n}`, line, 0),
  ]);
  ask(t("as.receive"), [...fields, field("as.note", { name: "answer", maxlength: 500, wide: true })], async (form) => {
    const lines = one.lines.map((line, n) => ({
      sku: line.sku,
      sellable: whole(form, `sellable${n}`),
      quarantined: whole(form, `quarantined${n}`),
    }));
    await post("receive", { lines, answer: form.elements.answer.value.trim() });
  });
}
