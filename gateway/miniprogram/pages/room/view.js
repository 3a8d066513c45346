/** What the page shows of a room: plain values for `setData`, made of what is known. Pure. */

import { keepsOrder } from "../../lib/keeping.js";
import { clock, money } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";

/** Chat lines on the screen; more cost a phone more than they tell. */
const LINES_SHOWN = 40;
/** How long a drop or a sale that has ended stays in sight. */
const LINGER_MS = 8000;
/** Which sale is in sight when there are several. */
const RANK = /** @type {Record<string, number>} */ ({ open: 5, entering: 5, countdown: 4, paused: 3, sold_out: 2, scheduled: 1 });

/** How long a result stays in sight. */
const RESULT_LINGER_MS = 20000;

/** @typedef {import("../../shared/speak.js").Speak} Speak */
/** @typedef {import("./wishes.js").Wishes} Wishes */

/**
 * @param {import("./show.js").Show} show
 * @param {number} now the server's time
 * @param {Speak} t
 */
export function roomView({ store, basket, wishes, ballot }, now, t) {
  return {
    title: store.room.title || "",
    host: store.room.host || "",
    live: Boolean(store.stream.live),
    watching: t("watching", { n: store.viewers }),
    likes: store.likes,
    notice: store.pinnedNotice ? store.pinnedNotice.text : "",
    muted: store.mutedMs(now) ? t("mutedFor", { time: clock(store.mutedMs(now)) }) : "",
    lines: store.lines.slice(-LINES_SHOWN).map((line, index) => lineView(line, index, t)),
    pinned: pinnedView(store.pinned(), t),
    drop: dropView(store, basket, now, t),
    sale: saleView(store, basket, wishes, now, t),
    draw: drawView(store, wishes, now, t),
    team: teamView(store, t),
    poll: ballot.view(store.poll, now, t),
    sheet: sheetView(basket, now, t),
  };
}

/**
 * @param {any} line
 * @param {number} index
 * @param {Speak} t
 */
function lineView(line, index, t) {
  const { person = "", name = "", role = "" } = line.from || {};
  const kind = line.t === "notice" ? "notice" : keepsOrder(role) ? "staff" : "viewer";
  return {
    id: `l${line.o ?? `${line.now}-${index}`}`,
    kind,
    name: kind === "notice" ? t("notice") : name,
    badge: kind === "staff" ? t(`role.${role}`) : "",
    text: line.text,
    from: kind === "notice" ? {} : { person, role },
    o: line.o ?? null,
  };
}

/**
 * @param {any} card
 * @param {Speak} t
 */
function pinnedView(card, t) {
  if (!card) return null;
  const tag = t(card.explaining ? "explaining" : "pinned");
  return { product: card.product, title: card.title, image: asset(card.image), price: money(card.price), tag };
}

/**
 * @param {import("../../lib/store.js").RoomStore} store
 * @param {import("./basket.js").Basket} basket
 * @param {number} now
 * @param {Speak} t
 */
function dropView(store, basket, now, t) {
  const seen = [...store.drops.values()].filter((drop) => now < drop.ends + LINGER_MS);
  const open = seen.filter((drop) => drop.state === "open" && !basket.had.has(drop.drop));
  const drop = (open.length ? open : seen).pop();
  if (!drop) return null;
  const had = basket.had.has(drop.drop);
  const can = drop.state === "open" && now >= drop.starts && now < drop.ends && !had;
  const words = had ? t("caught") : drop.state === "gone" ? t("gone") : now >= drop.ends ? t("closed") : t("catch");
  return {
    drop: drop.drop,
    title: drop.reason || drop.title,
    amount: money(drop.amount),
    condition: drop.threshold ? t("over", { amount: money(drop.threshold) }) : t("anyAmount"),
    left: t("left", { n: drop.left }),
    time: clock((now < drop.starts ? drop.starts : drop.ends) - now),
    button: words,
    can: can && !basket.asking.has(drop.drop),
  };
}

/**
 * @param {import("../../lib/store.js").RoomStore} store
 * @param {import("./basket.js").Basket} basket
 * @param {Wishes} wishes
 * @param {number} now
 * @param {Speak} t
 */
function saleView(store, basket, wishes, now, t) {
  const rank = (/** @type {any} */ sale) => (basket.holds.has(sale.sale) ? 10 : RANK[sale.state] || 0);
  // Prizes and groups have cards of their own; what this person holds is paid here.
  const here = (/** @type {any} */ sale) => basket.holds.has(sale.sale) || !["bag", "team"].includes(sale.mode);
  const seen = [...store.sales.values()].filter(
    (sale) => here(sale) && (rank(sale) > 0 || now < (sale.closes || 0) + LINGER_MS),
  );
  const sale = seen.sort((left, right) => rank(left) - rank(right)).pop();
  if (!sale) return null;
  const hold = basket.holds.get(sale.sale);
  // "countdown" whose time has come counts as open: the server has the last word, not the delay of a message.
  const due = sale.state === "countdown" && now >= sale.opens;
  const begun = due ? (sale.mode === "draw" ? "entering" : "open") : sale.state;
  const state = hold ? "held" : begun;
  const ends = /** @type {Record<string, number>} */ ({ countdown: sale.opens, open: sale.closes, entering: sale.draws });
  const until = hold ? hold.expires : ends[begun] || 0;
  const wish = hold || basket.had.has(sale.sale) ? null : wishView(sale, begun, wishes, t);
  return {
    sale: sale.sale,
    state,
    title: sale.title,
    image: asset(sale.image),
    price: money(sale.price),
    deposit: sale.deposit ? t("deposit", { amount: money(sale.deposit) }) : "",
    before: sale.list_price > sale.price ? money(sale.list_price) : "",
    left: t("left", { n: sale.left }),
    share: sale.total ? Math.round((100 * sale.left) / sale.total) : 0,
    label: t(state === "entering" ? "drawsIn" : state),
    time: until > now ? clock(until - now) : "",
    button: wish ? wish.text : t(hold ? "pay" : begun === "open" ? "grab" : begun === "countdown" ? "wait" : begun),
    wish: wish?.act || "",
    can: Boolean(hold) || Boolean(wish?.act) || (begun === "open" && !basket.had.has(sale.sale) && !basket.asking.has(sale.sale)),
  };
}

/**
 * What can be wished for when nothing can be grabbed: a draw's ticket, a place in line, a reminder.
 * @param {any} sale
 * @param {string} state
 * @param {Wishes} wishes
 * @param {Speak} t
 * @returns {{text: string, act?: "enter"|"wait"|"remind"}|null}
 */
function wishView(sale, state, wishes, t) {
  if (state === "entering") {
    const n = wishes.tickets.get(sale.draw);
    return n ? { text: t("entered", { n }) } : { text: t("enter"), act: "enter" };
  }
  if (state === "sold_out") {
    const n = wishes.places.get(sale.sale);
    return n ? { text: t("inLine", { n }) } : { text: t("line"), act: "wait" };
  }
  if (state === "scheduled" && sale.opens)
    return wishes.reminded.has(sale.sale) ? { text: t("reminded") } : { text: t("remind"), act: "remind" };
  return null;
}

/**
 * The lucky bag or red packet in sight: open, or just drawn.
 * @param {import("../../lib/store.js").RoomStore} store
 * @param {Wishes} wishes
 * @param {number} now
 * @param {Speak} t
 */
function drawView(store, wishes, now, t) {
  const seen = [...store.draws.values()].filter(
    (draw) =>
      (draw.kind === "bag" || draw.kind === "packet") &&
      (draw.state === "open" || (draw.state === "drawn" && now < draw.drawn + RESULT_LINGER_MS)),
  );
  const rank = (/** @type {any} */ draw) => (draw.state === "open" ? 1e15 : 0) + draw.opens;
  const draw = seen.sort((left, right) => rank(left) - rank(right)).pop();
  if (!draw) return null;
  const open = draw.state === "open";
  const mine = wishes.tickets.get(draw.draw);
  const names = draw.top.map((/** @type {any} */ one) => (one.amount ? `${one.name} ${money(one.amount)}` : one.name));
  const result = draw.won ? t("won", { n: draw.won, names: names.join("、") }) : t("noneWon");
  const tasks = /** @type {Record<string, string>} */ ({ none: "enter", comment: "enterComment", follow: "enterFollow" });
  return {
    draw: draw.draw,
    kind: t(draw.kind === "bag" ? "bagDraw" : "packet"),
    worth: draw.pool ? money(draw.pool) : "",
    title: draw.title,
    note: open ? t("figures", draw) : result,
    time: open ? clock(draw.closes - now) : "",
    button: mine ? t("entered", { n: mine }) : open ? t(tasks[draw.task], { word: draw.word }) : t("proof"),
    can: open && !mine,
    proof: !open,
  };
}

/**
 * The group buy in sight; its groups have a page of their own.
 * @param {import("../../lib/store.js").RoomStore} store
 * @param {Speak} t
 */
function teamView(store, t) {
  const sale = [...store.sales.values()].reverse().find((one) => one.mode === "team" && one.state === "open");
  if (!sale) return null;
  const before = sale.list_price > sale.price ? money(sale.list_price) : "";
  return { sale: sale.sale, title: sale.title, tag: t("team", { n: sale.team_size }), price: money(sale.price), before };
}

/**
 * @param {import("./basket.js").Basket} basket
 * @param {number} now
 * @param {Speak} t
 */
function sheetView(basket, now, t) {
  const { purchase } = basket;
  if (!purchase) return null;
  const until = purchase.order?.expires ?? purchase.hold?.expires ?? 0;
  const amount = money(basket.amount());
  return {
    title: purchase.item.title,
    image: asset(purchase.item.image),
    unit: money(purchase.unit),
    quantity: purchase.quantity,
    coupon: purchase.coupon ? t("coupon", { amount: money(purchase.coupon.amount) }) : "",
    amount,
    time: !purchase.paid && until > now ? clock(until - now) : "",
    busy: purchase.busy,
    paid: purchase.paid,
    options: !purchase.order && !purchase.paid && !purchase.busy,
    order: purchase.order ? t("order", { order: purchase.order.order }) : "",
    button: purchase.paid ? t("done") : t("payAmount", { amount }),
  };
}
