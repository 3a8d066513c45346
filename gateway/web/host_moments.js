/** The host's recurring sales, sales by draw, groups, lucky bags and red packets. */

import { rows } from "./api.js";
import { h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { clock, money, onLanguage, t, when } from "./i18n.js";
import { presaleLine, presaleOf } from "./presale.js";
import { winners } from "./winners.js";

/** Ended draws that stay listed. */
const ENDED_SHOWN = 3;
const MON_WED_FRI = "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0";

const choices = (name, values) => values.map((value) => [value, t(`host.${name}.${value}`)]);

/** Fields of the sale form that say how units go, and when it opens. */
export function momentFields() {
  const yesNo = [
    ["", t("host.no")],
    ["yes", t("host.yes")],
  ];
  return [
    field("host.mode", { name: "mode", options: choices("mode", ["rush", "draw", "team"]), "data-testid": "sale-mode" }),
    countField("host.enterS", "enter_s", { value: "60", max: "86400", "data-testid": "sale-enter" }),
    countField("host.teamSize", "team_size", { value: "3", min: "2", max: "100", "data-testid": "sale-team-size" }),
    countField("host.teamWinners", "team_winners", { value: "0", min: "0", max: "99" }),
    countField("host.teamHours", "team_h", { value: "24", max: "72" }),
    field("host.liveOnly", { name: "live_only", options: yesNo, "data-testid": "sale-live-only" }),
    field("host.opens", { name: "opens", options: choices("opens", ["now", "at", "each"]), "data-testid": "sale-opens" }),
    field("host.at", { name: "at", type: "datetime-local", "data-testid": "sale-at" }),
    yuanField("host.deposit", "deposit", { value: "0", min: "0", "data-testid": "sale-deposit" }),
    field("host.balanceFrom", { name: "balance_from", type: "datetime-local", "data-testid": "sale-balance-from" }),
    field("host.balanceUntil", { name: "balance_until", type: "datetime-local", "data-testid": "sale-balance-until" }),
    field("host.balanceMissed", { name: "balance_missed", options: choices("missed", ["refund", "keep"]) }),
    field("host.rule", { name: "rule", value: MON_WED_FRI, wide: true, maxlength: 200, "data-testid": "sale-rule" }),
  ];
}

/** Show the fields that the chosen way needs, and no others. */
export function wireMomentFields(form) {
  const { elements } = form;
  const once = () => elements.mode.value !== "team" && elements.opens.value !== "each";
  const presale = () => once() && fen(form, "deposit") > 0;
  const needs = {
    deposit: once,
    balance_from: presale,
    balance_until: presale,
    balance_missed: presale,
    enter_s: () => form.elements.mode.value === "draw",
    team_size: () => form.elements.mode.value === "team",
    team_winners: () => form.elements.mode.value === "team",
    team_h: () => form.elements.mode.value === "team",
    at: () => form.elements.opens.value === "at",
    rule: () => form.elements.opens.value === "each",
    countdown_s: () => form.elements.opens.value === "now",
  };
  const show = () => {
    for (const [name, needed] of Object.entries(needs)) {
      form.elements[name].closest("label").hidden = !needed();
      form.elements[name].disabled = !needed();
    }
  };
  form.addEventListener("change", show);
  show();
}

/** What those fields say, for the API; `opens`, `at` and `rule` are for the caller. */
export function momentBody(form) {
  const { elements } = form;
  const mode = elements.mode.value;
  const body = { mode, live_only: elements.live_only.value === "yes", opens: elements.opens.value };
  if (mode === "draw") body.enter_s = whole(form, "enter_s");
  if (mode === "team") {
    body.team_size = whole(form, "team_size");
    body.team_winners = whole(form, "team_winners");
    body.team_s = whole(form, "team_h") * 3600;
  }
  if (!elements.deposit.disabled && fen(form, "deposit") > 0) {
    const at = (name) => new Date(elements[name].value).getTime() || 0;
    body.deposit = fen(form, "deposit");
    body.balance_from = at("balance_from");
    body.balance_until = at("balance_until");
    body.balance_missed = elements.balance_missed.value;
  }
  if (body.opens === "at") body.at = new Date(elements.at.value).getTime() || 0;
  if (body.opens === "each") body.rule = elements.rule.value.trim();
  return body;
}

/** Below a sale's bar: who waits, who wants to be reminded, how its groups fill up. */
export function saleDetail(store, sale) {
  const parts = [];
  if (sale.deposit) parts.push(presaleLine(presaleOf(sale)));
  if (sale.live_only) parts.push(t("sale.liveOnly"));
  if (sale.reserved) parts.push(t("sale.reserved", { n: sale.reserved }));
  if (sale.waiting) parts.push(t("sale.waiting", { n: sale.waiting }));
  if (sale.mode === "team") {
    const states = [...store.teams.values()].filter((team) => team.sale === sale.sale).map((team) => team.state);
    const count = (state) => states.filter((one) => one === state).length;
    parts.push(t("host.teamsOf", { open: count("open"), full: count("full") }));
  }
  const entries = sale.draw && store.draws.get(sale.draw);
  if (entries) parts.push(t("draw.figures", entries), proofLink(sale.draw));
  return parts.length > 0 && h("p.faint", { "data-testid": "sale-detail" }, parts.flatMap((part) => [part, " · "]).slice(0, -1));
}

function proofLink(draw) {
  return h("a", { href: `/draw/${encodeURIComponent(draw)}`, target: "_blank", rel: "noopener" }, t("draw.proof"));
}

/**
 * @param {{api: import("./api.js").Api, base: string, store: any, now: () => number, plans: HTMLElement,
 *   draws: HTMLElement, form: HTMLFormElement}} desk
 * @returns {{read: () => Promise<void>}} `read` asks for the recurring sales again
 */
export function moments(desk) {
  let plans = [];
  const drawPlans = () => put(desk.plans, plans.map((plan) => planRow(desk, plan, read)));
  async function read() {
    try {
      plans = rows(await desk.api.get(`${desk.base}/plans`));
      drawPlans();
    } catch (error) {
      console.info("plans:", error.message);
    }
  }
  const drawDraws = () => {
    const all = [...desk.store.draws.values()].filter((draw) => draw.kind !== "sale").reverse();
    const running = all.filter((draw) => !["drawn", "void"].includes(draw.state));
    const ended = all.filter((draw) => ["drawn", "void"].includes(draw.state)).slice(0, ENDED_SHOWN);
    const shown = [...running, ...ended].map((draw) => drawRow(desk, draw));
    put(desk.draws, shown.length ? shown : h("p.faint", {}, t("host.noDraws")));
  };
  fillDrawForm(desk);
  desk.store.on("draws", drawDraws);
  desk.store.on("shelf", () => fillProducts(desk));
  onLanguage(() => {
    drawPlans();
    drawDraws();
  });
  setInterval(() => {
    for (const row of desk.draws.children) {
      const time = row.querySelector(".time");
      const until = Number(row.dataset.until);
      if (time) time.textContent = until > desk.now() ? clock(until - desk.now()) : "";
    }
  }, 500);
  read();
  return { read };
}

function planRow(desk, plan, read) {
  const end = async () => {
    await desk.api.post(`${desk.base}/plans/${encodeURIComponent(plan.plan)}/end`);
    await read();
  };
  const card = desk.store.shelf.find((one) => one.sku === plan.sku);
  return h(
    "article.run",
    { "data-testid": "plan-run", data: { plan: plan.plan } },
    h(
      "div.run-head",
      {},
      h("strong", {}, card?.title || plan.sku),
      h("span.price", {}, money(plan.price)),
      h("span.faint", {}, plan.next ? t("host.planNext", { when: when(plan.next) }) : ""),
    ),
    h("p.faint", {}, plan.rule),
    h("div.run-buttons", {}, doer(t("host.planEnd"), end, { "data-testid": "plan-end" })),
  );
}

function drawRow(desk, draw) {
  const call = async () => {
    const view = await desk.api.post(`${desk.base}/draws/${encodeURIComponent(draw.draw)}/void`);
    desk.store.apply({ t: "draw", draw: view });
  };
  return h(
    "article.run",
    {
      "data-testid": "draw-run",
      data: { draw: draw.draw, state: draw.state, until: draw.state === "open" ? draw.closes : 0 },
    },
    h(
      "div.run-head",
      {},
      h("strong", {}, `${t(`draw.${draw.kind}`)} · ${draw.title}`),
      draw.pool > 0 && h("span.price", {}, money(draw.pool)),
      h("span.chip", { data: { state: draw.state } }, t(`draw.${draw.state}`)),
      h("span.time"),
    ),
    h("p.faint", {}, t("draw.figures", draw), draw.word ? ` · “${draw.word}”` : ""),
    draw.state === "drawn" && h("p", {}, t("draw.won", { n: draw.won }), " ", winners(draw), " ", proofLink(draw.draw)),
    draw.state === "open" && h("div.run-buttons", {}, doer(t("host.voidDraw"), call, { "data-testid": "draw-void" })),
  );
}

function fillProducts(desk) {
  const select = desk.form.elements.sku;
  const chosen = select.value;
  put(
    select,
    desk.store.shelf.map((card) => h("option", { value: card.sku }, card.title)),
  );
  if (chosen) select.value = chosen;
}

function fillDrawForm(desk) {
  const { form } = desk;
  const kinds = ["bag", "packet"].map((kind) => [kind, t(`draw.${kind}`)]);
  put(
    form,
    field("host.drawKind", { name: "kind", options: kinds, "data-testid": "draw-kind" }),
    field("host.drawTitle", { name: "title", value: t("host.drawTitleValue"), maxlength: 60, "data-testid": "draw-title" }),
    field("host.product", { name: "sku", options: [], wide: true, "data-testid": "draw-sku" }),
    yuanField("host.bagPrice", "price", { value: "0.01", "data-testid": "draw-price" }),
    yuanField("host.pool", "pool", { value: "10", "data-testid": "draw-pool" }),
    countField("host.winners", "winners", { required: true, value: "3", max: "10000", "data-testid": "draw-winners" }),
    countField("host.seconds", "seconds", { required: true, value: "60", max: "86400", "data-testid": "draw-seconds" }),
    field("host.task", { name: "task", options: choices("task", ["none", "comment", "follow"]), "data-testid": "draw-task" }),
    field("host.word", { name: "word", maxlength: 40, "data-testid": "draw-word" }),
    h(
      "div.form-foot",
      {},
      h("button.primary", { type: "submit", "data-testid": "draw-open", "data-t": "host.openDraw" }, t("host.openDraw")),
    ),
  );
  const show = () => {
    const bag = form.elements.kind.value === "bag";
    const needed = { sku: bag, price: bag, pool: !bag, word: form.elements.task.value === "comment" };
    for (const [name, is] of Object.entries(needed)) {
      form.elements[name].closest("label").hidden = !is;
      form.elements[name].disabled = !is;
    }
  };
  form.addEventListener("change", show);
  show();
  onSend(form, async () => {
    const { kind, title, task, word, sku } = form.elements;
    const body = { kind: kind.value, winners: whole(form, "winners"), seconds: whole(form, "seconds"), task: task.value };
    if (title.value.trim()) body.title = title.value.trim();
    if (task.value === "comment") body.word = word.value.trim();
    if (kind.value === "bag") Object.assign(body, { sku: sku.value, price: fen(form, "price") });
    else body.pool = fen(form, "pool");
    const draw = await desk.api.post(`${desk.base}/draws`, body);
    desk.store.apply({ t: "draw", draw });
    toast(t("host.started"), "good");
  });
}
