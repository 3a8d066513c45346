/** The merchant's board: what came in, what was sold, and who brought whom. */

import { rows } from "./api.js";
import { channelName } from "./channels.js";
import { chosenNodes, shareTree } from "./charts.js";
import { $, copy, h, icon, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, explain, knows, lang, money, onLanguage, restartInLanguage, t, translatePage, when } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { boardView } from "./merchant_board.js";
import { drawBooks, fillBooks } from "./merchant_books.js";
import { drawAdvice } from "./merchant_advice.js";
import { drawCommunities } from "./merchant_communities.js";
import { drawContents } from "./merchant_content.js";
import { drawCrm, fillCrm } from "./merchant_crm.js";
import { drawDistribution, fillDistribution } from "./merchant_distribution.js";
import { drawEvents, fillEvents } from "./merchant_events.js";
import { drawGoods, fillGoods } from "./merchant_goods.js";
import { drawGuide } from "./merchant_guide.js";
import { drawHelping } from "./merchant_helping.js";
import { drawJump } from "./merchant_jump.js";
import { drawKeepers } from "./merchant_keepers.js";
import { boardOrPart, drawOrg } from "./merchant_org.js";
import { drawContacts, drawOutreach, fillContacts, fillOutreach } from "./merchant_outreach.js";
import { drawMarket, fillMarket } from "./merchant_market.js";
import { drawPartners, fillPartners } from "./merchant_partners.js";
import { drawPlans, fillPlans } from "./merchant_plans.js";
import { drawCredit, fillCredit } from "./merchant_credit.js";
import { drawCustom, fillCustom } from "./merchant_custom.js";
import { drawProcessing, fillProcessing } from "./merchant_processing.js";
import { drawPurchases, fillPurchases } from "./merchant_purchases.js";
import { drawOutlets, drawStores, fillStores } from "./merchant_stores.js";
import { drawPeople, fillImport } from "./merchant_people.js";
import { fetched, save } from "./files.js";
import { openPoster } from "./merchant_poster.js";
import { MALL, mallForm } from "./mall.js";
import { STATIONS, stationForm } from "./stations.js";
import { programForm } from "./merchant_program.js";
import { MERCHANT } from "./merchant_strings.js";
import { drawRules, fillRules } from "./merchant_rules.js";
import { drawClearing, fillClearing } from "./merchant_clearing.js";
import { ADVICE } from "./merchant_strings_advice.js";
import { CONTENT } from "./merchant_strings_content.js";
import { GROUPS } from "./merchant_strings_groups.js";
import { ORG } from "./merchant_strings_org.js";
import { BOARD } from "./merchant_strings_board.js";
import { drawAfterSales } from "./merchant_aftersale.js";
import { drawComplaints } from "./merchant_complaints.js";
import { BOOKS } from "./merchant_strings_books.js";
import { CRM } from "./merchant_strings_crm.js";
import { PEOPLE } from "./merchant_strings_people.js";
import { mustSignIn, signIn, signOut, staffApi } from "./session.js";

const PERIODS = [1, 7, 30, 90];
const DAY_MS = 86400000;
/** The shop's days are those of Asia/Shanghai, which knows no summer time. */
const SHANGHAI_MS = 8 * 3600000;
const REFRESH_MS = 15000;
/** What is for the role `merchant` alone. */
const OWNERS_PANELS = [
  "people", "dist", "crm", "outreach", "help", "stores", "market", "partners", "goods", "purchases", "processing", "plans", "custom", "credit",
  "events", "books", "clearing", "rules",
];
const OWNERS_DRAW = [
  drawPeople, drawDistribution, drawCrm, drawOutreach, drawContacts, drawHelping, drawStores, drawMarket, drawPartners, drawGoods, drawPurchases,
  drawProcessing, drawPlans, drawCustom, drawCredit, drawEvents, drawBooks, drawClearing, drawRules,
];

addStrings(MERCHANT);
addStrings(BOARD);
addStrings(ADVICE);
addStrings(CONTENT);
addStrings(GROUPS);
addStrings(PEOPLE);
addStrings(ORG);
addStrings(CRM);
addStrings(BOOKS);
addStrings(MALL);
addStrings(STATIONS);

const api = staffApi();
const view = boardView(api, period, refresh);
const program = programForm(api, $("program-form"));
const stations = stationForm(api, $("station-form"), $("stations"));
const mall = mallForm(api, $("mall-form"), $("mall"));
const state = {
  days: recall("local", "siyu.period", 7),
  board: null,
  links: [],
  rooms: [],
  open: new Set(),
  filled: false,
  details: new Map(),
};

/** From the midnight in Shanghai that began the period, until now. */
function period() {
  const now = Date.now();
  const today = Math.floor((now + SHANGHAI_MS) / DAY_MS) * DAY_MS - SHANGHAI_MS;
  return { since: today - (state.days - 1) * DAY_MS, until: now + 60000 };
}

/** @param {boolean} all also what changes only when somebody changes it: terms, goods, books, customers */
async function load(all = true) {
  const { since, until } = period();
  const [board, links, rooms] = await Promise.all([
    boardOrPart(api, `since=${since}&until=${until}`),
    api.get("/links"),
    api.get("/rooms"),
  ]);
  Object.assign(state, { board, links: rows(links, "links"), rooms: rows(rooms, "rooms") });
  if (all) {
    await program.load();
    await mall.load(state.rooms);
    await stations.load();
    // Before the tables: groups are channels there.
    await Promise.all([drawContents(api, state.rooms), drawCommunities(api, state.rooms)]);
  }
  $("console").hidden = false;
  draw();
  const seat = await drawOrg(api, since, until);
  if (all) await drawKeepers(api, seat.role, state.rooms);
  await drawGuide(api, seat, state.rooms, { since, until });
  await drawAdvice(api, state.rooms);
  await drawAfterSales(api);
  if (!board.part) await view.load(board);
  if (all) {
    await drawComplaints(api);
    await drawOwners();
  }
  drawJump();
}

/** Customers and distribution are for the role `merchant` alone; others do not see the panels. */
async function drawOwners() {
  try {
    if (!state.filled) {
      await fillDistribution(api);
      fillStores(api);
      fillMarket(api);
      fillPartners(api);
    }
  } catch (error) {
    if (error.status !== 403) throw error;
    $("people-panel").hidden = !(await drawPeople(api));
    $("stores-panel").hidden = !(await drawOutlets(api, false)).length;
    return;
  }
  if (!state.filled) {
    fillImport(api, $("import-form"));
    fillCrm(api, $("crm-form"));
    fillOutreach(api, $("outreach-form"));
    fillContacts(api, $("contact-form"));
    fillGoods(api, $("goods-form"), () => drawGoods(api));
    if (!$("books-form").children.length) {
      fillBooks(api, $("books-form"), () => drawBooks(api));
      await fillClearing(api, $("clearing-form"));
      await fillPurchases(api);
      await fillProcessing(api);
      await fillPlans(api);
      await fillCustom(api);
      fillCredit(api);
      await fillEvents(api);
      await fillRules(api, () => drawRules(api));
    }
  }
  state.filled = true;
  for (const panel of OWNERS_PANELS) $(`${panel}-panel`).hidden = false;
  await Promise.all(OWNERS_DRAW.map((draw) => draw(api)));
}

async function open() {
  let why = null;
  for (;;) {
    if (!api.token) await signIn($("login"), api, why);
    try {
      await load();
      return;
    } catch (error) {
      if (!mustSignIn(error) && error.status !== 403) {
        toast(explain(error), "error");
        await new Promise((resolve) => setTimeout(resolve, 3000));
        continue;
      }
      why = error;
      api.token = null;
    }
  }
}

async function refresh(all = true) {
  try {
    await load(all);
  } catch (error) {
    if (mustSignIn(error)) signOut();
    else toast(explain(error), "error");
  }
}

/** The board's tables as a file for a spreadsheet. */
async function exportBoard() {
  const { since, until } = period();
  try {
    save(await fetched(api, `/board?format=csv&since=${since}&until=${until}`), "board.csv");
  } catch (error) {
    toast(explain(error), "error");
  }
}

function draw() {
  drawHead();
  drawFigures();
  drawRooms();
  drawOrders();
  drawLinks();
  drawTree();
}

function drawHead() {
  const { since, until } = period();
  $("span").textContent = `${when(since)} – ${when(until)}`;
  const button = (days) =>
    h(
      "button.small",
      {
        type: "button",
        "aria-pressed": String(days === state.days),
        "data-testid": `period-${days}`,
        on: { click: () => choose(days) },
      },
      t(`m.day${days}`),
    );
  put($("periods"), PERIODS.map(button));
}

function choose(days) {
  state.days = days;
  remember("local", "siyu.period", days);
  refresh();
}

function drawFigures() {
  const { board } = state;
  const figure = (label, value, testid, open, small = "") =>
    h(
      "button.figure",
      { type: "button", on: { click: open } },
      h("span.faint", {}, t(label)),
      h("strong.num", { "data-testid": testid }, value),
      small && h("small.faint", {}, small),
    );
  const orders = (state) => () => view.openOrders(t(state === "all" ? "m.orders" : "m.paid"), { state });
  const shared = () => view.openPeople(t("m.kfactorHint"), { step: "entry", dimension: "shared" });
  const paid = t("m.paidOf", { n: board.orders_total?.paid ?? 0 });
  put(
    $("figures"),
    figure("m.gmv", money(board.gmv || 0), "gmv", orders("paid")),
    figure("m.orders", String(board.orders_total?.all ?? 0), "orders-total", orders("all"), paid),
    figure("m.basket", money(board.basket || 0), "basket", orders("paid")),
    figure("m.conversion", `${((board.conversion || 0) * 100).toFixed(1)}%`, "conversion", orders("paid")),
    figure("m.kfactor", (board.k_factor || 0).toFixed(2), "k-factor", shared, t("m.kfactorHint")),
  );
}

function drawRooms() {
  const row = (room) => {
    const id = encodeURIComponent(room.room);
    return h(
      "li",
      { "data-testid": "room-row", data: { room: room.room } },
      h("span.live-pill", { data: { live: String(Boolean(room.live)) } }, t(room.live ? "m.live" : "m.off")),
      h("strong", {}, room.title),
      h("a", { href: `/r/${id}`, target: "_blank", rel: "noopener" }, t("m.watch")),
      h("a", { href: `/host/${id}` }, t("m.console")),
    );
  };
  put($("rooms"), state.rooms.map(row));
  const select = $("link-form").elements.room;
  const chosen = select.value;
  put(
    select,
    state.rooms.map((room) => h("option", { value: room.room }, room.title)),
  );
  if (chosen) select.value = chosen;
}

/** Link id → its row of the board (token, issuer's name, counts). */
function linkRows() {
  return new Map(
    [...(state.board.by_link || []), ...(state.board.tree || [])]
      .filter((row) => row.link)
      .map((row) => [row.link, row]),
  );
}

function whoIs(row) {
  if (!row.issuer) return t("m.none");
  const role = knows(`role.${row.role}`) ? t(`role.${row.role}`) : row.role || "";
  return [row.issuer_name || `…${row.issuer.slice(-6)}`, role].filter(Boolean).join(" · ");
}

function drawOrders() {
  const orders = state.board.orders || [];
  if (!orders.length) {
    put($("orders"), h("p.empty", {}, t("m.noOrders")));
    return;
  }
  const known = linkRows();
  const heads = ["time", "order", "amount", "status", "by", "channel", "link"].map((name) =>
    h("th", { scope: "col" }, t(`m.col.${name}`)),
  );
  put(
    $("orders"),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads, h("th"))),
      h(
        "tbody",
        {},
        orders.map((order) => orderRows(order, known)),
      ),
    ),
  );
}

function orderRows(order, known) {
  const link = known.get(order.link);
  const shown = state.open.has(order.order);
  const toggle = h(
    "button.round.toggle",
    {
      type: "button",
      "aria-expanded": String(shown),
      "aria-label": t("m.more"),
      "data-testid": "order-more",
      on: { click: () => expand(order) },
    },
    icon("chevron"),
  );
  const cell = (label, ...content) => h("td", { "data-label": label && t(`m.col.${label}`) }, content);
  return [
    h(
      "tr",
      {
        "data-testid": "order-row",
        data: { order: order.order, link: order.link || "", token: link?.token || "", status: order.status },
      },
      cell("time", when(order.created)),
      cell("order", h("span.mono", {}, `…${order.order.slice(-8)}`), order.name ? ` ${order.name}` : ""),
      cell("amount", h("strong.num", {}, money(order.amount))),
      cell("status", h("span.chip", { data: { state: order.status } }, t(`status.${order.status}`))),
      cell("by", whoIs(order)),
      cell("channel", channelName(order.channel) || "—"),
      cell("link", h("span.mono", {}, link?.token || (order.link ? order.link : "—"))),
      h("td.cell-toggle", {}, toggle),
    ),
    shown ? h("tr.why", { "data-testid": "order-why" }, h("td", { colspan: 8 }, explanation(order))) : null,
  ];
}

async function expand(order) {
  if (state.open.delete(order.order)) {
    drawOrders();
    return;
  }
  state.open.add(order.order);
  drawOrders();
  if (state.details.has(order.order)) return;
  try {
    const path = `/orders/${encodeURIComponent(order.order)}`;
    const [answer, words] = await Promise.all([api.get(path), api.get(`${path}/explanation?lang=${lang()}`)]);
    state.details.set(order.order, { ...(answer.order || answer).decision, words: words.sentences });
    drawOrders();
  } catch (error) {
    toast(explain(error), "error");
  }
}

/** The rule's words as the decision stored them, in the language of the page where we know them. */
function ruleText(rule) {
  const past = "the binding is past its protection; ";
  const [, head, days] = /^(.+?)(?: within ([\d.]+) days.*)?$/.exec(rule.replace(past, "")) || [];
  if (!knows(`rule.${head}`)) return rule;
  return (rule.startsWith(past) ? t("rule.past") : "") + t(`rule.${head}`, { days: days || "" });
}

function explanation(order) {
  const decision = state.details.get(order.order) || {};
  const losers = decision.losers || [];
  const known = linkRows();
  const loser = (one) =>
    h(
      "li",
      {},
      h("span", {}, when(one.ms)),
      h(
        "span",
        {},
        whoIs({ ...one, issuer_name: known.get(one.link)?.issuer_name }),
        one.channel ? ` · ${channelName(one.channel)}` : "",
      ),
      h("span.mono.faint", {}, known.get(one.link)?.token || one.link || ""),
      h("span.faint", {}, knows(`reason.${one.reason}`) ? t(`reason.${one.reason}`) : one.why || one.reason),
    );
  const models = Object.entries(decision.models || {}).map(([name, credit]) =>
    h(
      "span.chip",
      {},
      `${knows(`model.${name}`) ? t(`model.${name}`) : name}: ${credit ? whoIs({ ...credit, issuer_name: known.get(credit.link)?.issuer_name }) : t("m.nobody")}`,
    ),
  );
  return h(
    "div.why-body",
    {},
    h("p", {}, h("b", {}, `${t("m.rule")}: `), ruleText(decision.rule || order.rule || "—")),
    h("b", {}, t("m.losers")),
    losers.length
      ? h("ul", {}, losers.map(loser))
      : h("p.faint", {}, Number(order.losers) > 0 ? `${order.losers}` : t("m.noLosers")),
    decision.words?.length
      ? h("details.adder", { "data-testid": "in-words" }, h("summary", {}, t("m.inWords")), decision.words.map((said) => h("p", {}, said)))
      : null,
    models.length ? h("p.models", {}, h("b", {}, `${t("m.models")}: `), models) : null,
  );
}

function drawLinks() {
  const counts = linkRows();
  if (!state.links.length) {
    put($("links"), h("p.empty", {}, t("m.noLinks")));
    return;
  }
  const heads = ["link", "by", "channel", "visits", "orders", "gmv"].map((name) =>
    h("th", { scope: "col" }, t(`m.col.${name}`)),
  );
  const ranked = state.links
    .map((link) => ({ ...link, ...pickCounts(counts.get(link.link)), issuer_name: counts.get(link.link)?.issuer_name }))
    .sort((left, right) => right.amount - left.amount || right.visits - left.visits);
  put($("links"), h("table", {}, h("thead", {}, h("tr", {}, heads, h("th"))), h("tbody", {}, ranked.map(linkRow))));
}

function pickCounts(row) {
  return { visits: row?.visits || 0, orders: row?.orders || 0, paid: row?.paid || 0, amount: row?.amount || 0 };
}

function linkRow(link) {
  const cell = (label, ...content) => h("td", { "data-label": label && t(`m.col.${label}`) }, content);
  const label = [channelName(link.channel), link.campaign].filter(Boolean).join(" / ");
  const copyUrl = async () => (await copy(link.url)) && toast(t("m.copied"), "good");
  return h(
    "tr",
    { "data-testid": "link-row", data: { link: link.link, token: link.token } },
    cell("link", h("a.mono.url", { href: link.url, target: "_blank", rel: "noopener", title: link.url }, link.token)),
    cell("by", whoIs(link)),
    cell("channel", label || "—"),
    cell("visits", h("span.num", {}, String(link.visits))),
    cell("orders", h("span.num", {}, `${link.paid}/${link.orders}`)),
    cell("gmv", h("strong.num", {}, money(link.amount))),
    h(
      "td.cell-toggle",
      {},
      doer(t("m.copy"), copyUrl, { "data-testid": "link-copy", data: { url: link.url } }),
      link.room && doer(t("m.poster"), () => openPoster(api, link), { "data-testid": "link-poster" }),
    ),
  );
}

function drawTree() {
  const nodes = state.board.tree || [];
  if (!nodes.length) {
    put($("tree"), h("p.empty", {}, t("m.treeEmpty")));
    return;
  }
  put($("tree-csv"), view.file("tree"));
  const chosen = chosenNodes(nodes);
  const words = {
    shop: t("m.shop"),
    name: (node) => node.issuer_name || node.channel || `…${node.issuer.slice(-6)}`,
    detail: (node) =>
      [t("m.people", { n: node.entries }), node.amount ? money(node.amount) : "", channelName(node.channel)]
        .filter(Boolean)
        .join(" · "),
  };
  put(
    $("tree"),
    shareTree(chosen, words, (node) => view.openOrders(words.name(node), { dimension: "link", key: node.link })),
    chosen.length < nodes.length && h("p.faint", {}, t("m.treeMore", { n: nodes.length - chosen.length })),
  );
}

function fillForms() {
  const linkForm = $("link-form");
  put(
    linkForm,
    field("m.room", { name: "room", options: [], required: true, "data-testid": "link-room" }),
    field("m.channel", {
      name: "channel",
      maxlength: 60,
      placeholder: t("m.channelHint"),
      "data-t-hint": "m.channelHint",
      "data-testid": "link-channel",
    }),
    field("m.campaign", { name: "campaign", maxlength: 60, "data-testid": "link-campaign" }),
    h("button.primary", { type: "submit", "data-testid": "link-create", "data-t": "m.newLink" }, t("m.newLink")),
  );
  onSend(linkForm, async () => {
    const { room, channel, campaign } = linkForm.elements;
    const link = await api.post("/links", {
      room: room.value,
      channel: channel.value.trim(),
      campaign: campaign.value.trim(),
    });
    if (await copy(link.url)) toast(t("m.made"), "good");
    channel.value = "";
    campaign.value = "";
    await load();
  });
  const roomForm = $("room-form");
  put(
    roomForm,
    field("m.roomTitle", { name: "title", required: true, maxlength: 60, wide: true }),
    field("m.hostName", { name: "host_name", maxlength: 40, wide: true }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-t": "m.create" }, t("m.create"))),
  );
  onSend(roomForm, async () => {
    const body = { title: roomForm.elements.title.value.trim() };
    const host = roomForm.elements.host_name.value.trim();
    if (host) body.host_name = host;
    await api.post("/rooms", body);
    roomForm.reset();
    await load();
  });
}

function main() {
  fillForms();
  translatePage();
  $("export").addEventListener("click", exportBoard);
  $("refresh").addEventListener("click", () => refresh());
  $("language").addEventListener("click", restartInLanguage);
  $("sign-out").addEventListener("click", signOut);
  // What was written down for a language is asked for anew.
  onLanguage(() => {
    state.details.clear();
    state.open.clear();
    state.filled = false;
    if (state.board) refresh();
  });
  new ResizeObserver(() => state.board && view.draw()).observe($("funnel"));
  const idle = () => state.board && !document.hidden && !document.querySelector("input:focus, :focus-visible");
  setInterval(() => idle() && refresh(false), REFRESH_MS);
  open();
}

main();
