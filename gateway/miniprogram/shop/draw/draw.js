/** Draws of a room, and one (`draw`) with its proof, recomputed on the phone. */

import { recompute } from "../../lib/draw_proof.js";
import { shopPage } from "../../shared/page.js";
import { money } from "../../shared/speak.js";
import { hmac, sha256 } from "../../shared/sha256.js";
import { DRAW } from "../texts.js";

/** Tickets that a phone shows; all are in what is recomputed. */
const TICKETS_SHOWN = 200;

shopPage(DRAW, {
  async load() {
    const { api, room } = this.visit;
    const { draw } = this.query;
    if (draw) return { proof: await this.proof(draw), draws: [] };
    const draws = await api.get(`/rooms/${encodeURIComponent(room)}/draws`);
    return { proof: null, draws: draws.map((/** @type {any} */ one) => this.lineView(one)) };
  },

  /** @param {any} draw */
  lineView(draw) {
    const figures = this.t("figures", draw);
    return { draw: draw.draw, title: draw.title, note: `${this.t(draw.kind)} · ${figures}`, state: this.t(draw.state) };
  },

  /** @param {string} id */
  async proof(id) {
    const path = `/draws/${encodeURIComponent(id)}`;
    const [proof, mine] = await Promise.all([this.visit.api.get(path), this.entry(`${path}/entry`)]);
    const { draw, tickets } = proof;
    const verdict = draw.seed ? await recompute(proof, { sha256, hmac }) : null;
    return {
      ...this.lineView(draw),
      commitment: draw.commitment,
      seed: draw.seed || "",
      verdicts: verdict
        ? [
            { good: verdict.seed, text: this.t(verdict.seed ? "seedOk" : "seedBad") },
            { good: verdict.same, text: this.t(verdict.same ? "same" : "other") },
          ]
        : [],
      mine: mine ? this.mineView(mine, Boolean(draw.seed)) : [],
      tickets: tickets.slice(0, TICKETS_SHOWN).map((/** @type {any} */ one) => this.ticketView(one)),
    };
  },

  /**
   * My own ticket, null when I did not enter.
   * @param {string} path
   */
  async entry(path) {
    try {
      return await this.visit.api.get(path);
    } catch (error) {
      if (/** @type {any} */ (error).code === "not_found") return null;
      throw error;
    }
  },

  /**
   * @param {any} mine
   * @param {boolean} drawn
   */
  mineView({ ticket, n, place, amount }, drawn) {
    const said = [this.t("mine", { ticket, n })];
    if (drawn) said.push(place === null ? this.t("lost") : this.t("won", { place: place + 1 }) + (amount ? ` ${money(amount)}` : ""));
    return said;
  },

  /** @param {any} ticket */
  ticketView({ ticket, place, amount, void: second }) {
    const won = place === null ? "" : this.t("place", { n: place + 1 }) + (amount ? ` ${money(amount)}` : "");
    return { ticket, note: second ? this.t("voided") : won, won: Boolean(won) };
  },

  /** @param {{currentTarget: {dataset: {draw: string}}}} event */
  onOpen({ currentTarget }) {
    this.go("/shop/draw/draw", { draw: currentTarget.dataset.draw });
  },
});
