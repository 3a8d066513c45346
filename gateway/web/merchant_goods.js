/** Goods: the sheet out and in with a report line by line, and who changed a price or a count by hand. */

import { $, h, put, toast } from "./dom.js";
import { doer, field } from "./forms.js";
import { explain, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { drawProducts } from "./merchant_products.js";
import { cell, table } from "./tables.js";

const SHEET_TIMEOUT_MS = 60000;
const CHANGES_SHOWN = 20;
/** Lines of a report on the page; the file of a thousand lines is mended from its beginning. */
const LINES_SHOWN = 50;

/** A reason as it is read: what a delivery wrote names its purchase order by the whole id. */
const shortened = (why) => why.replace(/^[0-9a-z]{12}([0-9a-z]{8})(?= |$)/, "…$1");

/** Draw the products and the trail of manual changes. */
export async function drawGoods(api) {
  const [changes] = await Promise.all([
    api.get(`/goods/changes?limit=${CHANGES_SHOWN}`),
    drawProducts(api, () => drawGoods(api)),
  ]);
  const figure = (one, side) => {
    if (one.what === "category") return one[`${side}_text`] || "—";
    return one[side] === null ? "—" : one.what === "stock" ? String(one[side]) : money(one[side]);
  };
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "change-row", data: { what: one.what, sku: one.sku } },
      cell("m.col.time", when(one.created_ms)),
      cell("m.g.goods", [one.title, one.variant].filter(Boolean).join(" ") || `…${one.sku.slice(-6)}`),
      cell("m.g.what", t(`m.g.${one.what}`)),
      cell("m.g.change", `${figure(one, "before")} → ${figure(one, "after")}`),
      cell("m.g.who", one.name || one.login || `…${one.staff.slice(-6)}`),
      cell("m.g.why", one.why ? shortened(one.why) : "—"),
    );
  const heads = ["m.col.time", "m.g.goods", "m.g.what", "m.g.change", "m.g.who", "m.g.why"];
  put($("changes"), changes.items.length ? table(heads, changes.items.map(row)) : h("p.empty", {}, t("m.g.noChanges")));
}

/** The form that takes a sheet in; `again` draws what it has changed. */
export function fillGoods(api, form, again) {
  const report = h("div", { "data-testid": "goods-report" });
  put(
    form,
    doer(t("m.g.export"), async () => save(await fetched(api, "/goods/export"), "goods.csv"), {
      "data-testid": "goods-export",
    }),
    field("m.file", { name: "file", type: "file", accept: ".csv,text/csv", required: true, "data-testid": "goods-file" }),
    field("m.g.why", { name: "why", required: true, maxlength: 200, "data-testid": "goods-why" }),
    h("button.small", { type: "submit", value: "1", "data-testid": "goods-try" }, t("m.tryOnly")),
    h("button.primary", { type: "submit", value: "", "data-testid": "goods-import" }, t("m.import")),
    report,
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { file, why } = form.elements;
    const query = new URLSearchParams({ why: why.value.trim() });
    if (event.submitter?.value) query.set("try", "1");
    try {
      const response = await fetch(`/api/v1/goods/import?${query}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${api.token}` },
        body: await file.files[0].arrayBuffer(),
        signal: AbortSignal.timeout(SHEET_TIMEOUT_MS),
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail);
      put(report, verdict(answer), lines(answer.rows));
      if (answer.written) await again();
    } catch (error) {
      toast(explain(error), "error");
    }
  };
}

function verdict(answer) {
  const said = answer.written ? "m.g.written" : answer.counts.fault ? "m.g.faulty" : "m.g.nothing";
  return h("p", { "data-testid": "goods-verdict", data: { written: String(answer.written) } }, t(said, answer.counts));
}

function lines(rows) {
  const shown = rows.filter((row) => row.outcome !== "same").slice(0, LINES_SHOWN);
  const line = (row) =>
    h(
      "li",
      { data: { outcome: row.outcome } },
      `${t("m.line", { n: row.line })} ${row.sku} ${t(`m.g.${row.outcome}`)}: `,
      row.outcome === "fault"
        ? `${row.column} ${row.message}`
        : row.changes.map((one) => `${one.what} ${one.before || "—"} → ${one.after}`).join(", "),
    );
  return shown.length > 0 && h("ul.plain", {}, shown.map(line));
}
