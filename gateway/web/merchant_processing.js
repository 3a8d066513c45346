/** Processing of goods by weight: what went in and came out, and what was lost against what is usual. */

import { $, h, put, toast } from "./dom.js";
import { field, onSend } from "./forms.js";
import { money, t, when } from "./i18n.js";
import { goodsOf, lineEditor, nameOf } from "./merchant_lines.js";
import { newKey } from "./siyu.js";
import { listed } from "./lists.js";
import { cell, table } from "./tables.js";

const DAY_MS = 86400000;
const DAYS = 30;
const RUNS = "/processing/runs?limit=20";
const dayOf = (ms) => new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Shanghai" }).format(ms);
const percent = (points) => `${(points / 100).toFixed(2)}%`;
const kilos = (grams) => `${(grams / 1000).toFixed(3)} kg`;

/** Draw the losses of a month and the newest runs. */
export async function drawProcessing(api) {
  const now = Date.now();
  const span = `day=${dayOf(now - (DAYS - 1) * DAY_MS)}&through=${dayOf(now)}`;
  const [recipes, losses, runs] = await Promise.all([
    api.get("/processing/recipes"),
    api.get(`/processing/losses?${span}`),
    api.get(RUNS),
  ]);
  const select = $("run-form").elements.recipe;
  if (select) {
    const chosen = select.value;
    put(select, recipes.filter((one) => !one.closed).map((one) => h("option", { value: one.recipe }, `${one.name} (${percent(one.expected_bp)})`)));
    if (chosen) select.value = chosen;
  }
  const loss = (one) =>
    h(
      "tr",
      { "data-testid": "loss-row", data: { recipe: one.recipe, over: String(one.over_grams > 0) } },
      cell("pr.recipe", one.name),
      cell("pr.runs", String(one.runs)),
      cell("pr.in", kilos(one.in_grams)),
      cell("pr.loss", h("strong.num", {}, percent(one.loss_bp))),
      cell("pr.expected", percent(one.expected_bp)),
      cell("pr.over", one.over_grams > 0 ? h("span.chip", { data: { state: "cancelled" } }, kilos(one.over_grams)) : "—"),
    );
  const run = (one) =>
    h(
      "li",
      { "data-testid": "run-row", data: { run: one.run, over: String(one.over) } },
      h("span.faint", {}, `${when(one.created)} `),
      `${one.name}: ${one.raw.map(line).join(" + ")} → ${one.yields.map(line).join(" + ")} · ${t("pr.loss")} ${kilos(one.loss_grams)} (${percent(one.loss_bp)}) · ${money(one.cost)}`,
    );
  const line = (one) => `${nameOf(one)} × ${one.units}`;
  const heads = ["pr.recipe", "pr.runs", "pr.in", "pr.loss", "pr.expected", "pr.over"];
  put(
    $("processing"),
    losses.length ? table(heads, losses.map(loss)) : h("p.empty", {}, t("pr.none")),
    runs.items.length > 0 && listed(api, RUNS, runs, run, (rows) => h("ul.plain", {}, rows)),
  );
}

/** The forms: a recipe with its usual loss, a run. */
export async function fillProcessing(api) {
  const again = () => drawProcessing(api);
  const recipe = $("recipe-form");
  put(
    recipe,
    field("pr.name", { name: "name", required: true, maxlength: 60, "data-testid": "recipe-name" }),
    field("pr.expectedPercent", { name: "expected", type: "number", min: "0", max: "99.99", step: "0.01", required: true, "data-testid": "recipe-expected" }),
    field("pr.basis", { name: "basis", options: [["grams", t("pr.basis.grams")], ["value", t("pr.basis.value")]] }),
    h("button.primary", { type: "submit", "data-t": "pr.addRecipe", "data-testid": "recipe-add" }, t("pr.addRecipe")),
  );
  onSend(recipe, async () => {
    const { name, expected, basis } = recipe.elements;
    await api.post("/processing/recipes", { name: name.value.trim(), expected_bp: Math.round(Number(expected.value) * 100), basis: basis.value });
    recipe.reset();
    await again();
  });
  await fillRun(api, $("run-form"), again);
}

async function fillRun(api, form, again) {
  const goods = await goodsOf(api);
  const raw = lineEditor(goods, { weights: true, testid: "raw" });
  const yields = lineEditor(goods, { weights: true, testid: "yield" });
  const typed = (lines) => lines.read().map(({ sku, quantity, grams }) => ({ sku, units: quantity, grams }));
  let key = newKey();
  put(
    form,
    field("pr.recipe", { name: "recipe", options: [], required: true, "data-testid": "run-recipe" }),
    field("m.g.why", { name: "why", maxlength: 200 }),
    h("h3.wide-field", {}, t("pr.raw")),
    raw.element,
    h("h3.wide-field", {}, t("pr.yields")),
    yields.element,
    h("button.primary", { type: "submit", "data-t": "pr.run", "data-testid": "run-send" }, t("pr.run")),
  );
  onSend(form, async () => {
    const body = { recipe: form.elements.recipe.value, raw: typed(raw), yields: typed(yields), why: form.elements.why.value.trim() };
    const done = await api.post("/processing/runs", body, key);
    key = newKey();
    toast(t("pr.done", { loss: kilos(done.loss_grams), rate: percent(done.loss_bp) }), done.over ? "error" : "good");
    raw.clear();
    yields.clear();
    await again();
  });
}
