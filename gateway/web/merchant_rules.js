/** What the regulator asks: switches, the licence, who hosts, takedowns. */

import { $, h, put, toast } from "./dom.js";
import { countField, doer, field, onSend, whole } from "./forms.js";
import { t, when } from "./i18n.js";
import { cell, table } from "./tables.js";

const SWITCHES = ["list_basis_required", "host_identity_required", "licence_shown", "credit_sale"];
const COUNTS = [
  ["return_days", 7, 90],
  ["keep_chat_days", 0, 36500],
  ["complaints_days", 1, 60],
  ["answer_hours", 1, 168],
  ["offer_hours", 1, 168],
  ["send_back_days", 3, 30],
  ["check_back_days", 3, 30],
  ["fault_days", 7, 365],
];
const ROWS_SHOWN = 20;

/** Draw what waits for an answer, and the records. */
export async function drawRules(api) {
  const [downs, hosts] = await Promise.all([
    api.get(`/takedowns?limit=${ROWS_SHOWN}`),
    api.get("/hosts"),
  ]);
  const again = () => drawRules(api);
  const section = (title, heads, rows) => rows.length > 0 && [h("h3", {}, t(title)), table(heads, rows)];
  put(
    $("rules"),
    section("m.r.takedowns", ["m.col.time", "m.r.kind", "m.r.ref", "m.g.why", ""], downs.items.map((one) => takedownRow(api, one, again))),
    section("m.r.hosts", ["m.col.time", "m.room", "m.col.name", ""], hosts.map((one) => hostRow(api, one))),
  );
}

function takedownRow(api, one, again) {
  const lift = async () => {
    await api.post(`/takedowns/${one.id}/lift`);
    await again();
  };
  return h(
    "tr",
    { "data-testid": "takedown-row", data: { lifted: String(Boolean(one.lifted_ms)) } },
    cell("m.col.time", when(one.created_ms)),
    cell("m.r.kind", t(`m.r.${one.kind}`)),
    cell("m.r.ref", h("span.mono", {}, one.ref)),
    cell("m.g.why", [one.reason, one.basis].filter(Boolean).join(" · ")),
    h("td.cell-toggle", {}, one.lifted_ms ? t("m.r.lifted") : one.kind === "product" && doer(t("m.r.lift"), lift)),
  );
}

function hostRow(api, one) {
  const look = async () => {
    const reason = prompt(t("m.lookWhy"));
    if (!reason) return;
    const clear = await api.post(`/hosts/${one.id}/reveal`, { reason });
    toast(`${clear.name} ${clear.number}`);
  };
  return h(
    "tr",
    { "data-testid": "host-row" },
    cell("m.col.time", when(one.created_ms), one.ended_ms && ` – ${when(one.ended_ms)}`),
    cell("m.room", h("span.mono", {}, `…${one.room.slice(-6)}`)),
    cell("m.col.name", one.shown),
    h("td.cell-toggle", {}, doer(t("m.open"), look)),
  );
}

/** The forms: switches, licence, a host's record, a takedown. */
export async function fillRules(api, again) {
  const [policy, { licence }, rooms] = await Promise.all([api.get("/policy"), api.get("/licence"), api.get("/rooms")]);
  fillPolicy(api, $("policy-form"), policy);
  fillLicence(api, $("licence-form"), licence || {});
  const host = $("host-form");
  const choices = (rooms.items || rooms).map((room) => [room.room, room.title]);
  put(
    host,
    field("m.room", { name: "room", options: choices, required: true }),
    field("m.col.name", { name: "name", required: true, maxlength: 60 }),
    field("m.r.document", { name: "number", required: true, minlength: 6, maxlength: 20 }),
    h("button.primary", { type: "submit" }, t("m.r.record")),
  );
  onSend(host, async () => {
    const { room, name, number } = host.elements;
    await api.post("/hosts", { room: room.value, name: name.value.trim(), number: number.value.trim() });
    host.reset();
    await again();
  });
  const down = $("takedown-form");
  put(
    down,
    field("m.r.kind", { name: "kind", options: ["product", "room"].map((kind) => [kind, t(`m.r.${kind}`)]) }),
    field("m.r.ref", { name: "ref", required: true, maxlength: 64 }),
    field("m.g.why", { name: "reason", required: true, maxlength: 200 }),
    field("m.r.basis", { name: "basis", maxlength: 200 }),
    h("button.primary", { type: "submit" }, t("m.r.takeDown")),
  );
  onSend(down, async () => {
    const { kind, ref, reason, basis } = down.elements;
    const body = { kind: kind.value, ref: ref.value.trim(), reason: reason.value.trim(), basis: basis.value.trim() };
    await api.post("/takedowns", body);
    down.reset();
    await again();
  });
}

function fillPolicy(api, form, policy) {
  put(
    form,
    COUNTS.map(([name, min, max]) =>
      countField(`m.r.${name}`, name, { value: String(policy[name]), min: String(min), max: String(max), required: true, "data-testid": `policy-${name}` }),
    ),
    SWITCHES.map((name) => field(`m.r.${name}`, { name, type: "checkbox", checked: policy[name], "data-testid": `policy-${name}` })),
    field("m.r.back_to", { name: "back_to", value: policy.back_to, maxlength: 200, wide: true, "data-testid": "policy-back_to" }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "policy-save" }, t("m.r.save"))),
  );
  onSend(form, async () => {
    const counts = COUNTS.map(([name]) => [name, whole(form, name)]);
    const switches = SWITCHES.map((name) => [name, form.elements[name].checked]);
    await api.request("PUT", "/policy", { ...Object.fromEntries([...counts, ...switches]), back_to: form.elements.back_to.value.trim() });
    toast(t("m.p.saved"), "good");
  });
}

function fillLicence(api, form, licence) {
  put(
    form,
    ["company", "number", "address", "image"].map((name) =>
      field(`m.r.${name}`, { name, value: licence[name] || "", required: name === "company" || name === "number", maxlength: 200, wide: true, "data-testid": `licence-${name}` }),
    ),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "licence-save" }, t("m.r.save"))),
  );
  onSend(form, async () => {
    const values = ["company", "number", "address", "image"].map((name) => [name, form.elements[name].value.trim()]);
    await api.request("PUT", "/licence", { ...Object.fromEntries(values), permits: licence.permits || [] });
    toast(t("m.p.saved"), "good");
  });
}
