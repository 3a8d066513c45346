/** Community groups: join code, rules, members by activity, stage, proposals; and what a group's links brought. */

import { knowGroups } from "./channels.js";
import { $, copy, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { knows, money, t, when } from "./i18n.js";
import { fetched, save } from "./files.js";
import { cell, table } from "./tables.js";

const path = (one) => `/communities/${encodeURIComponent(one.community)}`;
const stage = (name) => h("span.chip", { data: { stage: name } }, t(`m.q.stage.${name}`));
const part = (name) => (knows(`m.q.part.${name}`) ? t(`m.q.part.${name}`) : name);

/**
 * Draw the panel.
 * @param {import("./api.js").Api} api
 * @param {any[]} rooms
 */
export async function drawCommunities(api, rooms) {
  const found = await api.get("/communities?limit=50");
  knowGroups(found.items);
  const again = () => drawCommunities(api, rooms);
  $("groups-panel").hidden = false;
  put(
    $("groups"),
    found.items.length
      ? table(
          ["m.q.name", "m.q.stage", "m.q.members", "m.q.joined", "m.q.active", ""],
          found.items.map((one) => row(api, one, again)),
        )
      : h("p.empty", {}, t("m.q.empty")),
  );
  const form = $("group-form");
  if (!form.children.length) fillForm(api, form, rooms, again);
}

function row(api, one, again) {
  return h(
    "tr",
    { "data-testid": "group-row", data: { community: one.community } },
    cell("m.q.name", h("strong", {}, one.name)),
    cell("m.q.stage", stage(one.stage)),
    cell("m.q.members", h("span.num", {}, String(one.members))),
    cell("m.q.joined", h("span.num", {}, String(one.joined))),
    cell("m.q.active", h("span.num", {}, String(one.active))),
    h(
      "td.cell-toggle",
      {},
      doer(t("m.q.code"), () => openCode(api, one), { "data-testid": "group-code" }),
      doer(t("m.q.post"), () => copyLink(api, one), { "data-testid": "group-link" }),
      doer(t("m.open"), () => openBoard(api, one, again), { "data-testid": "group-open" }),
    ),
  );
}

async function openCode(api, one) {
  const window = sheet({ title: `${one.name} · ${t("m.q.code")}`, testid: "group-code-sheet", closeLabel: t("common.close") });
  const code = await fetched(api, `${path(one)}/code`);
  const png = async () => save(await fetched(api, `${path(one)}/code?format=png`), `group-${one.community}.png`);
  put(window.body, h("img.poster", { src: code, alt: t("m.q.code") }), h("div.form-foot", {}, doer(t("m.savePng"), png)));
}

async function copyLink(api, one) {
  const link = await api.post(`${path(one)}/links`, {});
  const url = new URL(link.url, location.origin).href;
  if (await copy(url)) toast(`${t("m.copied")} ${url}`, "good");
}

async function openBoard(api, one, again) {
  const window = sheet({ title: one.name, testid: "group-sheet", closeLabel: t("common.close") });
  const load = async () => {
    const board = await api.get(path(one));
    put(window.body, boardBody(api, board, load));
    await again();
  };
  const board = await api.get(path(one));
  put(window.body, boardBody(api, board, load));
}

function boardBody(api, board, again) {
  const { group } = board;
  const figure = (label, value) => h("div.figure", {}, h("span.faint", {}, t(label)), h("strong.num", {}, value));
  const proposed = board.members.filter((one) => board.proposed.includes(one.person));
  const role = (one, to, text, testid) =>
    doer(
      t(text),
      async () => {
        await api.request("PUT", `${path(group)}/members/${encodeURIComponent(one.person)}`, { role: to });
        await again();
      },
      { "data-testid": testid },
    );
  const name = (one) => one.name || `…${one.person.slice(-6)}`;
  const because = (one) => one.parts.map((counted) => `${part(counted.name)} ${counted.n} → ${counted.points}`).join("，");
  const member = (one) =>
    h(
      "li",
      { "data-testid": "group-member" },
      h("span", {}, h("strong", {}, name(one)), " ", one.role === "leader" ? h("span.chip", {}, t("m.q.leader")) : null),
      h("span.faint", {}, `${t("m.q.score", { n: one.score })} · ${because(one) || "—"}`),
      one.rules < group.rules_version ? h("span.faint", {}, t("m.q.oldRules")) : null,
      h("span.faint", {}, when(one.joined)),
      one.role === "leader" ? role(one, "member", "m.q.unlead", "group-unlead") : role(one, "leader", "m.q.lead", "group-lead"),
      role(one, "removed", "m.q.remove", "group-remove"),
    );
  const formula = board.formula.map((one) => t("m.q.formulaPart", { name: part(one.name), points: one.points, per_day: one.per_day, most: one.most }));
  const rules = h("textarea", { name: "rules", rows: 5, maxlength: 3000 });
  rules.value = group.rules;
  const form = h("form.form-grid", {}, h("label.field.wide-field", {}, h("span", {}, t("m.q.rules")), rules), h("div.form-foot", {}, h("button.small", { type: "submit" }, t("m.q.newRules"))));
  onSend(form, async () => {
    await api.request("PATCH", path(group), { rules: rules.value.trim() });
    toast(t("m.q.rulesKept"), "good");
    await again();
  });
  const close = async () => {
    if (!globalThis.confirm(t("m.q.closeSure"))) return;
    await api.request("PATCH", path(group), { closed: true });
    document.querySelector("dialog[open]")?.close();
    await again();
  };
  return [
    h("p", {}, stage(group.stage), " ", h("span.faint", {}, t(`m.q.why.${group.stage}`))),
    h(
      "div.figures.org-figures",
      {},
      figure("m.q.members", String(group.members)),
      figure("m.q.joined", String(group.joined)),
      figure("m.q.active", String(group.active)),
      figure("m.q.visits", String(board.visits)),
      figure("m.q.entries", String(board.entries)),
      figure("m.q.orders", `${board.orders} · ${money(board.amount)}`),
    ),
    proposed.length > 0 && h("b", {}, t("m.q.proposed")),
    proposed.length > 0 && h("p.models", {}, proposed.map((one) => h("span.chip", { "data-testid": "group-proposed" }, `${name(one)} ${one.score}`))),
    h("b", {}, t("m.q.members")),
    h("ul.plain", {}, board.members.map(member)),
    h("details", {}, h("summary", {}, t("m.q.formula")), h("ul.plain", {}, formula.map((line) => h("li", {}, line)))),
    h("details", {}, h("summary", {}, t("m.q.rules")), form),
    h("div.form-foot", {}, doer(t("m.q.close"), close)),
  ];
}

function fillForm(api, form, rooms, again) {
  const rules = h("textarea", { name: "rules", rows: 4, maxlength: 3000, required: true, "data-testid": "group-rules" });
  rules.value = t("m.q.rulesValue");
  put(
    form,
    field("m.q.name", { name: "name", required: true, maxlength: 60, wide: true, "data-testid": "group-name" }),
    field("m.k.room", { name: "room", options: [...rooms.map((room) => [room.room, room.title]), ["", t("m.k.noRoom")]] }),
    h("label.field.wide-field", {}, h("span", { "data-t": "m.q.rules" }, t("m.q.rules")), rules),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "group-make" }, t("m.q.make"))),
  );
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  onSend(form, async () => {
    const { name, room, rules: written } = form.elements;
    await api.post("/communities", { name: name.value.trim(), room: room.value, rules: written.value.trim() });
    name.value = "";
    await again();
  });
}
