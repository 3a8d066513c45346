/** The host console: publish, see the picture, talk, pin, drop, sell. */

import { rows } from "./api.js";
import { $, copy, h, picture, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { HOST } from "./host_strings.js";
import { moments } from "./host_moments.js";
import { streamKeys } from "./host_keys.js";
import { drawHealth } from "./host_health.js";
import { keepRoom } from "./host_room.js";
import { HOST_ROOM } from "./host_room_strings.js";
import { runs } from "./host_runs.js";
import { lineActions } from "./keeper_actions.js";
import { KEEPER } from "./keeper_strings.js";
import {
  addStrings,
  clock,
  explain,
  money,
  onLanguage,
  restartInLanguage,
  short,
  t,
  translatePage,
  when,
} from "./i18n.js";
import { LivePlayer } from "./player.js";
import { MOMENTS } from "./moments_strings.js";
import { mustSignIn, signIn, signOut, staffApi } from "./session.js";
import { SiyuHub } from "./siyu.js";
import { RoomStore } from "./store.js";
import { ChatView } from "./view_chat.js";
import { PASSES, till } from "./view_passes.js";

const STATS_MS = 3000;

addStrings(HOST);
addStrings(HOST_ROOM);
addStrings(KEEPER);
addStrings(MOMENTS);
addStrings(PASSES);

const ROOM = decodeURIComponent(location.pathname.split("/")[2] || "");
const BASE = `/rooms/${encodeURIComponent(ROOM)}`;
const api = staffApi();
const store = new RoomStore();
const counts = { messages: 0, orders: [], sold: { orders: 0, amount: 0 }, shownKey: false };
let hub = null;
let room = null;
let publish = null;
let streams = null;
/** Opened by a moderator: order in the chat, nothing of the shop. */
let keeper = false;

async function open() {
  let why = null;
  while (!streams && !keeper) {
    if (!api.token) await signIn($("login"), api, why);
    try {
      streams = await api.get(`${BASE}/streams`);
    } catch (error) {
      keeper = error.status === 403 && (await keepsOrder());
      if (keeper) break;
      if (!mustSignIn(error) && error.status !== 403 && error.status !== 404) {
        toast(explain(error), "error");
        await new Promise((resolve) => setTimeout(resolve, 3000));
        continue;
      }
      why = error;
      api.token = null;
    }
  }
  if (keeper) keepOrderOnly();
  else publish = streams.publish;
  $("console").hidden = false;
  start();
}

/** Take off the page what is for those who run the room. */
function keepOrderOnly() {
  for (const part of document.querySelectorAll("[data-shop]")) part.remove();
  document.body.dataset.keeper = "true";
  $("console-name").dataset.t = "host.keeper";
  for (const words of ["tHint", "tLabel"]) $("chat-input").dataset[words] = "host.keeperSay";
}

/** Whether who may not run this room may keep order in it. */
async function keepsOrder() {
  try {
    const [answer] = await api.post(`${BASE}/commands`, { id: Date.now(), cmd: "bans.list" });
    return Boolean(answer?.ok);
  } catch (error) {
    console.info("keeper:", error.message);
    return false;
  }
}

function start() {
  hub = new SiyuHub({ room: ROOM, token: api.token });
  hub.on("*", (event) => store.apply(event));
  hub.on("state", drawConnection);
  hub.on("question", (event) => toast(t("advice.asked", event.question), "good"));
  room = keepRoom({
    ...{ api, base: BASE, hub, store, keeper },
    figures: $("room-figures"),
    poll: $("poll"),
    questions: $("questions"),
    order: $("order-rules"),
  });
  // Other rights are other tools: the page begins anew with those, or with the sign-in where there are none.
  store.on("you", (changes) => (changes.includes("appointed") || changes.includes("dismissed")) && location.reload());
  const actions = lineActions({ hub: () => hub, you: () => store.you, onChanged: () => room.changed() });
  new ChatView({ store, list: $("lines"), more: $("newer"), actions });
  const player = new LivePlayer({ video: $("player"), room: ROOM, token: () => api.token, onState: drawPreview });
  store.on("stream", () => store.stream.live && player.poke());
  $("sound").addEventListener("click", async () => {
    $("player").muted = !$("player").muted;
    await player.play();
  });
  if (!keeper) startShop();
  drawAll();
  player.start();
  hub.connect();
}

/** What only those see who run the room. */
function startShop() {
  for (const topic of ["pins", "shelf"]) store.on(topic, drawShelf);
  store.on("left", drawLeft);
  for (const topic of ["viewers", "likes", "stream"]) store.on(topic, drawFigures);
  const plans = moments({
    api,
    base: BASE,
    store,
    now: () => hub.now(),
    plans: $("plans"),
    draws: $("draws"),
    form: $("draw-form"),
  });
  runs({
    api,
    base: BASE,
    store,
    now: () => hub.now(),
    saleForm: $("sale-form"),
    dropForm: $("drop-form"),
    sales: $("sales"),
    drops: $("drops"),
    onPlanned: () => plans.read(),
  });
  till({ api, store, terms: $("pass-terms"), use: $("pass-use"), list: $("pass-list"), last: $("pass-last") });
  streamKeys({
    api,
    base: BASE,
    now: () => hub.now(),
    box: $("keys-box"),
    list: $("keys"),
    form: $("key-form"),
    onRoomKey: async () => {
      publish = (await api.get(`${BASE}/streams`)).publish;
      drawPublish();
    },
  });
  fillProductForm();
  readStats();
}

/** Orders and counts that are no events: read every few seconds while someone looks. */
async function readStats() {
  if (!document.hidden) {
    try {
      const stats = await api.get(`${BASE}/stats`);
      counts.messages = stats.hub?.chat_lines ?? counts.messages;
      counts.orders = rows(stats.orders, "orders");
      counts.sold = stats.sold || counts.sold;
      drawFigures();
      drawOrders();
      streams = await api.get(`${BASE}/streams`);
      drawHealth($("health"), streams);
    } catch (error) {
      if (mustSignIn(error)) {
        signOut();
        return;
      }
      console.info("stats:", error.message);
    }
  }
  setTimeout(readStats, STATS_MS);
}

function drawConnection({ state, code }) {
  $("connection").dataset.state = state;
  $("connection").textContent = t(`state.${state}`);
  if (state === "closed" && code === 4401) signOut();
}

function drawPreview(state) {
  $("preview-text").hidden = state === "playing";
  $("sound").hidden = state !== "playing";
}

function drawHead() {
  $("room-title").textContent = store.room.title || ROOM;
  document.title = `${store.room.title || ROOM} · ${t(keeper ? "host.keeper" : "host.console")}`;
  $("live").dataset.live = String(Boolean(store.stream.live));
  $("live").textContent = t(store.stream.live ? "host.live" : "host.off");
  $("viewer-link").href = `/r/${encodeURIComponent(ROOM)}`;
}

function drawFigures() {
  const onAir = store.stream.live && store.stream.since ? clock(hub.now() - store.stream.since) : "—";
  const size = store.stream.live && store.stream.width ? `${store.stream.width}×${store.stream.height}` : "";
  const figure = (label, value, testid, small = "") =>
    h(
      "div.figure",
      {},
      h("span.faint", {}, t(label)),
      h("strong.num", { "data-testid": testid }, value),
      small && h("small.faint", {}, small),
    );
  put(
    $("figures"),
    figure("host.viewers", short(store.viewers), "viewers"),
    figure("host.likes", short(store.likes), "likes"),
    figure("host.messages", short(counts.messages), "messages"),
    figure("host.paid", money(counts.sold.amount), "paid-sum", `× ${counts.sold.orders}`),
    figure("host.duration", onAir, "on-air", size),
  );
}

function drawPublish() {
  if (!publish) return;
  const copier = (text, testid) =>
    doer(t("host.copy"), async () => (await copy(text)) && toast(t("host.copied"), "good"), { "data-testid": testid });
  const hidden = "•".repeat(16);
  const show = h(
    "button.small",
    { type: "button", "data-testid": "stream-key-show" },
    t(counts.shownKey ? "host.hide" : "host.show"),
  );
  show.addEventListener("click", () => {
    counts.shownKey = !counts.shownKey;
    drawPublish();
  });
  put(
    $("publish"),
    h(
      "div.secret",
      {},
      h("span.faint", {}, t("host.server")),
      h("code", { "data-testid": "stream-server" }, publish.server),
      copier(publish.server, "copy-server"),
    ),
    h(
      "div.secret",
      {},
      h("span.faint", {}, t("host.key")),
      h("code", { "data-testid": "stream-key" }, counts.shownKey ? publish.stream_key : hidden),
      show,
      copier(publish.stream_key, "copy-key"),
    ),
    h("p.faint", {}, t("host.keyHint")),
    h("a", { href: `/studio/${encodeURIComponent(ROOM)}`, "data-testid": "studio-link" }, t("host.studio")),
  );
}

function drawShelf() {
  put($("shelf"), store.shelf.map(shelfRow));
  const categories = new Set(store.shelf.map((card) => card.category).filter(Boolean));
  put($("shelf-categories"), [...categories].map((name) => h("option", { value: name })));
}

function priceAndLeft(card) {
  return `${money(card.price)} · ${t("host.left", { n: card.stock })}`;
}

/** Only the figures: a row made anew would swallow a click. */
function drawLeft() {
  for (const card of store.shelf) {
    const text = document.querySelector(`#shelf [data-product="${CSS.escape(card.product)}"] .left`);
    if (text) text.textContent = priceAndLeft(card);
  }
}

function shelfRow(card) {
  const pinned = store.pins.get(card.product);
  const pin = (explaining) => async () => {
    await api.post(`${BASE}/pin`, { product: card.product, explaining });
    store.apply({ t: "pin", card: { ...card, explaining } });
  };
  const unpin = async () => {
    await api.delete(`${BASE}/pin/${encodeURIComponent(card.product)}`);
    store.apply({ t: "unpin", product: card.product });
  };
  const data = { product: card.product, sku: card.sku };
  return h(
    "li.host-item",
    { data: { ...data, pinned: String(Boolean(pinned)) } },
    picture(card.image, card.title),
    h(
      "div",
      {},
      h("strong", {}, card.title),
      h("span.faint.left", {}, priceAndLeft(card)),
    ),
    pinned &&
      h(
        "span.chip",
        { data: { state: pinned.explaining ? "open" : "" } },
        t(pinned.explaining ? "host.explaining" : "host.pinned"),
      ),
    h(
      "span.item-buttons",
      {},
      !pinned && doer(t("host.pin"), pin(false), { "data-testid": `pin-${card.product}`, data }),
      !pinned?.explaining &&
        doer(t("host.explain"), pin(true), {
          className: "small.strong",
          "data-testid": `explain-${card.product}`,
          data,
        }),
      pinned && doer(t("host.unpin"), unpin, { "data-testid": `unpin-${card.product}`, data }),
    ),
  );
}

function drawOrders() {
  const row = (order) =>
    h(
      "li",
      { data: { status: order.status } },
      h("span", {}, (order.lines || []).map((line) => `${line.title} × ${line.quantity}`).join("、")),
      h("strong.num", {}, money(order.amount)),
      h("span.faint", {}, `${when(order.paid || order.created)} · ${t(`status.${order.status}`)}`),
    );
  put($("orders"), counts.orders.length ? counts.orders.map(row) : h("li.faint", {}, t("host.noOrders")));
}

function fillProductForm() {
  const form = $("product-form");
  put(
    form,
    field("host.title", { name: "title", required: true, maxlength: 60, wide: true, "data-testid": "product-title" }),
    yuanField("host.price", "price", { required: true, "data-testid": "product-price" }),
    yuanField("host.listPrice", "list_price"),
    countField("host.stock", "stock", { required: true, min: "0", value: "100" }),
    field("host.category", { name: "category", maxlength: 40, list: "shelf-categories", "data-testid": "product-category" }),
    h("datalist", { id: "shelf-categories" }),
    field("host.image", { name: "image", type: "url", maxlength: 500, placeholder: "https://" }),
    h(
      "div.form-foot",
      {},
      h("button.primary", { type: "submit", "data-testid": "product-save", "data-t": "host.save" }, t("host.save")),
    ),
  );
  onSend(form, async () => {
    const body = { title: form.elements.title.value.trim(), price: fen(form, "price"), stock: whole(form, "stock") };
    if (form.elements.list_price.value) body.list_price = fen(form, "list_price");
    if (form.elements.category.value.trim()) body.category = form.elements.category.value.trim();
    if (form.elements.image.value) body.image = form.elements.image.value;
    await api.post(`${BASE}/products`, body);
    form.reset();
    store.apply({ t: "shelf", shelf: rows(await api.get(`${BASE}/products`), "products") });
    toast(t("host.saved"), "good");
  });
}

async function sendText(event, input, cmd) {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || !hub) return;
  input.value = "";
  try {
    await hub.command(cmd, { text });
  } catch (error) {
    if (!input.value) input.value = text;
    toast(explain(error), "error");
  }
}

function drawAll() {
  translatePage();
  drawHead();
  if (hub) drawConnection({ state: hub.state });
  if (keeper) return;
  drawPublish();
  drawShelf();
  drawOrders();
  drawHealth($("health"), streams);
  if (hub) drawFigures();
}

function main() {
  translatePage();
  for (const topic of ["room", "stream"]) store.on(topic, drawHead);
  store.on("questions", () => {
    $("question-count").hidden = !store.questions;
    $("question-count").textContent = String(store.questions);
  });
  store.on("line", () => (counts.messages += 1));
  $("say").addEventListener("submit", (event) => sendText(event, $("chat-input"), "chat.send"));
  $("notice").addEventListener("submit", (event) => sendText(event, $("notice-input"), "notice"));
  $("language").addEventListener("click", restartInLanguage);
  $("sign-out").addEventListener("click", signOut);
  onLanguage(drawAll);
  open();
}

main();
