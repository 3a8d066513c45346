/** The viewer page: enters the room, wires the hub, the player and the views together. */

import { Api } from "./api.js";
import { $, h, icon, put, sheet, toast } from "./dom.js";
import { addStrings, explain, lang, money, onLanguage, short, t, toggleLanguage, translatePage } from "./i18n.js";
import { backdrop } from "./backdrop.js";
import { LivePlayer } from "./player.js";
import { WhepPlayer } from "./player_whep.js";
import { MediaSchedule, newKey, OUTCOME_UNKNOWN, SiyuHub } from "./siyu.js";
import { RoomStore } from "./store.js";
import { CouponCard, drawPinned, SaleCard, worth } from "./view_cards.js";
import { clipOf, openClip } from "./view_clip.js";
import { lineActions } from "./keeper_actions.js";
import { KEEPER } from "./keeper_strings.js";
import { ANSWERS } from "./view_aftersale.js";
import { ChatView } from "./view_chat.js";
import { debtWords } from "./view_credit.js";
import { Composer } from "./view_composer.js";
import { Cart, chooseVariant, itemOf } from "./view_cart.js";
import { Checkout } from "./view_checkout.js";
import { pollCard } from "./view_poll.js";
import { hearts } from "./view_hearts.js";
import { openMine } from "./view_me.js";
import { watchPopups } from "./view_popup.js";
import { openShop, openTerms } from "./view_notice.js";
import { PASSES } from "./view_passes.js";
import { openReplays, readShows } from "./view_replay.js";
import { openShare } from "./view_share.js";
import { DrawCard, TeamCard, Wishes } from "./view_moments.js";
import { drawShelf, markLeft } from "./view_shelf.js";
import { welcome } from "./view_wallet.js";
import { STEPS, VIEWER } from "./viewer_strings.js";
import { device } from "./visitor.js";
import { recall, remember } from "./memory.js";
import { MALL } from "./mall.js";
import { STATIONS } from "./stations.js";
import { MOMENTS } from "./moments_strings.js";

/** What the host says; sales and coupons are a race and wait for nobody's picture. */
const AT_THE_FRAME = new Set(["pin", "unpin"]);
const TICK_MS = 250;

addStrings(VIEWER);
addStrings(STEPS);
addStrings(MOMENTS);
addStrings(PASSES);
addStrings(MALL);
addStrings(STATIONS);
addStrings(KEEPER);

const ROOM = decodeURIComponent(location.pathname.split("/")[2] || "");
const REPLAY = new URLSearchParams(location.search).get("replay");
const SCENE = new URLSearchParams(location.search).get("s");
const store = new RoomStore();
const api = new Api();
const holds = new Map(Object.entries(recall("session", `siyu.holds.${ROOM}`, {})));
const caught = new Set(recall("session", `siyu.caught.${ROOM}`, []));
const cart = new Cart(ROOM);
const composer = new Composer({ hub: () => hub, store });
const grabKeys = new Map();
const done = new Set();
const units = new Map();
let hub = null;
let player = null;
let shelfSheet = null;
let closedCode = null;
let seenLive = false;
let shows = [];

async function enter() {
  const body = { room: ROOM, device: device() };
  const name = recall("local", "siyu.name", null);
  if (name) body.name = name;
  if (SCENE) body.scene = SCENE.slice(0, 64);
  if (SCENE && new URLSearchParams(location.search).has("q")) body.scanned = true;
  const guest = await api.post("/auth/guest", body);
  api.token = guest.token;
  remember("session", `siyu.token.${ROOM}`, guest.token);
  remember("local", "siyu.person", guest.person);
  return guest.token;
}

async function open() {
  $("veil-button").hidden = true;
  drawVeil();
  try {
    await enter();
  } catch (error) {
    drawClosed(error.status === 404 ? t("closed.4404") : t("enter.failed"), explain(error), open);
    return;
  }
  hub = new SiyuHub({ room: ROOM, token: api.token, renew: enter });
  hub.on("*", (event) => !AT_THE_FRAME.has(event.t) && store.apply(event));
  for (const type of AT_THE_FRAME) {
    hub.on(type, (event) => frames.at(event.media_ms, () => store.apply(event)));
  }
  hub.on("state", drawConnection);
  hub.on("coupon", (event) => couponCaught(event.coupon));
  hub.on("order", (event) => orderMoved(event.order));
  hub.on("hold", (event) => wireCards.wishes?.given(event));
  hub.on("reminder", (event) => toast(t("sale.soon", { title: event.sale.title }), "good"));
  hub.on("answer", (event) => toast(t("advice.told", event.answer), "good"));
  hub.on("question", (event) => toast(t("advice.asked", event.question), "good"));
  hub.on("after_sale", ({ request }) => ANSWERS.has(request.state) && toast(`${t("as.panel")} · ${t(`as.state.${request.state}`)}`, "good"));
  hub.on("debt", ({ why, debt }) => toast(debtWords(why, debt), why === "due" ? "good" : "warn"));
  hub.on("balance", () => toast(t("presale.open"), "good"));
  hub.on("kick", (event) => toast(event.reason || t("closed.4403"), "error"));
  wireCards();
  hub.connect();
  welcome(api, ROOM);
  watchPopups(api, ROOM, (drop) => claim({ drop }));
  await findShows();
  if (REPLAY && shows.length) watchReplays(REPLAY);
}

/** What was recorded of the room: asked for when nothing is live, for those who came too late. */
async function findShows() {
  try {
    shows = await readShows(api, ROOM);
  } catch (error) {
    console.info("shows:", error.message);
  }
  drawVeil();
}

function watchReplays(first = null) {
  const live = $("player");
  const muted = live.muted;
  live.muted = true;
  const token = player?.withToken ? api.token : null;
  openReplays({ shows, token, first, onClose: () => (live.muted = muted) });
}

/** Pins and unpins: each one at the frame on which the host said it. */
const frames = new MediaSchedule(() => player?.mediaMs() ?? null);

function wireCards() {
  const now = () => hub.now();
  const coupon = new CouponCard({ place: $("coupon-place"), store, now, claim, caught });
  const wishes = new Wishes({
    hub: () => hub,
    room: ROOM,
    store,
    keyFor,
    settleKey,
    forgetKey,
    onHold: keepHold,
    redraw: () => cards.forEach((card) => card.draw()),
  });
  const sale = new SaleCard({
    wishes,
    place: $("sale-place"),
    store,
    now,
    grab,
    holds,
    done,
    pay: (hold) => checkoutHold(hold),
    onReleased: (hold) => released(hold),
  });
  pollCard({ place: $("poll-place"), store, hub, room: ROOM });
  const actions = lineActions({ hub: () => hub, you: () => store.you });
  const chat = new ChatView({ store, list: $("lines"), more: $("newer"), actions });
  const draw = new DrawCard({ place: $("draw-place"), store, now, wishes });
  const team = new TeamCard({ place: $("team-place"), store, now, wishes });
  const cards = [coupon, sale, draw, team];
  setInterval(() => {
    cards.forEach((card) => card.tick());
    composer.draw();
  }, TICK_MS);
  onLanguage(() => {
    cards.forEach((card) => card.draw());
    chat.redraw();
  });
  wireCards.sale = sale;
  wireCards.wishes = wishes;
}

async function claim(drop) {
  try {
    const answer = await hub.command("coupon.claim", { drop: drop.drop, key: keyFor(`claim:${drop.drop}`) });
    forgetKey(`claim:${drop.drop}`);
    couponCaught(answer.coupon);
    if (drop.per_person <= 1) markCaught(drop.drop);
  } catch (error) {
    settleKey(`claim:${drop.drop}`, error);
    if (["already", "limit"].includes(error.code)) markCaught(drop.drop);
    toast(explain(error), "error");
  }
}

const couponsSeen = new Set();

function couponCaught(coupon) {
  if (!coupon || couponsSeen.has(coupon.coupon)) return;
  couponsSeen.add(coupon.coupon);
  const why = coupon.reason ? `${coupon.reason} · ` : "";
  toast(why + t("drop.toast", { amount: worth(coupon) }), "good");
}

function markCaught(drop) {
  caught.add(drop);
  remember("session", `siyu.caught.${ROOM}`, [...caught].slice(-100));
}

async function grab(sale) {
  const name = `hold:${sale.sale}`;
  const fields = { sale: sale.sale, quantity: 1, key: keyFor(name), version: sale.version };
  try {
    const answer = await hub.command("sale.hold", fields);
    forgetKey(name);
    const { hold: id, quantity, price, expires } = answer;
    keepHold({ hold: id, quantity, price, expires, sale: sale.sale, item: { ...sale } });
    report("card_click", sale.sku);
  } catch (error) {
    settleKey(name, error);
    if (error.code === "limit") done.add(sale.sale);
    if (error.code === "not_open" && error.retryMs && error.retryMs < 3000) {
      await new Promise((resolve) => setTimeout(resolve, error.retryMs));
      await grab(sale);
      return;
    }
    toast(explain(error), "error");
  }
}

/** A hold of this person's: kept over a reload, and paid next. */
function keepHold(hold) {
  if (holds.get(hold.sale)?.hold === hold.hold) return;
  holds.set(hold.sale, hold);
  saveHolds();
  wireCards.sale.draw();
  checkoutHold(hold);
}

/** One key per attempt: kept while the outcome is unknown, so that a second tap cannot hold a second unit. */
function keyFor(name) {
  if (!grabKeys.has(name)) grabKeys.set(name, newKey());
  return grabKeys.get(name);
}

function forgetKey(name) {
  grabKeys.delete(name);
}

function settleKey(name, error) {
  if (!OUTCOME_UNKNOWN.has(error.code)) forgetKey(name);
}

function saveHolds() {
  remember("session", `siyu.holds.${ROOM}`, Object.fromEntries(holds));
}

function released(hold) {
  dropHold(hold);
  toast(t("sale.released"), "warn");
}

function dropHold(hold) {
  if (!hold || !holds.delete(hold.sale)) return;
  saveHolds();
  wireCards.sale?.draw();
}

function bought(hold) {
  if (!hold) return;
  const taken = (units.get(hold.sale) || 0) + hold.quantity;
  units.set(hold.sale, taken);
  if (taken >= (hold.item.per_person || Infinity)) done.add(hold.sale);
  dropHold(hold);
}

function shop() {
  return {
    hub,
    api,
    room: ROOM,
    onOrdered: ordered,
    onPaid: (order, hold) => bought(hold),
    onGone: (hold) => (hold && holds.has(hold.sale) ? released(hold) : toast(explain({ code: "expired" }), "warn")),
  };
}

function checkoutHold(hold) {
  new Checkout(shop(), { items: [store.sales.get(hold.sale) || hold.item], hold, order: hold.made || null });
}

/** What a person looked at and shared is part of who brought whom; a report that fails costs the person nothing. */
function report(kind, sku, clip) {
  // Who brought them is asked of what they look at, not of what they share.
  const came = SCENE && sku ? { token: SCENE.slice(0, 64) } : {};
  const what = { kind, ...(sku && { sku }), ...(clip && { clip }), ...came };
  hub.command("touch", what).catch((error) => console.info("touch:", error.message));
}

function buy(card) {
  shelfSheet?.close();
  const sale = [...store.sales.values()].find((one) => one.product === card.product && one.state === "open");
  if (sale && !holds.has(sale.sale)) {
    // It reports when the rush is over for this person: the hold goes first.
    grab(sale);
    return;
  }
  report("card_click", card.sku);
  if (sale) checkoutHold(holds.get(sale.sale));
  else if (card.variants?.length) chooseVariant(card, { buy: (item) => checkOut([item]), add: intoCart });
  else checkOut([itemOf(card)]);
}

function checkOut(items) {
  new Checkout(shop(), { items });
}

/** Something of the points mall: an order whose points are set. */
function exchange(item) {
  new Checkout(shop(), { items: [item], mall: true });
}

function addToCart(card) {
  if (card.variants?.length) chooseVariant(card, { buy: (item) => checkOut([item]), add: intoCart });
  else intoCart(itemOf(card));
}

function intoCart(item) {
  if (cart.add(item)) toast(t("cart.added", { title: item.title }), "good");
  else toast(t("cart.full"), "warn");
}

/** Order all that is in the cart at once; what is ordered is no longer in it. */
function checkOutCart() {
  shelfSheet?.close();
  const onOrdered = () => cart.set([]);
  new Checkout({ ...shop(), onOrdered }, { items: cart.items });
}

function watchClip(card) {
  report("card_click", card.sku);
  report("clip_view", card.sku, clipOf(card));
  openClip(card, $("player"), player?.withToken ? api.token : null);
}

function share() {
  report("share_open");
  openShare({ api, room: ROOM, title: store.room.title || "", scene: SCENE });
}

/** An order that waits for payment, from the list of my orders. */
function payOrder(order) {
  const image = (line) => [...store.shelf, ...store.sales.values()].find((one) => one.product === line.product)?.image;
  const items = order.lines.map((line) => ({ ...line, image: image(line) || "" }));
  new Checkout(shop(), { items, order });
}

function orderMoved(order) {
  for (const hold of [...holds.values()]) {
    if (order.status !== "pending" && hold.made?.order === order.order) dropHold(hold);
  }
}

/** From here on the order keeps the units, until its own end. */
function ordered(order, hold) {
  if (!hold) return;
  hold.made = order;
  hold.expires = order.expires;
  saveHolds();
}

function drawConnection({ state, code, reason }) {
  const place = $("connection");
  place.dataset.state = state;
  place.textContent = t(`state.${state}`);
  $("chat-input").disabled = state === "closed";
  closedCode = state === "closed" ? code : null;
  if (state === "closed" && code !== 1000) {
    const key = `closed.${code}`;
    const text = t(key) === key ? t("closed.other") : t(key);
    player?.stop();
    drawClosed(text, t(key) === key ? reason : "", code === 4403 || code === 4404 ? null : () => location.reload());
  }
}

function drawClosed(text, hint, again) {
  const veil = $("veil");
  veil.dataset.state = "closed";
  $("veil-text").textContent = text;
  $("veil-hint").textContent = hint || "";
  const button = $("veil-button");
  button.hidden = !again;
  button.textContent = t("enter.retry");
  button.onclick = again;
}

function drawVeil() {
  if (closedCode) return;
  const playing = player?.state || "connecting";
  // That the host is away the room says, not the picture: the server lets an early viewer wait for it, and plays on with
  // the last picture once it is gone.
  const alone = hub?.epoch && (!store.stream.live || store.stream.away);
  const state = alone && (playing === "connecting" || playing === "playing") ? "away" : playing;
  const veil = $("veil");
  seenLive = seenLive || playing === "playing" || Boolean(store.stream.live);
  const soon = state === "away" && !seenLive;
  veil.dataset.state = state;
  const texts = {
    connecting: "stage.connecting",
    away: soon ? "stage.soon" : "stage.away",
    blocked: "stage.blocked",
    unsupported: "stage.unsupported",
  };
  $("veil-text").textContent = texts[state] ? t(texts[state]) : "";
  $("veil-hint").textContent = state === "away" ? t("stage.awayHint") : "";
  const button = $("veil-button");
  button.hidden = state !== "blocked";
  if (state === "blocked") {
    put(button, icon("play"), t("stage.blocked"));
    button.onclick = () => player.play();
  }
  $("replays").hidden = state !== "away" || !shows.length;
  $("replays").textContent = t("replay.open", { n: shows.length });
  $("unmute").hidden = state !== "playing" || !$("player").muted;
}

function drawRoom() {
  const { room, stream } = store;
  $("host-name").textContent = room.host || t("app.title");
  $("room-title").textContent = room.title || "";
  $("avatar").textContent = (room.host || room.title || "播").slice(0, 1);
  if (room.title) document.title = `${room.title} · ${t("app.title")}`;
  $("live-badge").dataset.live = String(Boolean(stream.live));
  $("live-text").textContent = t(stream.live ? "stage.live" : "stage.off");
}

function drawCounts() {
  $("viewers").textContent = short(store.viewers);
  $("watching").setAttribute("aria-label", t("stage.watching", { n: store.viewers }));
  $("likes").textContent = short(store.likes);
  $("likes").hidden = !store.likes;
  $("bag-count").textContent = String(store.shelf.length);
  $("bag-count").hidden = !store.shelf.length;
}

function drawShelves() {
  const explaining = [...store.pins.values()].find((card) => card.explaining)?.product || null;
  const options = { explaining, onBuy: buy, onWatch: watchClip, onAdd: addToCart, onTerms: (card) => openTerms(api, card), onFilter: drawShelves };
  for (const place of [$("shelf-list"), shelfSheet?.body]) {
    if (!place) continue;
    drawShelf(place, store.shelf, options);
    const bar = cart.bar(checkOutCart);
    if (bar) place.append(bar);
  }
  drawPinned($("pinned"), store.pinned(), buy);
  drawCounts();
}

function openShelf() {
  const title = () => `${t("shelf.title")} · ${t("shelf.count", { n: store.shelf.length })}`;
  shelfSheet = sheet({
    title: title(),
    testid: "shelf-sheet",
    closeLabel: t("common.close"),
    onClose: () => (shelfSheet = null),
  });
  drawShelves();
  refreshShelf();
}

/** Stock on the shelf moves without events: read it when someone looks. */
async function refreshShelf() {
  try {
    const answer = await api.get(`/rooms/${encodeURIComponent(ROOM)}`);
    store.shelf = answer.shelf || store.shelf;
    drawShelves();
  } catch (error) {
    console.info("shelf:", error.message);
  }
}

function wireStore(floating) {
  let likesSeen = null;
  store.on("room", () => {
    likesSeen = null;
    drawRoom();
  });
  store.on("stream", () => {
    drawRoom();
    drawVeil();
    if (store.stream.live && player?.state === "away") player.poke();
    if (!store.stream.live && hub?.epoch) findShows();
  });
  cart.onChange(drawShelves);
  store.on("pins", drawShelves);
  store.on("shelf", drawShelves);
  store.on("left", () => {
    markLeft($("shelf-list"), store.shelf);
    if (shelfSheet) markLeft(shelfSheet.body, store.shelf);
  });
  store.on("viewers", drawCounts);
  store.on("likes", () => {
    if (likesSeen !== null) floating.others(store.likes - likesSeen);
    likesSeen = store.likes;
    drawCounts();
  });
}

function wireButtons(floating) {
  put($("watch-icon"), icon("eye"));
  $("bag").prepend(icon("bag"));
  $("chat-send").append(icon("send"));
  $("me").append(icon("person"));
  $("share").append(icon("share"));
  $("like").prepend(icon("heart"));
  composer.wire();
  $("bag").addEventListener("click", openShelf);
  $("like").addEventListener("click", () => {
    floating.tap();
    hub?.like();
  });
  $("me").addEventListener("click", () =>
    openMine({ api, room: ROOM, pay: payOrder, now: () => hub.now(), exchange, buy: (item) => checkOut([item]) }),
  );
  $("shop").addEventListener("click", () => openShop(api, ROOM));
  $("share").addEventListener("click", share);
  $("language").addEventListener("click", toggleLanguage);
  $("replays").addEventListener("click", () => watchReplays());
  $("unmute").addEventListener("click", async () => {
    await player.unmute();
    drawVeil();
  });
}

function drawTexts() {
  put($("unmute"), icon("mute"), h("span", {}, t("stage.unmute")));
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  $("ask").textContent = t("ask.mark");
  if (hub) $("connection").textContent = t(`state.${hub.state}`);
  drawRoom();
  drawShelves();
  drawVeil();
}

function main() {
  translatePage();
  const floating = hearts($("hearts"));
  wireStore(floating);
  wireButtons(floating);
  const wanted = new URLSearchParams(location.search).get("player");
  player = new (wanted === "whep" ? WhepPlayer : LivePlayer)({
    video: $("player"),
    room: ROOM,
    token: () => api.token,
    clock: () => store.stream,
    preferHls: wanted === "hls",
    onState: drawVeil,
  });
  backdrop($("player"), $("backdrop"), $("stage"));
  onLanguage(drawTexts);
  drawTexts();
  player.start();
  open();
}

main();
