/** Group buys: their progress, opening one, joining one (`team`, as an invitation names it), inviting friends. */

import { newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { shopPage } from "../../shared/page.js";
import { clock, money } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { TEAM } from "../texts.js";

/** The groups in which this phone has taken a seat, newest last; the shop has the truth, this the buttons. */
const SEATS_KEY = "siyu-seats";
const SEATS_MAX = 50;
const TICK_MS = 1000;
const LOOK_EVERY = 15;

shopPage(TEAM, {
  /** @type {any[]} */
  sales: [],
  /** @type {any[]} */
  teams: [],
  /** @type {Map<string, string>} */
  keys: new Map(),
  ticks: 0,
  ticking: 0,

  onShow() {
    if (this.data.ready) this.again();
    if (!this.ticking) this.ticking = setInterval(() => this.tick(), TICK_MS);
  },

  onHide() {
    clearInterval(this.ticking);
    this.ticking = 0;
  },

  onUnload() {
    clearInterval(this.ticking);
  },

  async load() {
    const { api, room } = this.visit;
    const asked = this.query.team || "";
    const [found, teams] = await Promise.all([
      api.get(`/rooms/${encodeURIComponent(room)}`),
      api.get(`/rooms/${encodeURIComponent(room)}/teams`),
      this.visit.mintLink(),
    ]);
    this.sales = found.sales.filter((/** @type {any} */ sale) => sale.mode === "team");
    // A group that has ended is on no list, but its members and friends may still hold its card.
    const listed = teams.some((/** @type {any} */ one) => one.team === asked);
    this.teams = asked && !listed ? [await api.get(`/teams/${encodeURIComponent(asked)}`), ...teams] : teams;
    return this.view();
  },

  /** @returns {{offers: any[], teams: any[]}} */
  view() {
    /** @type {any[]} */
    const known = this.teams;
    /** @type {any[]} */
    const sales = this.sales;
    const seats = new Set(wx.getStorageSync(SEATS_KEY) || []);
    const now = Date.now();
    const first = this.query.team || "";
    const offers = sales.map((sale) => ({
      sale: sale.sale,
      sku: sale.sku,
      title: sale.title,
      image: asset(sale.image),
      price: money(sale.price),
      before: sale.list_price > sale.price ? money(sale.list_price) : "",
      size: this.t(sale.team_winners ? "lottery" : "size", { n: sale.team_size, k: sale.team_winners }),
      can: sale.state === "open" && !known.some((team) => team.sale === sale.sale && seats.has(team.team) && team.state === "open"),
    }));
    const open = (/** @type {any} */ team) => team.state === "open" && team.deadline > now;
    const shown = known.filter((team) => open(team) || seats.has(team.team) || team.team === first);
    const rank = (/** @type {any} */ team) => (team.team === first ? 2 : 0) + (seats.has(team.team) ? 1 : 0);
    const teams = shown.sort((left, right) => rank(right) - rank(left)).map((team) => this.teamView(team, seats, now));
    return { offers, teams };
  },

  /**
   * @param {any} team
   * @param {Set<string>} seats
   * @param {number} now
   */
  teamView(team, seats, now) {
    const open = team.state === "open";
    const mine = seats.has(team.team);
    return {
      team: team.team,
      sale: team.sale,
      leader: this.t("groupOf", { name: team.leader }),
      progress: this.t("paidOf", team),
      share: Math.round((100 * team.paid) / team.size),
      state: open ? this.t("missing", { n: team.size - team.paid }) : this.t(team.state),
      time: open ? this.t("ends", { time: clock(team.deadline - now) }) : "",
      deadline: team.deadline,
      mine,
      invite: open && mine,
      can: open && !mine && team.taken < team.size && team.deadline > now,
      draw: team.draw || "",
    };
  },

  /** Time moves by itself; who paid meanwhile is looked up now and then. */
  tick() {
    if (!this.data.ready || this.data.problem) return;
    this.ticks += 1;
    if (this.ticks % LOOK_EVERY === 0) this.again();
    else this.setData({ teams: this.view().teams });
  },

  /**
   * What a sale sells: goods that are made to wishes have these filled in first.
   * @param {string} sale
   */
  goods(sale) {
    const sku = this.data.offers.find((/** @type {any} */ one) => one.sale === sale)?.sku;
    return sku ? { sku } : {};
  },

  /** @param {{currentTarget: {dataset: {sale: string, team?: string}}}} event */
  async onJoin({ currentTarget }) {
    const { sale, team = "" } = currentTarget.dataset;
    const wish = `${sale}:${team}`;
    const key = this.keys.get(wish) ?? newKey();
    this.keys.set(wish, key);
    await this.act(async () => {
      try {
        const path = `/rooms/${encodeURIComponent(this.visit.room)}/sales/${encodeURIComponent(sale)}/teams`;
        const seat = await this.visit.api.post(path, team ? { team } : {}, key);
        this.keys.delete(wish);
        const seats = wx.getStorageSync(SEATS_KEY) || [];
        wx.setStorageSync(SEATS_KEY, [...seats, seat.team].slice(-SEATS_MAX));
        this.query = { ...this.query, team: seat.team };
        this.go("/shop/checkout/checkout", { hold: seat.hold, until: String(seat.expires), ...this.goods(sale) });
      } catch (error) {
        if (!OUTCOME_UNKNOWN.has(/** @type {any} */ (error).code)) this.keys.delete(wish);
        throw error;
      }
    });
  },

  /** @param {{currentTarget: {dataset: {draw: string}}}} event */
  onProof({ currentTarget }) {
    this.go("/shop/draw/draw", { draw: currentTarget.dataset.draw });
  },

  /** @param {{from?: string, target?: {dataset?: {team?: string}}}} event a button's, or the menu's */
  onShareAppMessage(event) {
    const team = event.target?.dataset?.team || this.query.team || "";
    const sale = this.teams.find((/** @type {any} */ one) => one.team === team)?.sale;
    const offer = this.sales.find((/** @type {any} */ one) => one.sale === sale) || this.sales[0];
    return {
      title: offer ? `${this.t("title")} ${money(offer.price)} ${offer.title}` : this.t("title"),
      path: this.visit.card("/shop/team/team", team ? { team } : {}),
      ...(offer?.image && { imageUrl: asset(offer.image) }),
    };
  },
});
