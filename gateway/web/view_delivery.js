/** How the buyer wants the goods: folded away until somebody cares, as a room's regulars are known to the shop. */

import { h, toast } from "./dom.js";
import { t } from "./i18n.js";
import { recall, remember } from "./memory.js";

const KEPT = "siyu.delivery";

/** A small form that stays the same element while the sheet around it is drawn anew. */
export class Delivery {
  /** @param {import("./view_stores.js").Stores} stores where it can be picked up */
  constructor(stores) {
    this.stores = stores;
    const kept = recall("session", KEPT, {});
    const input = (name, max) =>
      h("input", { name, maxlength: max, value: kept[name] || "", autocomplete: "on", "data-testid": `delivery-${name}` });
    this.method = h(
      "select",
      { "data-testid": "delivery-method", "aria-label": t("delivery.title") },
      ["", "express", "pickup"].map((value) => h("option", { value }, t(`delivery.${value || "none"}`))),
    );
    this.method.value = kept.method || "";
    this.fields = { name: input("name", 40), phone: input("phone", 21), address: input("address", 300) };
    this.rows = Object.entries(this.fields).map(([name, field]) =>
      h("label.coupon-row", { data: { field: name } }, h("span", {}, t(`delivery.${name}`)), field),
    );
    this.place = h("div", { hidden: true }, stores.element);
    this.station = h("select", { "data-testid": "delivery-station" }, h("option", { value: "" }, t("station.shop")));
    this.where = h("label.coupon-row", {}, h("span", {}, t("station.where")), this.station);
    this.element = h(
      "div.delivery",
      {},
      h("label.coupon-row", {}, h("span", {}, t("delivery.title")), this.method),
      this.where,
      this.place,
      this.rows,
    );
    for (const choice of [this.method, this.station]) choice.addEventListener("change", () => this.show());
    this.show();
  }

  /** Where goods can be fetched, and on which day; a station that is full cannot be chosen. */
  offer(stations) {
    const open = stations.filter((one) => one.open);
    this.stations = open.length > 0;
    for (const one of open) {
      const text = one.left > 0 ? t("station.option", one) : t("station.full", one);
      this.station.append(h("option", { value: one.station, disabled: one.left <= 0 }, text));
    }
    this.show();
  }

  show() {
    const method = this.method.value;
    const pickup = method === "pickup";
    this.where.hidden = !pickup || !this.stations;
    // Fetched from a leader it is not fetched from a store.
    this.place.hidden = !pickup || Boolean(this.station.value);
    if (pickup && !this.asked) {
      this.asked = true;
      this.stores.load().catch((error) => {
        // Without the list the shop says where, as before.
        this.asked = false;
        console.info("stores:", error.message);
      });
    }
    for (const row of this.rows) {
      row.hidden = !method || (row.dataset.field === "address" && method === "pickup");
    }
  }

  /** @returns {any} the order's `delivery`, null for none, false when something is missing */
  read() {
    const method = this.method.value;
    if (!method) return null;
    const filled = { method };
    for (const [name, field] of Object.entries(this.fields)) {
      if (name === "address" && method === "pickup") continue;
      filled[name] = field.value.trim();
      if (!filled[name]) {
        toast(t("delivery.missing"), "warn");
        field.focus();
        return false;
      }
    }
    remember("session", KEPT, filled);
    if (method !== "pickup") return filled;
    if (this.station.value) return { ...filled, station: this.station.value };
    const outlet = this.stores.chosen;
    return outlet ? { ...filled, outlet } : filled;
  }
}
