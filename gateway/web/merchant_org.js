/** The organisation: sums that roll up and open node by node, accounts with their seats, whose the rooms are. */

import { rows } from "./api.js";
import { $, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { lang, money, t, when } from "./i18n.js";

const KINDS = ["group", "brand", "dealer", "store", "guide"];
const ROLES = ["owner", "manager", "accountant", "host", "assistant", "moderator", "guide", "readonly"];
/** Who changes the tree and its accounts; "merchant" is an account that has the whole shop without a seat. */
const CHANGERS = ["merchant", "owner", "manager"];
const ORDERS_SHOWN = 50;
const MEMBERS_SHOWN = 200;

const state = { nodes: new Map(), seat: null, at: null };

const cell = (label, ...content) => h("td", { "data-label": label && t(label) }, content);
const figure = (label, value, testid, small) =>
  h("div.figure", {}, h("span.faint", {}, t(label)), h("strong.num", { "data-testid": testid }, value), small && h("small.faint", {}, small));

/** The token of an account that was told so: it does not ask for the whole board each time. */
let partOf = null;

/**
 * What an account that has a part of the shop sees instead of the board, which is about all of it.
 * @returns {Promise<any>} the board, or one with the orders of that part alone and `part` set
 */
export async function boardOrPart(api, query) {
  if (partOf !== api.token) {
    try {
      const board = await api.get(`/board?${query}`);
      delete document.body.dataset.part;
      return board;
    } catch (error) {
      if (error.status !== 403) throw error;
      partOf = api.token;
    }
  }
  const [orders, members] = await Promise.all([
    api.get(`/orders?limit=${ORDERS_SHOWN}`),
    api.get(`/org/members?limit=${MEMBERS_SHOWN}`).catch(() => ({ items: [] })),
  ]);
  const names = new Map(members.items.map((one) => [one.staff, one.name]));
  document.body.dataset.part = "true";
  return { part: true, orders: rows(orders).map((one) => boardOrder(one, names)), by_link: [], by_channel: [], tree: [] };
}

/** An order as the board lists it. */
function boardOrder(order, names) {
  const decision = order.decision || {};
  const issuer_name = names.get(decision.winner?.issuer);
  return { ...order, ...decision.winner, issuer_name, rule: decision.rule, losers: (decision.losers || []).length };
}

/**
 * Draw the panel for a period in Unix ms; it stays away where there is nothing to see.
 * @returns {Promise<{node: string, role: string}>} where the account sits
 */
export async function drawOrg(api, since, until, changed = false) {
  const org = await api.get("/org");
  document.body.dataset.seat = org.seat.role;
  await drawTree(api, org, since, until, changed);
  return org.seat;
}

async function drawTree(api, org, since, until, changed) {
  const panel = $("org-panel");
  state.seat = org.seat;
  state.nodes = new Map(org.nodes.map((node) => [node.node, node]));
  const changes = CHANGERS.includes(org.seat.role);
  panel.hidden = !org.nodes.length && !changes;
  if (panel.hidden) return;
  const again = () => drawOrg(api, since, until, true);
  if (!org.nodes.length) {
    put($("org"), h("p.faint", {}, t("m.noOrg")));
    if ($("org-tools").dataset.of !== lang()) put($("org-tools"), adder("m.makeOrg", nodeForm(api, null, ["group"], again)));
    $("org-tools").dataset.of = lang();
    return;
  }
  if (!state.nodes.has(state.at)) state.at = org.nodes[0].node;
  const found = await api.get(`/org/figures?node=${encodeURIComponent(state.at)}&since=${since}&until=${until}`);
  const go = (node) => {
    state.at = node;
    return again();
  };
  put($("org"), crumbs(go), sums(found.total), found.children.length > 0 && childTable(found, go));
  await drawTools(api, changes, again, changed);
}

/** The way from the top of what one reaches down to what is shown. */
function crumbs(go) {
  const path = [];
  for (let node = state.nodes.get(state.at); node; node = state.nodes.get(node.parent)) path.unshift(node);
  return h(
    "nav.crumbs",
    { "aria-label": t("m.org"), "data-testid": "org-crumbs" },
    path.map((node, index) =>
      index === path.length - 1
        ? h("strong", { "aria-current": "page" }, node.name, " ", h("span.chip", {}, t(`node.${node.kind}`)))
        : h("button.link", { type: "button", on: { click: () => go(node.node) } }, node.name),
    ),
  );
}

/** What a unit sold, online and at tills. */
const soldBy = (one) => one.gmv + one.tills;

function sums(one) {
  return h(
    "div.figures.org-figures",
    {},
    figure("m.gmv", money(one.gmv), "org-gmv", one.freight > 0 && t("m.besideFreight", { sum: money(one.freight) })),
    figure("m.tills", money(one.tills), "org-tills", t("m.receiptsOf", { n: one.receipts })),
    figure("m.orders", String(one.orders), "org-orders", t("m.paidOf", { n: one.paid })),
    figure("m.refunded", money(one.refunded), "org-refunded", t("m.refundsOf", { n: one.refunds })),
    figure("m.buyers", String(one.buyers), "org-buyers"),
    figure("m.customers", String(one.customers), "org-customers"),
  );
}

function childTable(found, go) {
  const most = Math.max(1, ...found.children.map((child) => soldBy(child.sums)), soldBy(found.own));
  const row = (name, one, props, open) => {
    const bar = h("span.stock-bar", { "aria-hidden": "true" }, h("i"));
    bar.style.setProperty("--share", String(soldBy(one) / most));
    return h(
      "tr",
      { "data-testid": "org-row", ...props },
      cell("m.col.unit", name),
      cell("m.gmv", h("strong.num", {}, money(one.gmv)), bar),
      cell("m.tills", money(one.tills)),
      cell("m.paidOrders", String(one.paid)),
      cell("m.refunded", money(one.refunded)),
      cell("m.buyers", String(one.buyers)),
      cell("m.customers", String(one.customers)),
      h("td.cell-toggle", {}, open),
    );
  };
  const children = [...found.children].sort((a, b) => soldBy(b.sums) - soldBy(a.sums));
  const lines = children.map((child) => {
    const name = [child.name, " ", h("span.chip", {}, t(child.closed ? "node.closed" : `node.${child.kind}`))];
    return row(name, child.sums, { data: { node: child.node } }, doer(t("m.open"), () => go(child.node), { "data-testid": "org-open" }));
  });
  if (found.own.orders || found.own.receipts) lines.push(row(h("span.faint", {}, t("m.direct")), found.own, {}, null));
  const heads = ["m.col.unit", "m.gmv", "m.tills", "m.paidOrders", "m.refunded", "m.buyers", "m.customers", ""];
  return h(
    "div.table-frame",
    {},
    h(
      "table.org-table",
      {},
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name && t(name))))),
      h("tbody", {}, lines),
    ),
  );
}

/** A folded part; what was opened stays open when the panel is drawn again. */
const opened = new Set();
function adder(title, ...content) {
  const part = h("details.adder", { open: opened.has(title) }, h("summary", {}, t(title)), content);
  part.addEventListener("toggle", () => (part.open ? opened.add(title) : opened.delete(title)));
  return part;
}

async function drawTools(api, changes, again, changed) {
  const node = state.nodes.get(state.at);
  // Half a form is not thrown away by the next look at the figures.
  const shown = `${state.at} ${state.nodes.size} ${lang()}`;
  if ($("org-tools").dataset.of === shown && !changed) return;
  $("org-tools").dataset.of = shown;
  if (!changes) {
    put($("org-tools"), null);
    return;
  }
  const [members, rooms] = await Promise.all([
    api.get(`/org/members?limit=${MEMBERS_SHOWN}&node=${encodeURIComponent(node.node)}`),
    api.get("/rooms"),
  ]);
  const kinds = KINDS.slice(KINDS.indexOf(node.kind) + 1, -1);
  put(
    $("org-tools"),
    adder("m.members", memberTable(api, members.items, again)),
    node.kind !== "guide" && adder("m.addMember", memberForm(api, node, again)),
    kinds.length > 0 && adder("m.addNode", nodeForm(api, node, kinds, again)),
    node.kind !== "guide" && adder("m.placeRooms", roomList(api, rows(rooms, "rooms"), again)),
  );
}

function memberTable(api, members, again) {
  if (!members.length) return h("p.empty", {}, "—");
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "member-row", data: { staff: one.staff } },
      cell("m.col.name", h("strong", {}, one.name), " ", h("span.faint.mono", {}, one.login)),
      cell("m.col.role", h("span.chip", {}, t(`seat.${one.role}`))),
      cell("m.col.node", state.nodes.get(one.node)?.name || "—"),
      cell("m.col.time", one.left ? t("m.leftOn", { when: when(one.left) }) : when(one.joined)),
      h(
        "td.cell-toggle",
        {},
        one.left ? null : doer(t("m.leave"), () => askLeave(api, one, members, again), { "data-testid": "member-leave" }),
      ),
    );
  const heads = ["m.col.name", "m.col.role", "m.col.node", "m.col.time", ""];
  return h(
    "div.table-frame",
    {},
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name && t(name))))),
      h("tbody", {}, members.map(row)),
    ),
  );
}

/** Who leaves names who has their customers from now on. */
async function askLeave(api, one, members, again) {
  const window = sheet({ title: `${t("m.leave")} · ${one.name}`, testid: "leave-sheet", closeLabel: t("common.close") });
  const heirs = members.filter((other) => other.role === "guide" && !other.left && other.staff !== one.staff);
  const form = h(
    "form.form-grid",
    { "data-testid": "leave-form" },
    one.role === "guide" &&
      field("m.heir", {
        name: "heir",
        wide: true,
        options: [["", t("m.noHeir")], ...heirs.map((other) => [other.staff, other.name])],
      }),
    field("m.reason", { name: "reason", maxlength: 200, wide: true }),
    h("p.faint.wide-field", {}, t("m.leaveHint")),
    h("div.form-foot", {}, h("button.primary", { type: "submit" }, t("m.leave"))),
  );
  onSend(form, async () => {
    const body = { reason: form.elements.reason.value.trim() };
    if (form.elements.heir?.value) body.heir = form.elements.heir.value;
    const { customers } = await api.post(`/org/members/${encodeURIComponent(one.staff)}/leave`, body);
    window.close();
    toast(t("m.leftDone", { n: customers }), "good");
    await again();
  });
  put(window.body, form);
}

function memberForm(api, node, again) {
  const form = h(
    "form.form-grid",
    { "data-testid": "member-form" },
    field("m.col.name", { name: "name", required: true, maxlength: 60 }),
    field("m.col.role", { name: "role", options: ROLES.map((role) => [role, t(`seat.${role}`)]) }),
    field("login.name", { name: "login", required: true, maxlength: 64, autocapitalize: "off" }),
    field("login.password", { name: "password", type: "password", required: true, minlength: 8, autocomplete: "new-password" }),
    h("div.form-foot", {}, h("button.primary", { type: "submit" }, t("m.addMember"))),
  );
  form.elements.role.value = node.kind === "store" ? "guide" : "manager";
  onSend(form, async () => {
    const { name, role, login, password } = form.elements;
    await api.post("/org/members", {
      node: node.node,
      role: role.value,
      name: name.value.trim(),
      login: login.value.trim(),
      password: password.value,
    });
    form.reset();
    await again();
  });
  return form;
}

function nodeForm(api, parent, kinds, again) {
  const form = h(
    "form.form-grid",
    { "data-testid": "node-form" },
    field("m.nodeKind", { name: "kind", options: kinds.map((kind) => [kind, t(`node.${kind}`)]) }),
    field("m.col.unit", { name: "name", required: true, maxlength: 60 }),
    h("div.form-foot", {}, h("button.primary", { type: "submit" }, t("m.create"))),
  );
  onSend(form, async () => {
    const body = { kind: form.elements.kind.value, name: form.elements.name.value.trim() };
    if (parent) body.parent = parent.node;
    await api.post("/org/nodes", body);
    form.reset();
    await again();
  });
  return form;
}

function roomList(api, rooms, again) {
  const owner = new Map([...state.nodes.values()].flatMap((node) => node.rooms.map((room) => [room, node.node])));
  const nodes = [...state.nodes.values()].filter((node) => node.kind !== "guide" && !node.closed);
  const whole = state.seat.role === "merchant";
  const row = (room) => {
    const choice = h(
      "select",
      { "aria-label": room.title, "data-testid": "room-node" },
      whole && h("option", { value: "" }, t("m.ofMerchant")),
      nodes.map((node) => h("option", { value: node.node }, node.name)),
    );
    choice.value = owner.get(room.room) || "";
    choice.addEventListener("change", async () => {
      await api.request("PUT", `/org/rooms/${encodeURIComponent(room.room)}`, { node: choice.value || null });
      toast(t("m.roomPlaced"), "good");
      await again();
    });
    return h("li", {}, h("strong", {}, room.title), choice);
  };
  const mine = whole ? rooms : rooms.filter((room) => owner.has(room.room));
  return mine.length ? h("ul.rooms.org-rooms", {}, mine.map(row)) : h("p.empty", {}, "—");
}
