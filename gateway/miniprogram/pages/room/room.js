/** The room page: the show's values into `setData`, taps into commands. */

import { TEMPLATES } from "../../config.js";
import { actionsOn, commandFor } from "../../lib/keeping.js";
import { mayWrite, written } from "../../shared/asking.js";
import { explain, money, speaker, wordsOf } from "../../shared/speak.js";
import { SHARED } from "../../shared/texts.js";
import { visitOf } from "../../shared/visit.js";
import { ROOM_TEXTS } from "./texts.js";
import { Show } from "./show.js";
import { roomView } from "./view.js";

/** A busy room changes many times a second; a phone draws it this often. */
const DRAW_MS = 150;
/** Countdowns move by the second. */
const TICK_MS = 250;
/** live-player codes after which its connection is lost for good: -2301 tried and failed, 3001 to 3005 never there. */
const PLAYER_LOST = new Set([-2301, -2302, 3001, 3002, 3003, 3005]);
/** Codes of a picture that is on the screen: 2003 the first frame, 2004 playing. */
const PLAYER_SHOWS = new Set([2003, 2004]);
const PLAYER_RETRY_MS = 2000;

const TEXTS = { ...SHARED, ...ROOM_TEXTS };
const t = speaker(TEXTS);

Page({
  data: {
    words: wordsOf(TEXTS),
    connection: "",
    closed: "",
    source: "",
    text: "",
    lastLine: "",
    /** @type {Record<string, any>} */
    room: {},
  },

  /** @type {Show|null} */
  show: null,
  /** @type {Record<string, string>} the values that the page shows, as JSON */
  drawn: {},
  drawing: 0,
  ticking: 0,
  retrying: 0,

  /** @param {import("../../shared/visit.js").Query} query of a card: room and s; of a code: scene */
  onLoad(query) {
    this.show = new Show(visitOf(query), () => this.soon());
    this.ticking = setInterval(() => this.tick(), TICK_MS);
    wx.setKeepScreenOn({ keepScreenOn: true });
    this.enter();
  },

  /** Back from a page on which something of this room may have been ordered. */
  onShow() {
    const { show } = this;
    if (!show) return;
    show.basket.leave(show.visit.ordered);
    this.soon();
  },

  onUnload() {
    clearInterval(this.ticking);
    clearTimeout(this.drawing);
    clearTimeout(this.retrying);
    this.show?.close();
    this.show = null;
  },

  async enter() {
    this.setData({ closed: "", connection: t("connecting") });
    try {
      await this.show?.open();
    } catch (error) {
      this.setData({ closed: explain(t, error), connection: "" });
    }
  },

  // — drawing —

  soon() {
    if (!this.drawing) this.drawing = setTimeout(() => this.draw(), DRAW_MS);
  },

  tick() {
    if (!this.show || this.show.hub.epoch === null) return;
    if (this.show.basket.expire()) wx.showToast({ title: t("released"), icon: "none" });
    this.draw();
  },

  /** Give the page what has changed, and nothing else: each `setData` crosses from one thread to another. */
  draw() {
    clearTimeout(this.drawing);
    this.drawing = 0;
    const { show } = this;
    if (!show) return;
    for (const { say, values } of show.wishes.news.splice(0)) wx.showToast({ title: t(say, values), icon: "none" });
    const view = roomView(show, show.hub.now(), t);
    const last = view.lines.length ? view.lines[view.lines.length - 1].id : "";
    const wanted = view.live ? show.flv : "";
    /** @type {Record<string, any>} */
    const all = { connection: this.connection(), closed: this.closedText(), lastLine: last };
    if (!this.retrying) all.source = wanted;
    for (const [name, value] of Object.entries(view)) all[`room.${name}`] = value;
    /** @type {Record<string, any>} */
    const changed = {};
    for (const [name, value] of Object.entries(all)) {
      const json = JSON.stringify(value);
      if (json !== this.drawn[name]) changed[name] = value;
      this.drawn[name] = json;
    }
    if (Object.keys(changed).length) this.setData(changed);
  },

  connection() {
    const state = this.show?.hub.state;
    return state === "connecting" || state === "waiting" ? t("waiting") : "";
  },

  closedText() {
    const code = this.show?.endCode ?? 0;
    if (!code) return "";
    return t(code === 4403 ? "error.banned" : code === 4404 ? "error.no_room" : "ended");
  },

  /** @param {any} error */
  complain(error) {
    if (error?.code === "cancelled") return;
    wx.showToast({ title: explain(t, error), icon: "none" });
  },

  // — the picture —

  /** @param {{detail: {code: number}}} event */
  onPlayerState({ detail }) {
    const { show } = this;
    if (!show) return;
    if (PLAYER_SHOWS.has(detail.code)) show.bufferedMs ??= 1000;
    if (!PLAYER_LOST.has(detail.code) || this.retrying) return;
    // Take the address away and give it again: that is how live-player begins anew.
    show.bufferedMs = null;
    this.setData({ source: "" });
    this.drawn.source = JSON.stringify("");
    this.retrying = setTimeout(() => {
      this.retrying = 0;
      this.draw();
    }, PLAYER_RETRY_MS);
  },

  /** @param {{detail: {info: {videoCache?: number}}}} event once a second or two */
  onPlayerNet({ detail }) {
    const cached = detail.info.videoCache;
    if (this.show && typeof cached === "number" && this.show.bufferedMs !== null) this.show.bufferedMs = cached;
  },

  // — taps —

  /** @param {{detail: {value: string}}} event */
  onText({ detail }) {
    this.setData({ text: detail.value });
  },

  async onSend() {
    const text = this.data.text.trim();
    if (!text || !this.show) return;
    this.setData({ text: "" });
    try {
      await this.show.hub.command("chat.send", { text });
    } catch (error) {
      // Give the words back: nobody likes to type twice.
      if (!this.data.text) this.setData({ text });
      const { code } = /** @type {any} */ (error);
      if (code === "followers_only") this.offerFollow(error);
      else this.complain(error);
    }
  },

  /**
   * Only followers may write: follow and send, in one tap.
   * @param {any} error
   */
  offerFollow(error) {
    wx.showModal({
      title: explain(t, error),
      confirmText: t("follow"),
      success: async ({ confirm }) => {
        if (!confirm || !this.show) return;
        try {
          await this.show.hub.command("follow");
          await this.onSend();
        } catch (failure) {
          this.complain(failure);
        }
      },
    });
  },

  /** @param {{currentTarget: {dataset: {option: number}}}} event */
  async onVote({ currentTarget }) {
    const { show } = this;
    const poll = show?.store.poll;
    if (!show || !poll || !this.data.room.poll?.can) return;
    try {
      await show.ballot.vote(poll, Number(currentTarget.dataset.option));
    } catch (error) {
      this.complain(error);
    }
  },

  /**
   * A long press on a line: what somebody who keeps order may do about it.
   * @param {{currentTarget: {dataset: {line: string}}}} event
   */
  onLine({ currentTarget }) {
    const { show } = this;
    const line = this.data.room.lines.find((/** @type {any} */ one) => one.id === currentTarget.dataset.line);
    const actions = show && line ? actionsOn(show.store.you, line) : [];
    if (!show || !actions.length) return;
    wx.showActionSheet({
      alertText: `${line.name}: ${line.text}`.slice(0, 60),
      itemList: actions.map((action) => t(action)),
      success: async ({ tapIndex }) => {
        try {
          await show.hub.command(...commandFor(actions[tapIndex], line, show.store.you, show.hub.now()));
          wx.showToast({ title: t("done"), icon: "success" });
        } catch (error) {
          this.complain(error);
        }
      },
    });
  },

  onLike() {
    this.show?.hub.like();
  },

  async onClaim() {
    const drop = this.show?.store.drops.get(this.data.room.drop?.drop);
    if (!drop) return;
    try {
      const coupon = await this.show?.basket.claim(drop);
      if (coupon) wx.showToast({ title: t("got", { amount: money(coupon.amount) }), icon: "none" });
    } catch (error) {
      this.complain(error);
    }
  },

  /** Grab a unit, or go on with the one that is held. */
  async onSale() {
    const { show } = this;
    const sale = show?.store.sales.get(this.data.room.sale?.sale);
    if (!show || !sale) return;
    try {
      const hold = show.basket.holds.get(sale.sale);
      const { wish } = this.data.room.sale;
      if (hold) {
        await show.basket.begin(sale, hold);
        return;
      }
      if (wish) {
        await this.wish(wish, sale);
        return;
      }
      await show.basket.grab(sale);
      show.report("card_click", sale.sku);
    } catch (error) {
      this.complain(error);
    }
  },

  /**
   * @param {"enter"|"wait"|"remind"} wish
   * @param {any} sale
   */
  async wish(wish, sale) {
    const { show } = this;
    if (!show) return;
    if (wish === "enter") await show.wishes.enter({ draw: sale.draw, task: "none" });
    if (wish === "wait") await show.wishes.wait(sale);
    if (wish !== "remind") return;
    // WeChat asks in the tap itself; whatever is answered there, the room reminds who is in it.
    const granted = mayWrite(show.visit.api, [TEMPLATES.sale]);
    await Promise.all([granted.catch((error) => this.complain(error)), show.wishes.remind(sale)]);
  },

  async onDraw() {
    const { show } = this;
    const shown = this.data.room.draw;
    if (!show || !shown) return;
    if (shown.proof) {
      this.go("/shop/draw/draw", { draw: shown.draw });
      return;
    }
    try {
      await show.wishes.enter(show.store.draws.get(shown.draw));
    } catch (error) {
      this.complain(error);
    }
  },

  async onAsk() {
    const text = await written(t("askHost"), t("askHint"));
    if (!text || !this.show) return;
    try {
      await this.show.wishes.ask(text);
      wx.showToast({ title: t("askSent"), icon: "none" });
    } catch (error) {
      this.complain(error);
    }
  },

  async onBuy() {
    const { show } = this;
    const card = show?.store.pinned();
    if (!show || !card) return;
    show.report("card_click", card.sku);
    try {
      await show.basket.begin(card);
    } catch (error) {
      this.complain(error);
    }
  },

  async onPay() {
    const basket = this.show?.basket;
    if (!basket) return;
    if (basket.purchase?.paid) {
      this.onSheetClose();
      return;
    }
    try {
      const end = await basket.pay();
      if (end === "paid") wx.showToast({ title: t("paid"), icon: "success" });
      if (end === "confirming") wx.showToast({ title: t("confirming"), icon: "none" });
      if (end === "changed") wx.showToast({ title: t("changed"), icon: "none" });
    } catch (error) {
      this.complain(error);
    }
  },

  onSheetClose() {
    if (!this.show || this.show.basket.purchase?.busy) return;
    this.show.basket.purchase = null;
    this.draw();
  },

  /** Delivery, other coupons, points: the whole order page, with the unit that is held. */
  onOptions() {
    const purchase = this.show?.basket.purchase;
    if (!this.show || !purchase || purchase.order) return;
    const { hold, item } = purchase;
    this.onSheetClose();
    this.go("/shop/checkout/checkout", { sku: item.sku, ...(hold && { hold: hold.hold, until: String(hold.expires) }) });
  },

  // — the other pages —

  /**
   * @param {string} page
   * @param {Record<string, string>} [values]
   */
  go(page, values) {
    if (this.show) wx.navigateTo({ url: this.show.visit.address(page, values) });
  },

  onBag() {
    this.go("/shop/goods/goods");
  },

  onMine() {
    this.go("/my/me/me");
  },

  onTeam() {
    this.go("/shop/team/team");
  },

  /** A tap on the sheet is not one beside it. */
  onNothing() {},

  // — who brings whom —

  onShareAppMessage() {
    const { show } = this;
    show?.report("share_open");
    return { title: this.data.room.title || t("live"), path: show?.visit.card("/pages/room/room") || "/pages/room/room" };
  },

  onShareTimeline() {
    const { show } = this;
    return { title: this.data.room.title || t("live"), query: show?.visit.card("").slice(1) || "" };
  },
});
