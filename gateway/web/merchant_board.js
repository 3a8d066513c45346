/** The board's figures and drawings; each opens to its rows, and each can be had as CSV. */

import { channelName } from "./channels.js";
import { cohortGrid, sideBySide, timeline } from "./charts_board.js";
import { funnel } from "./charts.js";
import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { explain, knows, lang, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";

const STEPS = ["visit", "entry", "click", "order", "paid", "repeat"];
/** Steps of the funnel that are orders, by the state of the rows behind them. */
const STATES = { order: "all", paid: "paid", repeat: "repeat" };
const TABLES = ["by_room", "by_host", "guide", "distributor", "partner", "by_issuer", "by_channel", "by_clip", "by_campaign"];
/** The table's dimension in the rows' addresses, and the field that names a row. */
const KEYS = { by_room: "room", by_host: "host", by_clip: "clip", by_issuer: "issuer", by_channel: "channel", by_campaign: "campaign", guide: "issuer", distributor: "issuer", partner: "issuer" };
const MODELS = ["default", "binding_first", "last_touch", "first_touch"];
const ROWS_SHOWN = 50;
const TABLE_ROWS_SHOWN = 20;
const MODEL_ROWS_SHOWN = 6;
const HOUR_MS = 3600000;
const SHANGHAI_MS = 8 * HOUR_MS;

/**
 * @param {import("./api.js").Api} api
 * @param {() => {since: number, until: number}} period
 * @param {() => Promise<void>} reload after what is shown has changed
 */
export function boardView(api, period, reload) {
  const state = { board: null, models: null, cohorts: [], table: "by_room" };

  const query = (more = {}) => new URLSearchParams({ ...period(), ...more }).toString();

  async function load(board) {
    const [models, cohorts] = await Promise.all([api.get(`/board/models?${query()}`), api.get("/board/cohorts")]);
    Object.assign(state, { board, models, cohorts: cohorts.cohorts });
    draw();
  }

  function draw() {
    if (!state.board) return;
    drawProduct();
    drawTime();
    drawFunnel();
    drawTables();
    drawModels();
    drawCohorts();
  }

  async function download(path, name) {
    try {
      save(await fetched(api, path), `${name}.csv`);
    } catch (error) {
      toast(explain(error), "error");
    }
  }

  const csv = (path, name) => doer(t("b.csv"), () => download(path, name), { "data-testid": `csv-${name}` });

  /** A part of the board as a file. */
  const file = (table) => csv(`/board?${query({ format: "csv", table })}`, table);

  const openPeople = (title, more) => openRows(title, "/board/people", more, PERSON_COLUMNS);
  const openOrders = (title, more) => openRows(title, "/board/orders", more, ORDER_COLUMNS);

  async function openRows(title, path, more, columns) {
    const window = sheet({ title, testid: "rows-sheet", closeLabel: t("common.close") });
    const items = [];
    const asked = query(more);
    const next = async (after) => {
      const page = await api.get(`${path}?${asked}&limit=${ROWS_SHOWN}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
      items.push(...page.items);
      put(
        window.body,
        h("div.panel-tools", {}, csv(`${path}?${asked}&format=csv`, "rows")),
        items.length ? rowsTable(items, columns) : h("p.empty", {}, t("b.noRows")),
        page.next && doer(t("b.more"), () => next(page.next)),
      );
    };
    try {
      await next("");
    } catch (error) {
      toast(explain(error), "error");
      window.close();
    }
  }

  function drawProduct() {
    const { product, refunded, freight } = state.board;
    const beside = [refunded && t("b.refunded", { sum: money(refunded) }), freight && t("m.besideFreight", { sum: money(freight) })];
    const figure = (name, value, open) =>
      h(
        "button.factor",
        { type: "button", "data-testid": `factor-${name}`, on: { click: open } },
        h("span.faint", {}, t(`b.${name}`)),
        h("strong.num", {}, value),
        h("small.faint", {}, name === "gmv" ? beside.filter(Boolean).join(" · ") : t(`b.${name}Hint`)),
      );
    const sign = (text) => h("span.sign", { "aria-hidden": "true" }, text);
    const paid = () => openOrders(t("m.paid"), { state: "paid" });
    const { sold } = state.board;
    const shown = sold.tills.sales > 0 ? ["online", "tills", "together"] : [];
    const chip = (side) =>
      h("span.chip", { "data-testid": `sold-${side}` }, `${t(`b.side.${side}`)} ${money(sold[side].amount)} · ${t("b.sideSales", { n: sold[side].sales, people: sold[side].payers })}`);
    put(
      $("sold-sides"),
      shown.length > 0 && h("p.models", {}, shown.map(chip)),
      shown.length > 0 && h("div.table-frame", {}, tillTable("b.outlet", state.board.by_outlet)),
      shown.length > 0 && h("div.table-frame", {}, tillTable("b.seller", state.board.by_seller)),
    );
    put(
      $("product"),
      figure("traffic", String(product.traffic), () => openPeople(t("b.traffic"), { step: "entry" })),
      sign("×"),
      figure("conversion", `${(product.conversion * 100).toFixed(1)}%`, paid),
      sign("×"),
      figure("basket", money(state.board.basket), paid),
      sign("×"),
      figure("repurchase", product.repurchase.toFixed(2), () => openOrders(t("b.repurchase"), { state: "repeat" })),
      sign("="),
      figure("gmv", money(product.gmv), paid),
    );
  }

  /** What the tills of stores sold, or who sold there. */
  function tillTable(head, rows) {
    const line = (row) =>
      h(
        "tr",
        { "data-testid": "till-row" },
        cell(head, h("strong", {}, row.name || t("m.sold.none"))),
        cell("b.receipts", String(row.receipts)),
        cell("b.members", String(row.members)),
        cell("b.gmv", h("strong.num", {}, money(row.amount))),
        cell("b.back", money(row.refunded)),
      );
    return table([head, "b.receipts", "b.members", "b.gmv", "b.back"], rows.slice(0, TABLE_ROWS_SHOWN).map(line));
  }

  function drawTime() {
    const place = $("timeline");
    const { unit_ms: unit, rows } = state.board.series;
    const { since, until } = period();
    const known = new Map(rows.map((row) => [row.at, row]));
    const first = Math.floor((since + SHANGHAI_MS) / unit) * unit - SHANGHAI_MS;
    const nothing = { visits: 0, entries: 0, clicks: 0, orders: 0, paid: 0, amount: 0 };
    const steps = [];
    for (let at = first; at < Math.min(until, Date.now()); at += unit) steps.push(known.get(at) || { at, ...nothing });
    const short = (at) => {
      const there = new Date(at + SHANGHAI_MS);
      return unit === HOUR_MS ? `${there.getUTCHours()}:00` : `${there.getUTCMonth() + 1}/${there.getUTCDate()}`;
    };
    const say = (row) => t("b.stepSays", { at: short(row.at), entries: row.entries, paid: row.paid, sum: money(row.amount) });
    put(
      place,
      h("div.panel-tools", {}, h("p.legend", {}, h("span.key-bar", {}, t("b.entered")), h("span.key-line", {}, t("b.sold"))), file("series")),
      timeline(steps, Math.max(280, place.clientWidth), {
        people: (n) => compact(n),
        money: (fen) => `¥${compact(fen / 100)}`,
        step: short,
        title: t("b.time"),
        say,
        open: (row) => openOrders(say(row), { since: row.at, until: row.at + unit }),
      }),
    );
  }

  function drawFunnel() {
    const place = $("funnel");
    const counts = state.board.funnel;
    const open = (index) => {
      const step = STEPS[index];
      if (STATES[step]) openOrders(t(`m.${step}`), { state: STATES[step] });
      else openPeople(t(`m.${step}`), { step });
    };
    const steps = STEPS.map((name) => ({ label: t(`m.${name}`), count: counts[name] || 0 }));
    put(place, funnel(steps, Math.max(260, place.clientWidth), open));
    const rejected = Object.entries(state.board.rejected || {}).map(([reason, touches]) => `${reason} × ${touches}`);
    $("rejected").textContent = rejected.length ? t("m.rejected", { text: rejected.join(", ") }) : "";
  }

  /** A role's credits with the visits of its issuers. */
  function credited(role) {
    const visits = new Map(state.board.by_issuer.map((row) => [row.issuer, row]));
    const seen = new Set(state.models[role].map((row) => row.issuer));
    const silent = state.board.by_issuer.filter((row) => row.role === role && !seen.has(row.issuer));
    const none = { orders: 0, paid: 0, amount: 0, refunded: 0 };
    return [...state.models[role], ...silent.map((row) => ({ ...row, ...none }))].map((row) => {
      const { entries, clicks } = visits.get(row.issuer) || { entries: 0, clicks: 0 };
      return { ...row, entries, clicks };
    });
  }

  function drawTables() {
    const { table } = state;
    const tab = (name) =>
      h(
        "button.small",
        {
          type: "button",
          "aria-pressed": String(name === table),
          "data-testid": `table-${name}`,
          on: {
            click: () => {
              state.table = name;
              drawTables();
            },
          },
        },
        t(`b.${name}`),
      );
    const role = ["guide", "distributor", "partner"].includes(table);
    const rows = role ? credited(table) : state.board[table];
    const address = role ? `/board?${query({ format: "csv", model: table, table: "by_issuer" })}` : `/board?${query({ format: "csv", table })}`;
    put($("tabs"), TABLES.map(tab));
    put($("tables-csv"), csv(address, table));
    put($("tables"), rows.length ? countsTable(table, rows.slice(0, TABLE_ROWS_SHOWN), role ? table : "default") : h("p.empty", {}, t("b.noRows")));
    $("costs-form").parentElement.hidden = table !== "by_campaign";
  }

  function countsTable(table, rows, model) {
    const most = Math.max(1, ...rows.map((row) => row.amount));
    const ads = table === "by_campaign";
    const clips = table === "by_clip";
    // Who watches an explanation is in the room already.
    const heads = ["name", ...(clips ? ["watched"] : ["entries", "clicks"]), "orders", "amount", ...(ads ? ["cost", "roi"] : [])];
    const named = {
      by_room: (row) => [row.title || row.room, row.host].filter(Boolean).join(" · "),
      by_host: (row) => row.host,
      by_clip: (row) => row.title || t("b.clipGone", { id: row.clip.slice(-6) }),
      by_channel: (row) => channelName(row.channel) || t("m.noChannel"),
      by_campaign: (row) => row.campaign,
    };
    const name = named[table] || ((row) => (row.issuer ? row.name || `…${row.issuer.slice(-6)}` : t("m.none")));
    const line = (row) => {
      const key = row[KEYS[table]] || "";
      const asked = { dimension: KEYS[table], key };
      const people = (step) => key !== "" && (() => openPeople(`${name(row)} · ${t(`m.${step}`)}`, { ...asked, step }));
      const sold = () => openOrders(name(row), { ...asked, model });
      const bar = h("span.stock-bar", { "aria-hidden": "true" }, h("i"));
      bar.style.setProperty("--share", String(row.amount / most));
      const cell = (label, ...content) => h("td", { "data-label": t(`b.col.${label}`) }, content);
      return h(
        "tr",
        { "data-testid": "count-row", data: { key } },
        cell("name", h("strong", {}, name(row))),
        clips && cell("watched", opener(String(row.visits), people("visit"))),
        !clips && cell("entries", opener(String(row.entries), people("entry"))),
        !clips && cell("clicks", opener(String(row.clicks), people("click"))),
        cell("orders", opener(`${row.paid}/${row.orders}`, sold)),
        cell("amount", opener(money(row.amount), sold), bar),
        ads && cell("cost", row.cost ? money(row.cost) : "—"),
        ads && cell("roi", row.roi === null ? "—" : row.roi.toFixed(2)),
      );
    };
    return h(
      "table.counts",
      {},
      h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, t(`b.col.${one}`))))),
      h("tbody", {}, rows.map(line)),
    );
  }

  function drawModels() {
    const place = $("models");
    const { issuers } = state.models;
    const nobody = issuers[issuers.length - 1];
    const shown = issuers.slice(0, -1).slice(0, MODEL_ROWS_SHOWN);
    const row = (one) => ({
      name: one.issuer ? [one.name || `…${one.issuer.slice(-6)}`, knows(`role.${one.role}`) ? t(`role.${one.role}`) : ""].filter(Boolean).join(" · ") : t("b.nobody"),
      amounts: MODELS.map((model) => one[model].amount),
    });
    put(
      place,
      h("p.legend", {}, MODELS.map((model, index) => h(`span.key-model.key-${index}`, {}, t(`model.${model}`)))),
      sideBySide([...shown, nobody].map(row), Math.max(260, place.clientWidth), { money, title: t("b.models"), model: (index) => t(`model.${MODELS[index]}`) }),
      h("p.faint", {}, t("b.modelsHint")),
    );
    put($("models-csv"), csv(`/board/models?${query({ format: "csv" })}`, "models"));
  }

  function drawCohorts() {
    put($("cohorts-csv"), csv("/board/cohorts?format=csv", "cohorts"));
    if (!state.cohorts.length) {
      put($("cohorts"), h("p.empty", {}, t("b.noCohorts")));
      return;
    }
    const day = (ms) => {
      const there = new Date(ms + SHANGHAI_MS);
      return `${there.getUTCMonth() + 1}/${there.getUTCDate()}`;
    };
    const row = (one) => t("b.week", { date: day(one.week), n: one.persons });
    const cell = (one, later) => t("b.cohortSays", { n: one.weeks[later].persons, sum: money(one.weeks[later].amount) });
    const column = (later) => (later ? t("b.later", { n: later }) : t("b.later0"));
    const open = (one, later) =>
      openRows(`${row(one)} · ${column(later)}`, "/board/cohorts/people", { week: one.week, later }, COHORT_COLUMNS);
    put($("cohorts"), cohortGrid(state.cohorts, { row, column, cell, open, title: t("b.cohorts") }));
  }

  fillCosts(api, reload);
  return { load, draw, file, openOrders, openPeople };
}

const PERSON_COLUMNS = {
  "b.person": (row) => row.name || `…${row.person.slice(-6)}`,
  "b.first": (row) => when(row.first),
  "b.last": (row) => when(row.last),
  "b.touches": (row) => String(row.touches),
};
const ORDER_COLUMNS = {
  "m.col.time": (row) => when(row.created),
  "m.col.order": (row) => `…${row.order.slice(-8)} ${row.name || ""}`,
  "m.col.amount": (row) => money(row.amount),
  "m.col.status": (row) => t(`status.${row.status}`),
  "m.col.by": (row) => (row.issuer ? row.issuer_name || `…${row.issuer.slice(-6)}` : t("m.none")),
};
const COHORT_COLUMNS = {
  "b.person": (row) => row.name || `…${row.person.slice(-6)}`,
  "b.paidAmount": (row) => money(row.amount),
};

function rowsTable(items, columns) {
  const names = Object.keys(columns);
  return h(
    "div.table-frame",
    {},
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, t(name))))),
      h(
        "tbody",
        {},
        items.map((row) =>
          h(
            "tr",
            { "data-testid": "figure-row" },
            names.map((name) => h("td", { "data-label": t(name) }, columns[name](row))),
          ),
        ),
      ),
    ),
  );
}

/** A figure that opens to its rows; plain text where there are none to show. */
function opener(text, open) {
  return open ? h("button.opener.num", { type: "button", on: { click: open } }, text) : h("span.num", {}, text);
}

function compact(value) {
  return new Intl.NumberFormat(lang() === "zh" ? "zh-CN" : "en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** What advertisements cost, from a file: checked first, and taken in whole or not at all. */
function fillCosts(api, reload) {
  const form = $("costs-form");
  put(
    form,
    field("b.file", { name: "file", type: "file", accept: ".csv,text/csv", required: true, "data-testid": "costs-file" }),
    h("button.small", { type: "submit", value: "try", "data-t": "b.try" }, t("b.try")),
    h("button.primary", { type: "submit", value: "import", "data-t": "b.import", "data-testid": "costs-import" }, t("b.import")),
    h("div.cost-report", { "data-testid": "costs-report" }),
  );
  onSend(form, async (button) => {
    const report = await sendCosts(api, form.elements.file.files[0], button === "try");
    const place = form.querySelector(".cost-report");
    const sum = money(report.cost);
    if (report.faults.length) {
      const said = (fault) => h("li", {}, t("b.fault", fault));
      put(place, h("p", {}, t("b.faults", { n: report.faults.length })), h("ul.plain", {}, report.faults.map(said)));
      return;
    }
    put(place, h("p", {}, t(report.written ? "b.imported" : "b.tried", { n: report.rows, sum })));
    if (report.written) await reload();
  });
}

async function sendCosts(api, file, tryOnly) {
  const response = await fetch(`/api/v1/board/costs${tryOnly ? "?try=1" : ""}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${api.token}`, "Content-Type": "text/csv" },
    body: file,
    signal: AbortSignal.timeout(30000),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail), { code: answer.code, status: response.status });
  return answer;
}
