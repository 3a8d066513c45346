/** Customers: who is who, whose customer, what they agreed to; keys that two claim; lists of members. */

import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field } from "./forms.js";
import { explain, knows, t, when } from "./i18n.js";
import { personTags } from "./merchant_crm.js";
import { drawCandidates, relations } from "./merchant_relations.js";
import { cell, table } from "./tables.js";

const PEOPLE_SHOWN = 20;
const IMPORT_TIMEOUT_MS = 30000;

const word = (prefix, name) => (knows(`${prefix}.${name}`) ? t(`${prefix}.${name}`) : name);

const NONE = { items: [] };
/** What is not for an account with a part of the shop is not there for it. */
const closed = (instead) => (error) => {
  if (error.status !== 403) throw error;
  return instead;
};

/** Draw the panel; says whether there is one for this account. */
export async function drawPeople(api) {
  const [people, conflicts] = await Promise.all([
    api.get(`/people?limit=${PEOPLE_SHOWN}`).catch(closed(null)),
    api.get("/conflicts").catch(closed(NONE)),
  ]);
  if (!people) return false;
  const again = () => drawPeople(api);
  put(
    $("people"),
    people.items.length
      ? table(
          ["m.col.name", "m.col.phone", "m.col.keys", "m.col.last", ""],
          people.items.map((one) => personRow(api, one, again)),
        )
      : h("p.empty", {}, "—"),
  );
  await drawCandidates(api);
  put($("conflicts"), conflicts.items.length ? conflictTable(api, conflicts.items, again) : null);
  return true;
}

function personRow(api, one, again) {
  return h(
    "tr",
    { "data-testid": "person-row", data: { person: one.person } },
    cell("m.col.name", one.name || `…${one.person.slice(-6)}`),
    cell("m.col.phone", one.phone || "—"),
    cell("m.col.keys", one.kinds.map((kind) => h("span.chip", {}, word("kind", kind)))),
    cell("m.col.last", when(one.last)),
    h("td.cell-toggle", {}, doer(t("m.open"), () => openPerson(api, one.person, again), { "data-testid": "person-open" })),
  );
}

async function openPerson(api, id, again) {
  const path = `/people/${encodeURIComponent(id)}`;
  const [person, bindings, merges, tags] = await Promise.all([
    api.get(path),
    api.get(`${path}/bindings`).catch(closed([])),
    api.get(`/merges?person=${encodeURIComponent(id)}`).catch(closed(NONE)),
    personTags(api, id).catch(closed([])),
  ]);
  const window = sheet({
    title: person.name || `…${id.slice(-6)}`,
    testid: "person-sheet",
    closeLabel: t("common.close"),
  });
  const whole = h("strong.mono", { "data-testid": "whole-phone" }, person.phone?.masked || "—");
  const look = async () => {
    const reason = prompt(t("m.lookWhy"));
    if (reason) whole.textContent = (await api.post(`${path}/phone`, { reason })).phone;
  };
  const undo = async (merge) => {
    await api.post(`/merges/${merge.id}/undo`);
    window.close();
    toast(t("m.undone"), "good");
    await again();
  };
  const line = (left, ...right) => h("li", {}, h("span", {}, left), right);
  put(
    window.body,
    h("p", {}, whole, " ", person.phone && doer(t("m.look"), look)),
    relations(api, path),
    tags,
    h("b", {}, t("m.col.keys")),
    h("ul.plain", {}, person.identities.map((key) => line(word("kind", key.kind), h("span.faint", {}, when(key.since))))),
    h("b", {}, t("m.bindings")),
    bindings.length
      ? h(
          "ul.plain",
          {},
          bindings.map((one) =>
            line(
              `${word("role", one.role)} …${one.issuer.slice(-6)}`,
              h("span.faint", {}, `${when(one.bound_ms)} · ${one.closed_why || t("m.now")}`),
            ),
          ),
        )
      : h("p.faint", {}, t("m.noBindings")),
    h("b", {}, t("m.consents")),
    person.consents.length
      ? h(
          "ul.plain",
          {},
          person.consents.map((one) =>
            line(
              `${word("purpose", one.purpose)}: ${t(one.granted ? "m.yes" : "m.no")}`,
              h("span.faint", {}, `${when(one.at)} · ${one.source}`),
            ),
          ),
        )
      : h("p.faint", {}, t("m.noConsents")),
    merges.items.length > 0 && h("b", {}, t("m.merges")),
    h(
      "ul.plain",
      {},
      merges.items.map((one) =>
        line(
          `…${one.younger.slice(-6)} → …${one.elder.slice(-6)}`,
          h("span.faint", {}, `${when(one.merged_ms)} · ${one.reason || one.cause}`),
          one.undone_ms ? h("span.chip", {}, t("m.undone")) : doer(t("m.undo"), () => undo(one)),
        ),
      ),
    ),
  );
}

function conflictTable(api, conflicts, again) {
  const decide = (conflict, decision) =>
    doer(
      t(`m.decide.${decision}`),
      async () => {
        await api.post(`/conflicts/${conflict.id}`, { decision });
        await again();
      },
      { "data-testid": `decide-${decision}` },
    );
  return h(
    "div",
    {},
    h("h3", {}, t("m.conflicts")),
    table(
      ["m.col.time", "m.col.cause", "m.col.name", "m.col.phone", ""],
      conflicts.map((one) =>
        h(
          "tr",
          { "data-testid": "conflict-row" },
          cell("m.col.time", when(one.created_ms)),
          cell("m.col.cause", word("cause", one.cause)),
          cell("m.col.name", `${one.name || `…${one.person.slice(-6)}`} / ${one.other_name || `…${one.other.slice(-6)}`}`),
          cell("m.col.phone", one.phone || "—"),
          h("td.cell-toggle", {}, ["merged", "split", "dismissed"].map((decision) => decide(one, decision))),
        ),
      ),
    ),
  );
}

/** The form that takes in a list of members. */
export function fillImport(api, form) {
  const report = h("div", { "data-testid": "import-report" });
  put(
    form,
    field("m.file", { name: "file", type: "file", accept: ".csv,text/csv", required: true }),
    field("m.basis", {
      name: "basis",
      options: ["membership_form", "consent", "contract", "store_register"].map((one) => [one, t(`basis.${one}`)]),
    }),
    field("m.source", { name: "source", required: true, maxlength: 200 }),
    h("button.small", { type: "submit", value: "1", "data-t": "m.tryOnly" }, t("m.tryOnly")),
    h("button.primary", { type: "submit", value: "", "data-t": "m.import" }, t("m.import")),
    report,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { file, basis, source } = form.elements;
    const query = new URLSearchParams({ basis: basis.value, source: source.value.trim() });
    if (event.submitter?.value) query.set("try", "1");
    try {
      const response = await fetch(`/api/v1/people/import?${query}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${api.token}` },
        body: await file.files[0].arrayBuffer(),
        signal: AbortSignal.timeout(IMPORT_TIMEOUT_MS),
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail);
      const faults = answer.faults.map((one) => h("li", {}, `${t("m.line", { n: one.line })} ${one.column}: ${one.message}`));
      const done = answer.written ? t("m.imported", answer) : t("m.notImported", { rows: answer.rows, n: answer.faults.length });
      put(report, h("p", {}, done), faults.length > 0 && h("ul.plain", {}, faults));
      if (answer.written) await drawPeople(api);
    } catch (error) {
      toast(explain(error), "error");
    }
  });
}
