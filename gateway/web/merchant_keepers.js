/** Assistants and moderators by appointment: of a room, of a part's rooms, of all; who made them, and the journal. */

import { $, h, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, lang, t, when } from "./i18n.js";
import { cell, table } from "./tables.js";

const MEMBERS_SHOWN = 200;
const CUSTOMERS_SHOWN = 100;
const STEPS_SHOWN = 50;
/** Who appoints for more than a room that they host. */
const HEADS = ["merchant", "owner", "manager"];
const BY_ID = "…";

addStrings({
  "kp.panel": ["房管与助理", "Moderators and assistants"],
  "kp.hint": [
    "房管维持秩序，可以是观众；助理还管商品和订单，须有账号。也可以在直播间控制台对单个房间任命房管。",
    "Moderators keep order and may be viewers. Assistants handle goods and orders too, and have an account. A room's console makes moderators of that room, too.",
  ],
  "kp.none": ["还没有任命过人", "Nobody is appointed yet"],
  "kp.appoint": ["任命", "Appoint"],
  "kp.who": ["谁", "Who"],
  "kp.accounts": ["账号", "Accounts"],
  "kp.customers": ["最近的顾客", "Recent customers"],
  "kp.byId": ["按编号…", "By id…"],
  "kp.id": ["顾客或账号的编号", "Id of the customer or account"],
  "kp.where": ["在哪里", "Where"],
  "kp.all": ["全部直播间", "All rooms"],
  "kp.parts": ["组织（含下级的直播间）", "Parts, with the rooms below"],
  "kp.rooms": ["单个直播间", "Single rooms"],
  "kp.gone": ["已不在的地方", "a place that is gone"],
  "kp.by": ["任命人", "Appointed by"],
  "kp.staff": ["操作人", "By"],
  "kp.since": ["从", "Since"],
  "kp.takeBack": ["收回", "Take back"],
  "kp.sure": ["立即生效。", "It holds at once."],
  "kp.done": ["已任命 {name}", "{name} is appointed"],
  "kp.takenBack": ["已收回 {name} 的任命", "Taken back from {name}"],
  "kp.journal": ["任命记录", "Journal"],
  "kp.step": ["事项", "What"],
  "kp.appointed": ["任命", "appointed"],
  "kp.dismissed": ["收回", "taken back"],
  "kp.older": ["更早", "Older"],
  "kp.noSteps": ["还没有记录", "Nothing yet"],
});

const state = { places: new Map(), filled: "", chosen: "", heard: false };

/** Draw the panel; it stays away from who appoints nobody. `role` is the account's seat. */
export async function drawKeepers(api, role, rooms) {
  const panel = $("keepers-panel");
  panel.hidden = !HEADS.includes(role);
  if (panel.hidden) return;
  const [org, found] = await Promise.all([api.get("/org"), api.get("/keepers?rooms=1")]);
  state.places = placesOf(org, rooms);
  const again = () => drawKeepers(api, role, rooms);
  const filter = placeChoice({ "aria-label": t("kp.where"), "data-testid": "keeper-filter" }, true);
  filter.value = state.chosen;
  filter.addEventListener("change", () => {
    state.chosen = filter.value;
    again();
  });
  const shown = found.items.filter((one) => !state.chosen || keyOf(one) === state.chosen);
  put(
    $("keepers"),
    found.items.length > 0 && h("div.panel-tools", {}, filter),
    shown.length
      ? table(["m.col.name", "m.col.role", "kp.where", "kp.by", "kp.since", ""], shown.map((one) => keeperRow(api, one, found.items, again)))
      : h("p.empty", {}, t("kp.none")),
  );
  await fillForm(api, again);
  if (!state.heard) $("keeper-journal").addEventListener("toggle", () => $("keeper-journal").open && drawSteps(api));
  state.heard = true;
  if ($("keeper-journal").open) await drawSteps(api);
}

const keyOf = (one) => `${one.kind} ${one.place}`;

/** Every place that this account may appoint for: key → {kind, place, name}. */
function placesOf(org, rooms) {
  const places = new Map();
  const add = (kind, place, name) => places.set(`${kind} ${place}`, { kind, place, name });
  // The whole shop is of whoever has no part of it alone.
  const root = org.nodes.find((node) => node.node === org.seat.node);
  if (org.seat.role === "merchant" || root?.kind === "group") add("all", "", t("kp.all"));
  for (const node of org.nodes) if (!node.closed) add("node", node.node, `${node.name}（${t(`node.${node.kind}`)}）`);
  for (const room of rooms) add("room", room.room, room.title);
  return places;
}

function placeChoice(props, any) {
  const group = (kind) => {
    const found = [...state.places].filter(([, one]) => one.kind === kind);
    const label = { node: "kp.parts", room: "kp.rooms" }[kind];
    const options = found.map(([key, one]) => h("option", { value: key }, one.name));
    return label && options.length ? h("optgroup", { label: t(label) }, options) : options;
  };
  return h("select", props, any && h("option", { value: "" }, "—"), ["all", "node", "room"].map(group));
}

const placeName = (one) => state.places.get(keyOf(one))?.name || (one.kind === "all" ? t("kp.all") : t("kp.gone"));

function keeperRow(api, one, all, again) {
  const back = async () => {
    await api.request("DELETE", pathOf(one.person, one));
    toast(t("kp.takenBack", { name: one.name }), "good");
    await again();
  };
  const sure = h("span.sure", {}, h("span.faint", {}, t("kp.sure")), doer(t("kp.takeBack"), back, { "data-testid": "keeper-back" }));
  return h(
    "tr",
    { "data-testid": "keeper-row", data: { person: one.person, kind: one.kind } },
    cell("m.col.name", h("strong", {}, one.name)),
    cell("m.col.role", h("span.chip", {}, t(`seat.${one.role}`))),
    cell("kp.where", placeName(one)),
    cell("kp.by", one.by_name),
    cell("kp.since", when(one.since)),
    h("td.cell-toggle", {}, h("details.inline", {}, h("summary", {}, t("kp.takeBack")), sure)),
  );
}

function pathOf(person, place) {
  const who = encodeURIComponent(person);
  if (place.kind === "room") return `/rooms/${encodeURIComponent(place.place)}/keepers/${who}`;
  return place.kind === "node" ? `/keepers/${who}?node=${encodeURIComponent(place.place)}` : `/keepers/${who}`;
}

async function fillForm(api, again) {
  // Half a form is not thrown away by the next look.
  const shown = `${lang()} ${[...state.places.keys()].join()}`;
  if (state.filled === shown) return;
  const none = { items: [] };
  const closed = (error) => {
    if (error.status !== 403) throw error;
    return none;
  };
  const [members, people] = await Promise.all([
    api.get(`/org/members?limit=${MEMBERS_SHOWN}`).catch(closed),
    api.get(`/people?limit=${CUSTOMERS_SHOWN}`).catch(closed),
  ]);
  state.filled = shown;
  const accounts = members.items.filter((one) => !one.left);
  const options = (list) => list.map(([id, name]) => h("option", { value: id }, name));
  const who = h(
    "select",
    { name: "who", required: true },
    accounts.length > 0 && h("optgroup", { label: t("kp.accounts") }, options(accounts.map((one) => [one.staff, `${one.name} · ${one.login}`]))),
    people.items.length > 0 &&
      h("optgroup", { label: t("kp.customers") }, options(people.items.map((one) => [one.person, [one.name || `…${one.person.slice(-6)}`, one.phone].filter(Boolean).join(" · ")]))),
    h("option", { value: BY_ID }, t("kp.byId")),
  );
  const form = $("keeper-form");
  const id = field("kp.id", { name: "id", maxlength: 64 });
  const role = field("m.col.role", { name: "role", options: ["moderator", "assistant"].map((one) => [one, t(`seat.${one}`)]) });
  put(
    form,
    h("label.field", {}, h("span", {}, t("kp.who")), who),
    id,
    role,
    h("label.field.wide-field", {}, h("span", {}, t("kp.where")), placeChoice({ name: "place", required: true }, false)),
    h("div.form-foot", {}, h("button.primary", { type: "submit" }, t("kp.appoint"))),
  );
  const staff = new Set(accounts.map((one) => one.staff));
  const suit = () => {
    const typed = who.value === BY_ID;
    id.hidden = !typed;
    id.querySelector("input").required = typed;
    const customer = !typed && !staff.has(who.value);
    const choice = role.querySelector("select");
    if (customer) choice.value = "moderator";
    choice.querySelector('[value="assistant"]').disabled = customer;
  };
  who.addEventListener("change", suit);
  suit();
  if (form.dataset.heard) return;
  form.dataset.heard = "true";
  onSend(form, async () => {
    const { who: chosen, id: typed, role: made, place } = form.elements;
    const person = chosen.value === BY_ID ? typed.value.trim() : chosen.value;
    const name = chosen.value === BY_ID ? person : chosen.selectedOptions[0].textContent;
    const at = state.places.get(place.value);
    const body = at.kind === "node" ? { role: made.value, node: at.place } : { role: made.value };
    await api.request("PUT", pathOf(person, { ...at, kind: at.kind === "node" ? "all" : at.kind }), body);
    toast(t("kp.done", { name }), "good");
    await again();
  });
}

async function drawSteps(api) {
  const body = h("tbody");
  const heads = ["m.col.time", "m.col.name", "kp.step", "m.col.role", "kp.where", "kp.staff"];
  const older = h("div.panel-tools");
  const more = async (after) => {
    const found = await api.get(`/keepers/journal?limit=${STEPS_SHOWN}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    body.append(...found.items.map(stepRow));
    put(older, found.next ? doer(t("kp.older"), () => more(found.next)) : null);
    return found.items.length;
  };
  const any = await more(null);
  const framed = table(heads, []);
  framed.querySelector("tbody").replaceWith(body);
  put($("keeper-steps"), any ? h("div.table-frame", {}, framed) : h("p.empty", {}, t("kp.noSteps")), older);
}

function stepRow(one) {
  return h(
    "tr",
    { "data-testid": "keeper-step", data: { step: one.step } },
    cell("m.col.time", when(one.at)),
    cell("m.col.name", one.name),
    cell("kp.step", t(`kp.${one.step}`)),
    cell("m.col.role", t(`seat.${one.role}`)),
    cell("kp.where", placeName(one)),
    cell("kp.staff", one.by_name),
  );
}
