/** Draws and groups on the viewer page: cards to enter and join, and what became of it. */

import { h, icon, put, toast } from "./dom.js";
import { clock, explain, money, t } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { price } from "./view_cards.js";
import { known, winners } from "./winners.js";

/** How long a result stays in sight. */
const RESULT_LINGER_MS = 20000;
/** Groups that are offered to join, the fullest first. */
const TEAMS_SHOWN = 3;
/** Draws, lines and reminders of this person that the page remembers. */
const KEPT_MAX = 100;

/** What this person has entered, waits for and wants to be reminded of; the ledger has the truth, this the buttons. */
export class Wishes {
  /**
   * @param {{hub: () => any, room: string, store: any, onHold: (hold: any) => void, keyFor: (name: string) => string,
   *   settleKey: (name: string, error: any) => void, forgetKey: (name: string) => void, redraw: () => void}} options
   */
  constructor(options) {
    Object.assign(this, options);
    const kept = recall("session", `siyu.wishes.${this.room}`, {});
    this.tickets = new Map(Object.entries(kept.tickets || {}));
    this.places = new Map(Object.entries(kept.places || {}));
    this.teams = new Map(Object.entries(kept.teams || {}));
    this.reminded = new Set(kept.reminded || []);
  }

  save() {
    const last = (map) => Object.fromEntries([...map].slice(-KEPT_MAX));
    const { tickets, places, teams, reminded } = this;
    const kept = { tickets: last(tickets), places: last(places), teams: last(teams) };
    remember("session", `siyu.wishes.${this.room}`, { ...kept, reminded: [...reminded].slice(-KEPT_MAX) });
    this.redraw();
  }

  async ask(command, fields, done) {
    try {
      done(await this.hub().command(command, fields));
      this.save();
    } catch (error) {
      toast(explain(error), "error");
    }
  }

  enter(draw) {
    const fields = { draw: draw.draw };
    if (draw.task === "comment") fields.comment = draw.word;
    if (draw.task === "follow") fields.follow = true;
    return this.ask("draw.enter", fields, (entered) => this.tickets.set(draw.draw, entered.n));
  }

  enterSale(sale) {
    return this.enter({ draw: sale.draw, task: "none" });
  }

  wait(sale) {
    return this.ask("sale.wait", { sale: sale.sale }, ({ place }) => this.places.set(sale.sale, place));
  }

  remind(sale) {
    return this.ask("sale.remind", { sale: sale.sale }, () => this.reminded.add(sale.sale));
  }

  /** Take a seat; the hold then is paid like any other. */
  async join(sale, team) {
    const name = `team:${sale.sale}:${team || ""}`;
    try {
      const fields = { sale: sale.sale, key: this.keyFor(name), ...(team ? { team } : {}) };
      const seat = await this.hub().command("team.join", fields);
      this.forgetKey(name);
      this.teams.set(sale.sale, seat.team);
      this.save();
      const { hold, quantity, price: each, expires } = seat;
      this.onHold({ hold, quantity, price: each, expires, sale: sale.sale, item: { ...sale } });
    } catch (error) {
      this.settleKey(name, error);
      toast(explain(error), "error");
    }
  }

  /** Units that came without a request: won, or back from somebody else. */
  given(event) {
    const sale = this.store.sales.get(event.sale);
    if (!sale || event.expires <= this.hub().now()) return;
    this.places.delete(event.sale);
    this.save();
    toast(t(event.why === "draw" ? "sale.wonDraw" : "sale.gotLine"), "good");
    const { hold, quantity, price: each, expires } = event;
    this.onHold({ hold, quantity, price: each, expires, sale: event.sale, item: { ...sale } });
  }
}

/** The draw in sight: a lucky bag or a red packet to enter, or the result of the last one. */
export class DrawCard {
  /** @param {{place: HTMLElement, store: any, now: () => number, wishes: Wishes}} options */
  constructor(options) {
    Object.assign(this, options);
    this.ended = new Map();
    this.drawn = "";
    this.store.on("draws", () => this.draw());
  }

  pick() {
    let best = null;
    for (const draw of this.store.draws.values()) {
      const open = draw.state === "open" && draw.kind !== "sale";
      if (!open && !(draw.state === "drawn" && this.recent(draw))) continue;
      const rank = (open ? 1e15 : 0) + draw.opens;
      if (!best || rank > best.rank) best = { draw, rank };
    }
    return best?.draw || null;
  }

  recent(draw) {
    if (!this.ended.has(draw.draw)) this.ended.set(draw.draw, Math.max(draw.drawn, this.now() - RESULT_LINGER_MS / 2));
    return this.now() - this.ended.get(draw.draw) < RESULT_LINGER_MS;
  }

  draw() {
    const draw = this.pick();
    this.shown = draw;
    const mine = draw && this.wishes.tickets.get(draw.draw);
    const key = draw ? JSON.stringify([draw.draw, draw.state, draw.entries, mine, t("draw.enter")]) : "";
    if (key === this.drawn) return;
    this.drawn = key;
    if (!draw) {
      put(this.place);
      return;
    }
    this.time = h("span.time");
    const worth = draw.kind === "packet" ? price(draw.pool, "worth") : h("span.worth.bag", {}, icon("bag"));
    put(
      this.place,
      h(
        "article.ticket.draw-card",
        { "data-testid": "draw-card", data: { draw: draw.draw, state: draw.state } },
        h("div.ticket-worth", {}, worth, h("small", {}, t(`draw.${draw.kind}`))),
        h(
          "div.ticket-text",
          {},
          h("strong", {}, draw.title),
          draw.state === "drawn" ? this.result(draw) : h("span", {}, t("draw.figures", draw)),
          h("span.faint", {}, this.time, draw.state === "drawn" ? proofLink(draw.draw, mine) : null),
        ),
        this.button(draw, mine),
      ),
    );
    this.tick();
  }

  result(draw) {
    if (!draw.won) return h("span", {}, t("draw.none"));
    return h("span", { "data-testid": "draw-winners" }, t("draw.won", { n: draw.won }), " ", winners(draw));
  }

  button(draw, mine) {
    if (draw.state === "drawn") return h("span.ticket-done", {}, t("draw.drawn"));
    if (mine) {
      return h("span.ticket-done", { "data-testid": "draw-entered" }, icon("check"), t("draw.entered", { n: mine }));
    }
    const text = { none: "draw.enter", comment: "draw.comment", follow: "draw.follow" }[draw.task];
    const press = { click: (event) => this.press(event.currentTarget, draw) };
    return h("button.catch", { type: "button", "data-testid": "draw-enter", on: press }, t(text, { word: draw.word }));
  }

  async press(button, draw) {
    button.disabled = true;
    await this.wishes.enter(draw);
    button.disabled = false;
  }

  tick() {
    const draw = this.pick();
    if (draw !== this.shown) this.draw();
    else if (draw?.state === "open") this.time.textContent = clock(draw.closes - this.now());
  }
}

/**
 * The way to a draw's proof, which finds one's own ticket.
 * @param {string} draw
 * @param {number} [mine] the ticket's number
 */
function proofLink(draw, mine) {
  const href = `/draw/${encodeURIComponent(draw)}${mine ? `#${mine}` : ""}`;
  return h("a", { href, target: "_blank", rel: "noopener", "data-testid": "proof" }, t(mine ? "draw.mine" : "draw.proof"));
}

/** The group buy in sight: its price, groups that need people, and this person's own group. */
export class TeamCard {
  /** @param {{place: HTMLElement, store: any, now: () => number, wishes: Wishes}} options */
  constructor(options) {
    Object.assign(this, options);
    this.drawn = "";
    for (const topic of ["sales", "teams"]) this.store.on(topic, () => this.draw());
  }

  pick() {
    const offers = [...this.store.sales.values()].filter((sale) => sale.mode === "team");
    const mine = (sale) => this.store.teams.get(this.wishes.teams.get(sale.sale));
    return offers.reverse().find((sale) => sale.state === "open" || mine(sale)?.state === "open") || null;
  }

  draw() {
    const sale = this.pick();
    const now = this.now();
    const own = sale && this.store.teams.get(this.wishes.teams.get(sale.sale));
    const open = [...this.store.teams.values()]
      .filter((team) => sale && team.sale === sale.sale && team.state === "open" && team.deadline > now && team !== own)
      .filter((team) => team.taken < team.size)
      .sort((a, b) => b.taken / b.size - a.taken / a.size)
      .slice(0, TEAMS_SHOWN);
    const key = sale ? JSON.stringify([sale, own, open, t("team.tag")]) : "";
    if (key === this.drawn) return;
    this.drawn = key;
    if (!sale) {
      put(this.place);
      return;
    }
    put(
      this.place,
      h(
        "article.sale.team-card",
        { "data-testid": "team-card", data: { sale: sale.sale } },
        h("div.sale-head", {}, h("span.sale-tag", {}, t("team.tag")), h("span.sale-label", {}, this.size(sale))),
        h(
          "div.sale-row",
          {},
          h(
            "div.sale-text",
            {},
            h("strong", {}, sale.title),
            h("span.price-row", {}, price(sale.price), sale.list_price > sale.price && h("s", {}, money(sale.list_price))),
          ),
          !own && sale.state === "open" && this.joiner(sale, null, "team.start", "team-open"),
        ),
        own && h("div.team-row", { "data-testid": "team-mine", data: { state: own.state } }, this.own(own)),
        open.map((team) => this.row(sale, team, own)),
      ),
    );
  }

  size(sale) {
    const values = { n: sale.team_size, k: sale.team_winners };
    return t(sale.team_winners ? "team.lottery" : "team.size", values);
  }

  own(team) {
    if (team.state !== "open") {
      const drawn = team.state === "full" && team.draw;
      return [h("span", {}, t(drawn ? "team.drawn" : `team.${team.state}`)), team.draw && proofLink(team.draw)];
    }
    return [h("span", {}, t("team.mine", team)), h("span.time", { data: { until: team.deadline } })];
  }

  row(sale, team, own) {
    return h(
      "div.team-row",
      { "data-testid": "team-row", data: { team: team.team } },
      h("span", {}, t("team.missing", { name: known(team.leader), n: team.size - team.paid })),
      h("span.time", { data: { until: team.deadline } }),
      !own && this.joiner(sale, team.team, "team.join", "team-join"),
    );
  }

  joiner(sale, team, text, testid) {
    const button = h("button.grab", { type: "button", "data-testid": testid }, t(text));
    button.addEventListener("click", async () => {
      button.disabled = true;
      await this.wishes.join(sale, team);
      button.disabled = false;
    });
    return button;
  }

  tick() {
    this.draw();
    for (const time of this.place.querySelectorAll(".time")) {
      time.textContent = clock(Number(time.dataset.until) - this.now());
    }
  }
}
