/** Events: signing up for a place, paying it, waiting for one, and the ticket for the door. */

import { h } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";

addStrings({
  "ev.title": ["活动报名", "Events"],
  "ev.when": ["{from} 至 {until}", "{from} to {until}"],
  "ev.places": ["已报 {taken}/{places}", "{taken} of {places} places taken"],
  "ev.waiting": ["{n} 人候补", "{n} waiting"],
  "ev.free": ["免费", "free"],
  "ev.more": ["更多活动", "More events"],
  "ev.join": ["报名", "Sign up"],
  "ev.wait": ["候补", "Wait for a place"],
  "ev.pay": ["支付 {price}", "Pay {price}"],
  "ev.leave": ["取消报名", "Give it up"],
  "ev.state.waiting": ["候补中，前面 {ahead} 人", "waiting, {ahead} before you"],
  "ev.state.reserved": ["请在 {until} 前支付", "pay until {until}"],
  "ev.state.good": ["报名成功", "you have a place"],
  "ev.state.used": ["已签到", "checked in"],
  "ev.state.cancelled": ["已取消", "cancelled"],
  "ev.open": ["报名中", "open"],
  "ev.cancelled": ["活动已取消", "called off"],
  "ev.over": ["已结束", "over"],
  "ev.show": ["出示签到码", "Show the code"],
});

const MAY_LEAVE = new Set(["waiting", "reserved"]);

const OTHERS_SHOWN = 5;

/**
 * Events with my tickets; null in a shop without any.
 * @param {import("./api.js").Api} api
 * @param {any[]} events of GET /events
 * @param {any[]} tickets of GET /tickets
 * @param {number} now
 * @param {{buy: (item: any) => void, again: () => Promise<void>}} then
 */
export function eventsCard(api, events, tickets, now, then) {
  const mine = new Map(tickets.filter((one) => one.state !== "cancelled").map((one) => [one.event, one]));
  const shown = events.filter((one) => (one.state === "open" && one.ends > now) || mine.has(one.event));
  if (!shown.length) return null;
  // What one has a ticket of is never folded away; the orders below stay within reach.
  const [own, others] = [shown.filter((one) => mine.has(one.event)), shown.filter((one) => !mine.has(one.event))];
  const row = (one) => eventRow(api, one, mine.get(one.event), now, then);
  const rest = others.slice(OTHERS_SHOWN);
  const more = doer(t("ev.more"), () => more.replaceWith(...rest.map(row)), { "data-testid": "list-more" });
  return [h("h3", {}, t("ev.title")), own.map(row), others.slice(0, OTHERS_SHOWN).map(row), rest.length > 0 && more];
}

function eventRow(api, event, ticket, now, { buy, again }) {
  const path = `/events/${encodeURIComponent(event.event)}/ticket`;
  const act = (label, testid, does) => doer(t(label, { price: money(event.price) }), does, { className: "buy", "data-testid": testid });
  const join = async () => {
    await api.post(path, {});
    await again();
  };
  const leave = async () => {
    await api.delete(path);
    await again();
  };
  const pay = async () => buy({ sku: event.sku, title: event.title, image: event.image, price: event.price, version: event.version });
  const open = event.state === "open" && event.closes > now;
  return h(
    "article.mine-order",
    { "data-testid": "event", data: { event: event.event, state: ticket?.state || event.state } },
    h(
      "div",
      {},
      h("strong", {}, event.title),
      h("span.faint", {}, [event.place, t("ev.when", { from: when(event.starts), until: when(event.ends) })].filter(Boolean).join(" · ")),
      h("span.faint", {}, [event.sku ? money(event.price) : t("ev.free"), t("ev.places", event), event.waiting && t("ev.waiting", { n: event.waiting })].filter(Boolean).join(" · ")),
      event.detail && h("span.faint", {}, event.detail),
      ticket && h("span", { "data-testid": "ticket-state" }, t(`ev.state.${ticket.state}`, { ahead: ticket.ahead, until: ticket.until ? when(ticket.until) : "" })),
      ticket?.code && h("span.pickup-code", { "data-testid": "ticket-code" }, ticket.code.replace(/(.{4})(?=.)/g, "$1 ")),
    ),
    h(
      "span.mine-actions",
      {},
      !ticket && open && act(event.taken < event.places ? "ev.join" : "ev.wait", "event-join", join),
      !ticket && !open && h("span.chip", {}, t(`ev.${event.state === "open" ? "over" : event.state}`)),
      ticket?.state === "reserved" && act("ev.pay", "event-pay", pay),
      ticket && (MAY_LEAVE.has(ticket.state) || (ticket.state === "good" && !ticket.order)) && doer(t("ev.leave"), leave, { className: "quiet", "data-testid": "event-leave" }),
    ),
    ticket?.qr && h("details", {}, h("summary", {}, t("ev.show")), h("img.pay-code", { src: ticket.qr, alt: ticket.code })),
  );
}
