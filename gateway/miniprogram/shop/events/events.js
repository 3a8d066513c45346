/** Events: signing up for a place or for the line, paying it, the code for the door, giving it up. */

import { agreed, written } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { money, when } from "../../shared/speak.js";
import { EVENTS } from "../texts.js";

/** Who has not paid and not come gives their place up by themselves; a paid one goes back by its order's refund. */
const MAY_LEAVE = new Set(["waiting", "reserved"]);

/** @typedef {{currentTarget: {dataset: {event: string, sku: string}}}} Tap */

shopPage(EVENTS, {
  onShow() {
    if (this.data.ready) this.again();
  },

  async load() {
    const { api } = this.visit;
    /** @type {[any[], any[]]} */
    const [events, tickets] = await Promise.all([api.get("/events"), api.get("/tickets")]);
    const mine = new Map(tickets.filter((one) => one.state !== "cancelled").map((one) => [one.event, one]));
    const now = Date.now();
    const shown = events.filter((one) => (one.state === "open" && one.ends > now) || mine.has(one.event));
    return { events: shown.map((one) => this.view(one, mine.get(one.event), now)) };
  },

  /**
   * @param {any} event
   * @param {any} ticket
   * @param {number} now
   */
  view(event, ticket, now) {
    const { t } = this;
    const open = event.state === "open" && event.closes > now;
    const waiting = event.waiting ? ` · ${t("waiting", { n: event.waiting })}` : "";
    const state = ticket
      ? t(`state.${ticket.state}`, { ahead: ticket.ahead, until: ticket.until ? when(ticket.until) : "" })
      : t(`state.${event.state === "open" && !open ? "over" : event.state}`);
    return {
      event: event.event,
      sku: event.sku || "",
      title: event.title,
      place: event.place,
      detail: event.detail,
      when: t("when", { from: when(event.starts), until: when(event.ends) }),
      price: event.sku ? money(event.price) : t("free"),
      places: t("places", { taken: event.taken, places: event.places }) + waiting,
      state,
      code: (ticket?.code || "").replace(/(.{4})(?=.)/g, "$1 "),
      qr: ticket?.qr || "",
      join: !ticket && open ? t(event.taken < event.places ? "join" : "wait") : "",
      pay: ticket?.state === "reserved" ? t("payPrice", { price: money(event.price) }) : "",
      leave: Boolean(ticket) && (MAY_LEAVE.has(ticket.state) || (ticket.state === "good" && !ticket.order)),
    };
  },

  /** @param {Tap} event */
  async onJoin({ currentTarget }) {
    const name = await written(this.t("join"), this.t("name"));
    if (name === null) return;
    const path = `/events/${encodeURIComponent(currentTarget.dataset.event)}/ticket`;
    await this.act(() => this.visit.api.post(path, name ? { name: name.slice(0, 40) } : {}));
  },

  /** @param {Tap} event */
  onPay({ currentTarget }) {
    this.go("/shop/checkout/checkout", { sku: currentTarget.dataset.sku });
  },

  /** @param {Tap} event */
  async onLeave({ currentTarget }) {
    if (!(await agreed(this.t("sure")))) return;
    const path = `/events/${encodeURIComponent(currentTarget.dataset.event)}/ticket`;
    await this.act(() => this.visit.api.delete(path), "left");
  },
});
