/** What a page knows of a room: the snapshot, moved on by each event. Draws nothing; says which topics changed. */

import { standingChanges } from "./keeping.js";

/** Chat lines kept on the page; older ones are not worth their elements. */
const LINES_MAX = 200;

/**
 * The coupons that fit an amount, the best first.
 * @param {any[]} coupons
 * @param {number} amount 分
 * @param {number} now Unix ms
 * @returns {any[]}
 */
export function fitting(coupons, amount, now) {
  return coupons
    .filter((coupon) => (coupon.state || "unused") === "unused" && coupon.expires > now && coupon.threshold <= amount)
    .sort((left, right) => right.amount - left.amount || left.expires - right.expires);
}

/** State of one room as the hub tells it. */
export class RoomStore {
  constructor() {
    /** @type {Record<string, any>} */
    this.room = {};
    /** @type {Record<string, any>} */
    this.stream = { live: false };
    /** @type {Record<string, any>} */
    this.you = {};
    /** @type {Map<string, any>} product → card */
    this.pins = new Map();
    /** @type {any[]} */
    this.shelf = [];
    /** @type {Map<string, any>} */
    this.sales = new Map();
    /** @type {Map<string, any>} */
    this.drops = new Map();
    /** @type {Map<string, any>} */
    this.draws = new Map();
    /** @type {Map<string, any>} */
    this.teams = new Map();
    /** @type {any[]} */
    this.lines = [];
    this.viewers = 0;
    this.likes = 0;
    /** What staff set, null until it is first used. @type {any} */
    this.rules = null;
    /** @type {any} */
    this.pinnedNotice = null;
    /** @type {any} */
    this.poll = null;
    /** Questions that wait. */
    this.questions = 0;
    /** @type {Map<string, ((value?: any) => void)[]>} */
    this.listeners = new Map();
  }

  /**
   * @param {string} topic "room" "stream" "pins" "shelf" "sales" "drops" "draws" "teams" "viewers" "likes" "lines" (all)
   *   "line" (one new) "you" (rights changed: told which `Change`s of `keeping.js`) "left" (stock) "rules" "notice" (the pinned one) "poll" "questions"
   * @param {(value?: any) => void} listener
   */
  on(topic, listener) {
    const listening = this.listeners.get(topic) ?? [];
    this.listeners.set(topic, [...listening, listener]);
  }

  /**
   * @param {string} topic
   * @param {any} [value]
   */
  changed(topic, value) {
    for (const listener of this.listeners.get(topic) || []) listener(value);
  }

  /**
   * Take one event of the hub, the snapshot included.
   * @param {any} event
   */
  apply(event) {
    const apply = APPLY[event.t];
    if (apply) apply(this, event);
  }

  /** @param {any} event */
  snapshot(event) {
    this.room = event.room || this.room;
    this.you = event.you || this.you;
    this.stream = event.stream || { live: false };
    this.pins = keyed(event.pins, "product");
    this.shelf = listed(event.shelf);
    this.sales = keyed(event.sales, "sale");
    this.drops = keyed(event.drops, "drop");
    this.draws = keyed(event.draws, "draw");
    this.teams = keyed(event.teams, "team");
    this.viewers = event.viewers || 0;
    this.likes = event.likes || 0;
    this.rules = event.rules || null;
    this.pinnedNotice = event.pinned || null;
    this.poll = event.poll || null;
    this.questions = event.questions || 0;
    const said = (event.history || []).map(lineOf).filter(Boolean);
    const lines = event.resumed ? this.lines.concat(said) : said;
    const { announcement } = event;
    const known = (/** @type {any} */ line) => line.now === announcement.now && line.text === announcement.text;
    // One that is shown for some time yet, and was said before what the history has.
    if (announcement && announcement.until > event.now && !lines.some(known)) lines.push(notice(announcement));
    this.lines = lines.slice(-LINES_MAX);
    for (const topic of TOPICS) this.changed(topic);
  }

  /** @param {any} line */
  addLine(line) {
    this.lines.push(line);
    if (this.lines.length > LINES_MAX) this.lines.shift();
    this.changed("line", line);
  }

  /**
   * How long this person may not write any more, as far as they are told.
   * @param {number} now the server's time
   * @returns {number} milliseconds, 0 when they may
   */
  mutedMs(now) {
    return Math.max(0, (this.you.muted || 0) - now);
  }

  /** @returns {any|null} the card being explained, else the last one pinned */
  pinned() {
    const cards = [...this.pins.values()];
    return cards.find((card) => card.explaining) || cards.pop() || null;
  }
}

/** @param {any} said */
const notice = (said) => ({ ...said, t: "notice" });

/**
 * What an event of the past says, as a line; null for one that says nothing.
 * @param {any} past
 */
function lineOf(past) {
  if (past.t === "chat" || past.t === "notice") return past;
  if (past.t === "announcement") return notice(past.announcement);
  return past.t === "pinned" && past.pinned ? notice(past.pinned) : null;
}

/** All that a snapshot brings. */
const TOPICS = ["room", "stream", "pins", "shelf", "sales", "drops", "draws", "teams", "viewers", "likes"].concat(
  ["lines", "rules", "notice", "poll", "questions"],
);

/** @type {Record<string, (store: RoomStore, event: any) => void>} */
const APPLY = {
  room: (store, event) => store.snapshot(event),
  you: (store, event) => {
    const changes = standingChanges(store.you, event.you);
    store.you = event.you;
    store.changed("you", changes);
    // What one may do about a line is beside it.
    store.changed("lines");
  },
  chat: (store, event) => store.addLine(event),
  notice: (store, event) => store.addLine(event),
  announcement: (store, event) => store.addLine(notice(event.announcement)),
  pinned: (store, event) => {
    store.pinnedNotice = event.pinned;
    if (event.pinned) store.addLine(notice(event.pinned));
    store.changed("notice");
  },
  rules: (store, event) => {
    store.rules = event.rules;
    store.changed("rules");
  },
  poll: (store, event) => {
    store.poll = event.poll;
    store.changed("poll");
  },
  votes: (store, event) => {
    if (store.poll?.poll !== event.poll) return;
    store.poll = { ...store.poll, votes: event.votes };
    store.changed("poll");
  },
  questions: (store, event) => {
    store.questions = event.n;
    store.changed("questions");
  },
  answered: (store, event) => {
    const { question, text } = event;
    if (text) store.addLine({ t: "chat", from: event.from, text: `@${question.from.name} ${text}`, now: event.now });
    store.changed("answered", event);
  },
  recall: (store, event) => {
    store.lines = store.lines.filter((line) => line.o !== event.offset);
    store.changed("recall", event.offset);
  },
  likes: (store, event) => {
    store.likes = event.n;
    store.changed("likes");
  },
  viewers: (store, event) => {
    store.viewers = event.n;
    store.changed("viewers");
  },
  stream: (store, event) => {
    store.stream = event.stream;
    store.changed("stream");
  },
  pin: (store, event) => {
    if (event.card.explaining) for (const card of store.pins.values()) card.explaining = false;
    store.pins.delete(event.card.product);
    store.pins.set(event.card.product, { ...event.card, media_ms: event.media_ms ?? event.card.media_ms });
    store.changed("pins", event);
  },
  unpin: (store, event) => {
    store.pins.delete(event.product);
    store.changed("pins");
  },
  shelf: (store, event) => {
    store.shelf = listed(event.shelf);
    store.changed("shelf");
  },
  left: (store, event) => {
    for (const card of [...store.shelf, ...store.pins.values()]) card.stock = event.left[card.sku] ?? card.stock;
    store.changed("left");
  },
  drop: (store, event) => {
    store.drops.set(event.drop.drop, event.drop);
    store.changed("drops");
  },
  draw: (store, event) => {
    store.draws.set(event.draw.draw, event.draw);
    store.changed("draws");
  },
  team: (store, event) => {
    store.teams.set(event.team.team, event.team);
    store.changed("teams");
  },
  sale: (store, event) => {
    store.sales.set(event.sale.sale, event.sale);
    store.changed("sales");
  },
  stock: (store, event) => {
    const sale = store.sales.get(event.sale);
    if (!sale) return;
    sale.left = event.left;
    sale.waiting = event.waiting;
    sale.reserved = event.reserved;
    if (event.state) sale.state = event.state;
    store.changed("sales");
  },
};

/**
 * @param {any} section
 * @returns {any[]}
 */
function listed(section) {
  if (!section) return [];
  return Array.isArray(section) ? section : Object.values(section);
}

/**
 * @param {any} section
 * @param {string} field
 * @returns {Map<string, any>}
 */
function keyed(section, field) {
  return new Map(listed(section).map((item) => [item[field], item]));
}
