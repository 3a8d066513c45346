/** The room as its host keeps it: who is there by the second, polls, questions, who may speak and who may not come. */

import { pulse } from "./charts.js";
import { h, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { explain, onLanguage, short, t, when } from "./i18n.js";
import { isHead } from "./keeping.js";

/** Between two looks at the figures. */
const FIGURES_MS = 2000;
/** Rates are the mean of so many seconds: single ones jump. */
const RATE_SECONDS = 5;
const POLL_OPTIONS_FIRST = 2;
const POLL_OPTIONS_MAX = 10;
/** After how long a poll may end by itself; 0: when the host ends it. */
const POLL_SECONDS = [0, 60, 180, 300, 600];
const POLLS_SHOWN = 20;
const SLOW_CHOICES_S = [0, 3, 10, 30, 60];
const TIERS = ["P3", "P2", "P1", "P0"];

/**
 * @param {{api: import("./api.js").Api, base: string, hub: import("./siyu.js").SiyuHub, store: any,
 *   figures: HTMLElement, poll: HTMLElement, questions: HTMLElement, order: HTMLElement, keeper: boolean}} desk `base`: "/rooms/ROOM";
 *   `keeper`: for a moderator, who has the questions and the order alone
 * @returns {{changed: () => Promise<unknown>}} `changed`: bans or appointments are others now
 */
export function keepRoom(desk) {
  const order = new Order(desk);
  const parts = [new Questions(desk), order];
  if (!desk.keeper) parts.push(new Figures(desk), new Polls(desk));
  onLanguage(() => {
    for (const part of parts) part.draw();
  });
  return { changed: () => order.read() };
}

/** What the hub counts, read while somebody looks. */
class Figures {
  constructor({ api, base, figures }) {
    Object.assign(this, { api, base, place: figures });
    this.answer = null;
    this.read();
  }

  async read() {
    if (!document.hidden) {
      try {
        this.answer = await this.api.get(`${this.base}/figures`);
        this.draw();
      } catch (error) {
        console.info("figures:", error.message);
      }
    }
    setTimeout(() => this.read(), FIGURES_MS);
  }

  draw() {
    const { answer } = this;
    if (!answer) return;
    const { seconds } = answer;
    const last = seconds.slice(-RATE_SECONDS);
    const rate = (name) => (last.length ? last.reduce((sum, one) => sum + one[name], 0) / last.length : 0);
    const minutes = Math.max(1, Math.ceil(seconds.length / 60));
    const peak = seconds.reduce((most, one) => Math.max(most, one.viewers), answer.viewers);
    put(
      this.place,
      h(
        "div.pulse-head",
        {},
        h("span.faint", {}, t("room.viewers", { minutes })),
        h("span.faint.num", {}, t("room.peak", { n: short(peak) })),
      ),
      h("div.pulse-row", {}, h("strong.num", { "data-testid": "room-viewers" }, short(answer.viewers)), pulse(seconds)),
      h("div.roles", { "data-testid": "room-roles" }, this.roles(answer.roles)),
      h(
        "dl.facts",
        {},
        fact("room.in", rate("lines").toFixed(1), "lines-in"),
        fact("room.out", short(Math.round(rate("messages"))), "messages-out"),
        fact("room.slow", answer.skipping, "slow-viewers", answer.skipping > 0),
        answer.chat_sampled > 0 && fact("room.sampled", short(answer.chat_sampled), "sampled"),
        answer.held > 0 && fact("room.held", answer.held, "held"),
        fact("room.dropped", this.dropped(answer.dropped), "dropped"),
      ),
      answer.servers.length > 1 && this.servers(answer.servers),
      h("h3", {}, t("room.words")),
      h("p.words", { "data-testid": "words" }, this.words(answer.words)),
    );
  }

  roles(roles) {
    return Object.entries(roles).map(([role, n]) => h("span", {}, t(`room.role.${role}`), " ", h("b.num", {}, short(n))));
  }

  /** Of a room at several servers, each one's part: for whoever wants to know where it is slow. */
  servers(servers) {
    const open = Boolean(this.place.querySelector("details")?.open);
    const parts = servers.map((one) =>
      h("p.num", { "data-testid": "room-server" }, t("room.server", { ...one, viewers: short(one.viewers), out: short(one.messages_out) })),
    );
    return h("details", { open }, h("summary", {}, t("room.servers", { n: servers.length })), parts);
  }

  dropped(dropped) {
    const lost = TIERS.filter((tier) => dropped[tier]);
    return lost.length ? lost.map((tier) => `${t(`room.tier.${tier}`)} ${short(dropped[tier])}`).join(" · ") : t("room.none");
  }

  words(words) {
    if (!words.length) return h("span.faint", {}, t("room.noWords"));
    const most = words[0].count;
    return words.map(({ word, count }) =>
      h("span.word", { data: { heat: String(Math.ceil((3 * count) / most)) } }, word, h("small.num", {}, String(count))),
    );
  }
}

function fact(key, value, testid, alarm = false) {
  return h("div", { data: { alarm: String(alarm) } }, h("dt", {}, t(key)), h("dd.num", { "data-testid": testid }, String(value)));
}

/** One poll at a time: a form while none is open, its votes while one is. */
class Polls {
  constructor({ api, base, hub, store, poll }) {
    Object.assign(this, { api, base, hub, store, place: poll });
    this.options = POLL_OPTIONS_FIRST;
    this.view = h("div");
    this.form = h("form.form-grid", { "data-testid": "poll-form" });
    this.foot = h("div.run-buttons");
    this.earlier = h("div.runs");
    put(poll, this.view, this.form, this.foot, this.earlier);
    this.fill();
    onSend(this.form, (button) => (button === "more" ? this.more() : this.start()));
    store.on("poll", () => this.draw());
    this.draw();
  }

  fill() {
    const typed = [...this.form.querySelectorAll("input")].map((input) => input.value);
    const seconds = this.form.elements.seconds?.value ?? "0";
    const numbers = Array.from({ length: this.options }, (_, index) => index + 1);
    put(
      this.form,
      field("poll.ask", { name: "title", required: true, maxlength: 60, wide: true, "data-testid": "poll-title" }),
      numbers.map((n) => this.option(n)),
      field("poll.time", {
        name: "seconds",
        "data-testid": "poll-seconds",
        options: POLL_SECONDS.map((s) => [String(s), s ? t("poll.minutes", { n: s / 60 }) : t("poll.byHand")]),
      }),
      h(
        "div.form-foot",
        {},
        this.options < POLL_OPTIONS_MAX &&
          h("button.small", { type: "submit", value: "more", formnovalidate: true, "data-testid": "poll-more" }, t("poll.more")),
        h("button.primary", { type: "submit", value: "start", "data-testid": "poll-start" }, t("poll.start")),
      ),
    );
    for (const [index, input] of [...this.form.querySelectorAll("input")].entries()) input.value = typed[index] ?? "";
    this.form.elements.seconds.value = seconds;
  }

  option(n) {
    const input = h("input", { required: n <= POLL_OPTIONS_FIRST, maxlength: 60, autocomplete: "off", "data-testid": `poll-option-${n}` });
    return h("label.field", {}, h("span", {}, t("poll.option", { n })), input);
  }

  async more() {
    this.options += 1;
    this.fill();
  }

  async start() {
    const [title, ...options] = [...this.form.querySelectorAll("input")].map((input) => input.value.trim());
    const seconds = Number(this.form.elements.seconds.value);
    const timed = seconds ? { seconds } : {};
    await this.hub.command("poll.start", { title, options: options.filter((option) => option), ...timed });
    this.form.reset();
    this.options = POLL_OPTIONS_FIRST;
    this.fill();
    toast(t("poll.started"), "good");
  }

  draw() {
    const { poll } = this.store;
    const open = poll?.state === "open";
    this.form.hidden = open;
    if (!open) this.fill();
    put(this.view, poll && this.result(poll, open));
    put(this.foot, doer(t("poll.earlier"), () => this.readEarlier(), { "data-testid": "poll-earlier" }));
  }

  /** What was voted before this one, as it is written down. */
  async readEarlier() {
    const { items } = await this.api.get(`${this.base}/polls?limit=${POLLS_SHOWN}`);
    const over = items.filter((one) => one.ended !== null && one.poll !== this.store.poll?.poll);
    const views = over.map((one) => this.result({ ...one, state: "ended" }, false, "poll-past"));
    put(this.earlier, views.length ? views : h("p.empty", {}, t("poll.noneEarlier")));
  }

  result(poll, open, testid = "poll-run") {
    const all = poll.votes.reduce((sum, votes) => sum + votes, 0);
    const end = () => this.hub.command("poll.end", { poll: poll.poll });
    return h(
      "article.run",
      { "data-testid": testid, data: { state: poll.state } },
      h(
        "div.run-head",
        {},
        h("strong", {}, poll.title),
        open && poll.ends && h("span.faint.num", { "data-testid": "poll-ends" }, t("poll.until", { time: when(poll.ends) })),
        h("span.chip", { data: { state: poll.state } }, t(`poll.${poll.state}`)),
      ),
      poll.options.map((option, index) => {
        const bar = h("span.stock-bar", { "aria-hidden": "true" }, h("i"));
        bar.style.setProperty("--share", String(all ? poll.votes[index] / all : 0));
        return h(
          "div.poll-line",
          {},
          h("span", {}, option),
          bar,
          h("span.faint.num", { "data-testid": `poll-votes-${index}` }, t("poll.votes", { n: poll.votes[index] })),
        );
      }),
      open && h("div.run-buttons", {}, doer(t("poll.end"), end, { "data-testid": "poll-end" })),
    );
  }
}

/** The queue of questions, oldest first. */
class Questions {
  constructor({ hub, store, questions, keeper }) {
    Object.assign(this, { hub, store, keeper, place: questions });
    this.waiting = [];
    store.on("questions", () => this.read());
    hub.on("answered", () => this.read());
    this.draw();
  }

  async read() {
    try {
      this.waiting = this.store.questions ? (await this.hub.command("question.list")).questions : [];
    } catch (error) {
      console.info("questions:", error.message);
      return;
    }
    this.draw();
  }

  draw() {
    const typed = new Map(
      [...this.place.querySelectorAll("input")].map((input) => [input.dataset.question, input.value]),
    );
    const focus = document.activeElement?.dataset?.question;
    put(this.place, this.waiting.length ? this.waiting.map((one) => this.row(one, typed)) : h("p.faint", {}, t("ask.none")));
    if (focus) this.place.querySelector(`input[data-question="${CSS.escape(focus)}"]`)?.focus();
  }

  row({ question, from, text }, typed) {
    const input = h("input", { maxlength: 200, autocomplete: "off", placeholder: t("ask.hint"), data: { question }, "data-testid": "answer-text" });
    input.value = typed.get(question) || "";
    const form = h("form.say", {}, input, h("button.small.strong", { type: "submit", "data-testid": "answer" }, t("ask.answer")));
    const settle = async (cmd, fields) => {
      await this.hub.command(cmd, { question, ...fields });
      this.waiting = this.waiting.filter((one) => one.question !== question);
      this.draw();
    };
    onSend(form, async () => input.value.trim() && settle("question.answer", { text: input.value.trim() }));
    return h(
      "article.run",
      { "data-testid": "question", data: { question } },
      h("p.question", {}, h("b", {}, from.name), " ", text),
      !this.keeper && form,
      h(
        "div.run-buttons",
        {},
        !this.keeper && doer(t("ask.aloud"), () => settle("question.answer", {}), { "data-testid": "answered-aloud" }),
        doer(t("ask.drop"), () => settle("question.drop", {}), { "data-testid": "question-drop" }),
      ),
    );
  }
}

/** Who may write and how often, and who may not come in. */
class Order {
  constructor({ hub, store, order, keeper }) {
    Object.assign(this, { hub, store, keeper, place: order });
    this.bans = [];
    this.moderators = [];
    store.on("rules", () => this.draw());
    store.on("room", () => this.read());
    this.draw();
  }

  async read() {
    try {
      this.bans = (await this.hub.command("bans.list")).bans;
      this.moderators = (await this.hub.command("moderators.list")).moderators;
    } catch (error) {
      console.info("bans:", error.message);
      return;
    }
    this.draw();
  }

  draw() {
    const { audience = "everyone", slow_s: slow = 0 } = this.store.rules || {};
    const slows = [...new Set([...SLOW_CHOICES_S, slow])].sort((left, right) => left - right);
    const slowText = (n) => (n ? t("order.seconds", { n }) : t("order.off"));
    put(
      this.place,
      h(
        "div.form-grid",
        {},
        !this.keeper && this.choice("order.audience", "audience", ["everyone", "followers", "members", "staff"], audience, (who) => t(`order.${who}`), (who) =>
          this.hub.command("chat.audience", { who }),
        ),
        this.choice("order.slow", "slow", slows, slow, slowText, (seconds) =>
          this.hub.command("chat.slow", { seconds: Number(seconds) }),
        ),
      ),
      h("h3", {}, t("order.bans")),
      h("ul.bans", { "data-testid": "bans" }, this.bans.length ? this.bans.map((ban) => this.ban(ban)) : h("li.faint", {}, t("order.noBans"))),
      h("h3", {}, t("keeper.title")),
      h(
        "ul.bans",
        { "data-testid": "moderators" },
        this.moderators.length ? this.moderators.map((one) => this.moderator(one)) : h("li.faint", {}, t("keeper.none")),
      ),
    );
  }

  choice(label, name, values, chosen, text, send) {
    const made = field(label, { options: values.map((value) => [value, text(value)]), "data-testid": `rule-${name}` });
    const select = made.querySelector("select");
    select.value = String(chosen);
    select.addEventListener("change", async () => {
      try {
        await send(select.value);
      } catch (error) {
        select.value = String(chosen);
        toast(explain(error), "error");
      }
    });
    return made;
  }

  moderator({ person, name, role, everywhere }) {
    const dismiss = async () => {
      await this.hub.command("moderator.remove", { person });
      toast(t("keeper.dismissed", { name }), "good");
      await this.read();
    };
    const mine = isHead(this.store.you.role) && role === "moderator" && !everywhere;
    return h(
      "li",
      { data: { person } },
      h("span", {}, h("b", {}, name), " ", h("span.faint", {}, t(`role.${role}`), everywhere && ` · ${t("keeper.everywhere")}`)),
      mine && doer(t("keeper.dismiss"), dismiss, { "data-testid": "moderator-dismiss" }),
    );
  }

  /** Who it is, if they said something that is still on the page. */
  name(person) {
    return this.store.lines.find((line) => line.from?.person === person)?.from.name || `#${person.slice(-6)}`;
  }

  ban({ person, until }) {
    const lift = async () => {
      await this.hub.command("unban", { person });
      toast(t("order.lifted"), "good");
      await this.read();
    };
    return h(
      "li",
      { data: { person } },
      h("span", {}, h("b", {}, this.name(person)), " ", h("span.faint", {}, until ? t("order.for", { time: when(until) }) : t("order.forever"))),
      !this.keeper && doer(t("order.lift"), lift, { "data-testid": "lift" }),
    );
  }
}
