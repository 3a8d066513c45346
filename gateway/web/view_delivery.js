/** How the buyer wants the goods: folded away until somebody cares, as a room's regulars are known to the shop. */

import { h, put, toast } from "./dom.js";
import { t } from "./i18n.js";
import { recall, remember } from "./memory.js";

const KEPT = "siyu.delivery";

/** A small form that stays the same element while the sheet around it is drawn anew. */
export class Delivery {
  /**
   * @param {import("./view_stores.js").Stores} stores who hands it over
   * @param {{goods: () => string, onStore: () => void}} order what is bought, and whom to tell of another store
   */
  constructor(stores, { goods, onStore }) {
    Object.assign(this, { stores, goods, onStore });
    const kept = recall("session", KEPT, {});
    const input = (name, max) =>
      h("input", { name, maxlength: max, value: kept[name] || "", autocomplete: "on", "data-testid": `delivery-${name}` });
    this.method = h("select", { "data-testid": "delivery-method", "aria-label": t("delivery.title") });
    this.offerWays();
    this.method.value = kept.method === "courier" ? "" : kept.method || "";
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
    for (const choice of [this.method, this.station]) {
      choice.addEventListener("change", () => {
        this.show();
        this.onStore();
      });
    }
    stores.select.addEventListener("change", () => this.onStore());
    this.show();
  }

  /** Only the ways that somebody offers can be chosen. */
  offerWays() {
    const before = this.method.value;
    put(
      this.method,
      ["", ...this.stores.offered].map((value) => h("option", { value }, t(`delivery.${value || "none"}`))),
    );
    this.method.value = before;
    if (this.method.selectedIndex < 0) this.method.value = "";
  }

  /** Read what the shop and its stores offer for these goods. */
  async load() {
    try {
      await this.stores.load(this.goods());
      this.offerWays();
      this.show();
      this.onStore();
    } catch (error) {
      // Without the list the shop says how, as before.
      console.info("stores:", error.message);
    }
  }

  /** How it is brought or fetched; empty: as the shop says. */
  get way() {
    return this.method.value;
  }

  /** Where the buyer is, once they said so. */
  get here() {
    return this.stores.here;
  }

  /** The store that hands it over; empty: none in particular. */
  get outlet() {
    return this.method.value && !this.place.hidden ? this.stores.chosen : "";
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
    this.place.hidden = !method || (pickup && Boolean(this.station.value));
    if (method) this.stores.show(method);
    for (const row of this.rows) {
      row.hidden = !method || (row.dataset.field === "address" && pickup);
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
    if (method === "pickup" && this.station.value) return { ...filled, station: this.station.value };
    const { outlet } = this;
    if (method === "courier" && !(outlet && this.stores.here)) {
      toast(t("delivery.whereTo"), "warn");
      return false;
    }
    if (!outlet && !this.stores.ways.includes(method)) {
      toast(t("delivery.noStore"), "warn");
      return false;
    }
    const place = method === "courier" ? this.stores.here : {};
    return outlet ? { ...filled, outlet, ...place } : filled;
  }
}
