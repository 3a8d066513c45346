/** What the page shows of a room: plain values for `setData`, made of what is known. Pure. */

import { clock, money } from "../../texts.js";

/** Chat lines on the screen; more cost a phone more than they tell. */
const LINES_SHOWN = 40;
/** How long a drop or a sale that has ended stays in sight. */
const LINGER_MS = 8000;
/** Which sale is in sight when there are several. */
const RANK = /** @type {Record<string, number>} */ ({ open: 5, countdown: 4, paused: 3, sold_out: 2, scheduled: 1 });

/** @typedef {(key: string, values?: Record<string, string|number>) => string} Speak */

/**
 * @param {import("../../lib/store.js").RoomStore} store
 * @param {import("./basket.js").Basket} basket
 * @param {import("./poll.js").Ballot} ballot
 * @param {number} now the server's time
 * @param {Speak} t
 */
export function roomView(store, basket, ballot, now, t) {
  return {
    title: store.room.title || "",
    host: store.room.host || "",
    live: Boolean(store.stream.live),
    watching: t("watching", { n: store.viewers }),
    likes: store.likes,
    notice: store.pinnedNotice ? store.pinnedNotice.text : "",
    lines: store.lines.slice(-LINES_SHOWN).map((line, index) => lineView(line, index, t)),
    pinned: pinnedView(store.pinned(), t),
    drop: dropView(store, basket, now, t),
    sale: saleView(store, basket, now, t),
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
  const kind = line.t === "notice" ? "notice" : line.from?.role === "viewer" ? "viewer" : "staff";
  const name = kind === "notice" ? t("notice") : line.from?.name || "";
  return { id: `l${line.o ?? `${line.now}-${index}`}`, kind, name, text: line.text };
}

/**
 * @param {any} card
 * @param {Speak} t
 */
function pinnedView(card, t) {
  if (!card) return null;
  const tag = t(card.explaining ? "explaining" : "pinned");
  return { product: card.product, title: card.title, image: card.image || "", price: money(card.price), tag };
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
 * @param {number} now
 * @param {Speak} t
 */
function saleView(store, basket, now, t) {
  const rank = (/** @type {any} */ sale) => (basket.holds.has(sale.sale) ? 10 : RANK[sale.state] || 0);
  const seen = [...store.sales.values()].filter((sale) => rank(sale) > 0 || now < (sale.closes || 0) + LINGER_MS);
  const sale = seen.sort((left, right) => rank(left) - rank(right)).pop();
  if (!sale) return null;
  const hold = basket.holds.get(sale.sale);
  // "countdown" whose time has come counts as open: the server has the last word, not the delay of a message.
  const begun = sale.state === "countdown" && now >= sale.opens ? "open" : sale.state;
  const state = hold ? "held" : begun;
  const until = hold ? hold.expires : begun === "countdown" ? sale.opens : begun === "open" ? sale.closes : 0;
  return {
    sale: sale.sale,
    state,
    title: sale.title,
    image: sale.image || "",
    price: money(sale.price),
    before: sale.list_price > sale.price ? money(sale.list_price) : "",
    left: t("left", { n: sale.left }),
    share: sale.total ? Math.round((100 * sale.left) / sale.total) : 0,
    label: t(state),
    time: until > now ? clock(until - now) : "",
    button: t(hold ? "pay" : begun === "open" ? "grab" : begun === "countdown" ? "wait" : begun),
    can: Boolean(hold) || (begun === "open" && !basket.had.has(sale.sale) && !basket.asking.has(sale.sale)),
  };
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
    image: purchase.item.image || "",
    unit: money(purchase.unit),
    quantity: purchase.quantity,
    coupon: purchase.coupon ? t("coupon", { amount: money(purchase.coupon.amount) }) : "",
    amount,
    time: !purchase.paid && until > now ? clock(until - now) : "",
    busy: purchase.busy,
    paid: purchase.paid,
    order: purchase.order ? t("order", { order: purchase.order.order }) : "",
    button: purchase.paid ? t("done") : t("payNow", { amount }),
  };
}
