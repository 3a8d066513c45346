/** Distribution: terms and rates, distributors with what they earn, withdrawals, commission that waits. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { knows, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { CATEGORY } from "./merchant_products.js";
import { cell, table } from "./tables.js";

const NUMBERS = ["valid_days", "protection_days", "window_days", "levels", "cap_percent", "freeze_days"];
const word = (prefix, name) => (knows(`${prefix}.${name}`) ? t(`${prefix}.${name}`) : name);
const percent = (bp) => `${bp / 100}%`;

/** Draw the panel. */
export async function drawDistribution(api) {
  const [rates, distributors, withdrawals, held] = await Promise.all([
    api.get("/distribution/rates"),
    api.get("/distributors?limit=100"),
    api.get("/withdrawals?limit=50"),
    api.get("/commission/held"),
  ]);
  const again = () => drawDistribution(api);
  put(
    $("rates"),
    rates.length
      ? rates.map((rate) =>
          h(
            "span.chip",
            { "data-testid": "rate" },
            `${word("scope", rate.scope)} ${rate.target && `${rate.scope === "sku" ? `…${rate.target.slice(-6)}` : rate.target} `}${percent(rate.first_bp)}`,
            rate.second_bp ? ` + ${percent(rate.second_bp)}` : "",
          ),
        )
      : h("span.faint", {}, t("m.noRates")),
  );
  put(
    $("distributors"),
    distributors.items.length
      ? table(
          ["m.col.name", "m.col.level", "m.col.status", "m.col.available", ""],
          distributors.items.map((one) => distributorRow(api, one, again)),
        )
      : h("p.empty", {}, t("m.noDistributors")),
  );
  put($("withdrawals"), withdrawals.items.length ? withdrawalTable(api, withdrawals.items, again) : null);
  put($("held"), held.length ? heldTable(api, held, again) : null);
}

function distributorRow(api, one, again) {
  const turn = one.state === "active" ? "disabled" : "active";
  const change = async () => {
    await api.request("PATCH", `/distributors/${encodeURIComponent(one.person)}`, { state: turn });
    await again();
  };
  return h(
    "tr",
    { "data-testid": "distributor-row", data: { person: one.person, state: one.state } },
    cell("m.col.name", one.name),
    cell("m.col.level", one.level || "—"),
    cell("m.col.status", h("span.chip", { data: { state: one.state } }, word("dist", one.state))),
    cell("m.col.available", h("strong.num", {}, money(one.available))),
    h(
      "td.cell-toggle",
      {},
      doer(t("m.statement"), () => openStatement(api, one), { "data-testid": "statement-open" }),
      doer(t(`m.turn.${turn}`), change, { "data-testid": "distributor-turn" }),
    ),
  );
}

/** A rate's name (`scope:target`) in words; the line itself says which SKU it is, and the person which level. */
function rateWords(rate) {
  const [scope, ...target] = rate.split(":");
  return scope === "category" ? `${word("scope", scope)} ${target.join(":")}` : word("scope", scope);
}

async function openStatement(api, one) {
  const found = await api.get(`/distributors/${encodeURIComponent(one.person)}/commission`);
  const window = sheet({ title: one.name, testid: "statement-sheet", closeLabel: t("common.close") });
  const figure = (name) =>
    h("div.figure", {}, h("span.faint", {}, t(`m.comm.${name}`)), h("strong.num", {}, money(found[name])));
  put(
    window.body,
    h("div.figures", {}, ["pending", "frozen", "available", "leaving"].map(figure)),
    doer(t("m.month"), () => saveMonth(api, one), { "data-testid": "statement-month" }),
    found.items.length
      ? table(
          ["m.col.time", "m.col.order", "m.col.rate", "m.col.amount", "m.col.status"],
          found.items.map((row) =>
            h(
              "tr",
              { "data-testid": "earning-row" },
              cell("m.col.time", when(row.created)),
              cell("m.col.order", h("span.mono", {}, `…${row.order.slice(-8)}`), ` ${row.title}`),
              cell("m.col.rate", `${rateWords(row.rate)} ${percent(row.rate_bp)} × ${money(row.base)}`),
              cell(
                "m.col.amount",
                h("strong.num", {}, money(row.amount - row.reversed)),
                row.reversed ? h("small.faint", {}, ` ${money(row.amount)} − ${money(row.reversed)}`) : null,
              ),
              cell(
                "m.col.status",
                h("span.chip", {}, word("comm", row.state)),
                row.held ? h("span.chip", {}, word("held", row.held)) : null,
              ),
            ),
          ),
        )
      : h("p.empty", {}, t("m.noEarnings")),
  );
}

/** This month's movements, for a spreadsheet. */
async function saveMonth(api, one) {
  const path = `/distributors/${encodeURIComponent(one.person)}/commission/days?format=csv`;
  save(await fetched(api, path), `commission-${one.person}.csv`);
}

function withdrawalTable(api, rows, again) {
  const decide = (row, decision) =>
    doer(
      t(`m.withdraw.${decision}`),
      async () => {
        const body = { decision };
        if (decision === "paid") {
          body.number = prompt(t("m.transferNumber")) || "";
          if (!body.number) return;
        }
        await api.post(`/withdrawals/${row.withdrawal}`, body);
        await again();
      },
      { "data-testid": `withdraw-${decision}` },
    );
  const steps = { requested: ["approved", "rejected"], approved: ["transfer", "paid", "rejected"] };
  return h(
    "div",
    {},
    h("h3", {}, t("m.withdrawals")),
    table(
      ["m.col.time", "m.col.name", "m.col.amount", "m.col.status", ""],
      rows.map((row) =>
        h(
          "tr",
          { "data-testid": "withdrawal-row", data: { withdrawal: row.withdrawal, state: row.state } },
          cell("m.col.time", when(row.created)),
          cell("m.col.name", `…${row.person.slice(-6)}`),
          cell(
            "m.col.amount",
            h("strong.num", {}, money(row.amount)),
            row.tax ? h("small.faint", {}, ` ${t("m.taxOf", { tax: money(row.tax) })}`) : null,
          ),
          cell(
            "m.col.status",
            h("span.chip", {}, word("withdrawal", row.state)),
            row.number ? ` ${row.number}` : "",
            row.reason ? h("small.faint", {}, ` ${row.reason}`) : null,
          ),
          h("td.cell-toggle", {}, (steps[row.state] || []).map((decision) => decide(row, decision))),
        ),
      ),
    ),
  );
}

function heldTable(api, rows, again) {
  const clear = async (row) => {
    await api.post(`/commission/${row.commission}/clear`);
    await again();
  };
  return h(
    "div",
    {},
    h("h3", {}, t("m.held")),
    table(
      ["m.col.time", "m.col.order", "m.col.amount", "m.col.cause", ""],
      rows.map((row) =>
        h(
          "tr",
          { "data-testid": "held-row" },
          cell("m.col.time", when(row.created)),
          cell("m.col.order", h("span.mono", {}, `…${row.order.slice(-8)}`)),
          cell("m.col.amount", money(row.amount - row.reversed)),
          cell("m.col.cause", word("held", row.held)),
          h("td.cell-toggle", {}, doer(t("m.clear"), () => clear(row))),
        ),
      ),
    ),
  );
}

/** The forms of terms and rates. */
export async function fillDistribution(api) {
  const terms = await api.get("/distribution");
  const form = $("terms-form");
  put(
    form,
    field("m.bind", { name: "bind", options: ["off", "first", "register", "override"].map((one) => [one, t(`bind.${one}`)]) }),
    NUMBERS.map((name) => field(`terms.${name}`, { name, type: "number", step: "1", required: true, value: terms[name] })),
    field("m.tax", { name: "tax", options: ["off", "labour"].map((one) => [one, t(`tax.${one}`)]) }),
    field("terms.self_purchase", { name: "self_purchase", options: [["", t("m.no")], ["1", t("m.yes")]] }),
    h("button.primary", { type: "submit", "data-t": "m.save" }, t("m.save")),
  );
  form.elements.bind.value = terms.bind;
  form.elements.tax.value = terms.tax;
  form.elements.self_purchase.value = terms.self_purchase ? "1" : "";
  onSend(form, async () => {
    const body = Object.fromEntries(NUMBERS.map((name) => [name, Number.parseInt(form.elements[name].value, 10)]));
    body.bind = form.elements.bind.value;
    body.tax = form.elements.tax.value;
    body.self_purchase = Boolean(form.elements.self_purchase.value);
    await api.request("PUT", "/distribution", body);
    toast(t("m.saved"), "good");
  });
  const rate = $("rate-form");
  put(
    rate,
    field("m.scope", { name: "scope", options: ["shop", "level", "category", "sku"].map((one) => [one, t(`scope.${one}`)]) }),
    field("m.target", { name: "target", maxlength: 64 }),
    field("m.first", { name: "first", type: "number", min: "0", max: "100", step: "0.01", required: true }),
    field("m.second", { name: "second", type: "number", min: "0", max: "100", step: "0.01", value: "0" }),
    h("button.primary", { type: "submit", "data-t": "m.setRate" }, t("m.setRate")),
  );
  const { scope: kind, target: typed } = rate.elements;
  kind.addEventListener("change", () => {
    if (kind.value === "category") typed.setAttribute("list", CATEGORY.list);
    else typed.removeAttribute("list");
  });
  const bp = (name) => Math.round(Number.parseFloat(rate.elements[name].value || "0") * 100);
  onSend(rate, async () => {
    const { scope, target } = rate.elements;
    await api.request("PUT", "/distribution/rates", {
      scope: scope.value,
      target: target.value.trim(),
      first_bp: bp("first"),
      second_bp: bp("second"),
    });
    await drawDistribution(api);
  });
}
