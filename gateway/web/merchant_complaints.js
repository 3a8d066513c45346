/** Complaints, reports and praise of the part of the shop that an account has: what waits, what is overdue, by node. */

import { $, h, put } from "./dom.js";
import { doer } from "./forms.js";
import { t, when } from "./i18n.js";
import { cell, table } from "./tables.js";

const ROWS_SHOWN = 20;
const HOUR_MS = 3600000;
/** What the tabs ask for. */
const TABS = { open: { state: "open" }, overdue: { state: "overdue" }, answered: { state: "answered" }, praise: { kind: "praise" } };
const HEADS = ["m.col.time", "m.r.kind", "m.f.node", "m.r.text", "m.col.status", ""];
const SUMS = ["m.f.node", "m.f.told", "m.f.praise", "m.f.open", "m.f.overdue", "m.f.late", "m.f.waited"];

let tab = "open";

/** Draw the panel; it stays away from who reads no customers. */
export async function drawComplaints(api) {
  const panel = $("complaints-panel");
  try {
    const asked = new URLSearchParams({ ...TABS[tab], limit: ROWS_SHOWN });
    const [found, sums] = await Promise.all([api.get(`/complaints?${asked}`), api.get("/complaints/sums")]);
    panel.hidden = false;
    draw(api, found.items, sums);
  } catch (error) {
    if (error.status !== 403) throw error;
    panel.hidden = true;
  }
}

function draw(api, items, sums) {
  const again = () => drawComplaints(api);
  const choose = (name) => () => {
    tab = name;
    return again();
  };
  const waiting = (name) => sums.reduce((sum, one) => sum + one[name], 0);
  const count = (name) => (name in { open: 1, overdue: 1, praise: 1 } ? ` ${waiting(name)}` : "");
  const button = (name) =>
    doer(`${t(`m.f.tab.${name}`)}${count(name)}`, choose(name), {
      "aria-pressed": String(name === tab),
      "data-testid": `complaints-${name}`,
    });
  put(
    $("complaints"),
    h("div.periods", { role: "group", "aria-label": t("m.f.panel") }, Object.keys(TABS).map(button)),
    items.length ? table(HEADS, items.map((one) => row(api, one, again))) : h("p.empty", {}, t("m.f.none")),
    sums.length > 0 && [h("h3", {}, t("m.f.byNode")), table(SUMS, sums.map(sumRow))],
  );
}

function row(api, one, again) {
  const reply = async () => {
    const answer = prompt(t("m.r.reply"));
    if (!answer) return;
    await api.post(`/complaints/${one.id}/answer`, { answer });
    await again();
  };
  const waits = one.kind === "praise" ? "" : t(one.overdue ? "m.f.wasDue" : "m.r.due", { time: when(one.due_ms) });
  return h(
    "tr",
    { "data-testid": "complaint-row", data: { state: one.state, overdue: String(one.overdue) } },
    cell("m.col.time", when(one.created_ms)),
    cell("m.r.kind", h("span.chip", {}, t(`m.r.${one.kind}`))),
    cell("m.f.node", one.node_name || t("m.f.shop")),
    cell("m.r.text", one.text, one.contact && h("span.faint", {}, ` ${one.contact}`)),
    cell("m.col.status", one.state === "open" ? h(one.overdue ? "strong.overdue" : "span", {}, waits) : one.answer),
    h("td.cell-toggle.for-managers", {}, one.state === "open" && doer(t("m.r.answer"), reply, { "data-testid": "complaint-answer" })),
  );
}

function sumRow(one) {
  const waited = one.answered ? t("m.f.hours", { n: (one.waited_ms / one.answered / HOUR_MS).toFixed(1) }) : "—";
  const numbers = ["told", "praise", "open", "overdue", "late"].map((name) => cell(`m.f.${name}`, String(one[name])));
  return h(
    "tr",
    { "data-testid": "complaint-sums", data: { node: one.node } },
    cell("m.f.node", one.name || t("m.f.shop")),
    numbers,
    cell("m.f.waited", waited),
  );
}
