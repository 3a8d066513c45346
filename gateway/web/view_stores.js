/** Where goods can be picked up, the nearest store first, and the code that a member shows at the till. */

import { h, put } from "./dom.js";
import { doer } from "./forms.js";
import { canTake, hoursToday, offered, whyNot } from "./handing.js";
import { addStrings, t } from "./i18n.js";

const WHERE_TIMEOUT_MS = 8000;

addStrings({
  "stores.store": ["门店", "Store"],
  "stores.any": ["与商家约定", "As agreed with the shop"],
  "stores.near": ["按距离排序", "Nearest first"],
  "stores.km": ["{km} 公里", "{km} km"],
  "stores.out": ["缺货", "sold out there"],
  "stores.shut": ["休息中", "closed now"],
  "stores.none": ["暂无可选门店", "no store can take it now"],
  "stores.far": ["超出配送范围", "too far"],
  "stores.hours": ["今日 {from}–{until}", "today {from}–{until}"],
  "stores.closedToday": ["今日休息", "closed today"],
  "stores.code": ["出示会员码", "My code for the till"],
  "stores.codeHint": ["收银时出示，几分钟内有效", "Show it at the till; it is good for some minutes"],
});

/** @returns {Promise<GeolocationPosition>} only asked for when the button is pressed */
const where = () =>
  new Promise((resolve, reject) =>
    navigator.geolocation.getCurrentPosition(resolve, reject, { timeout: WHERE_TIMEOUT_MS }),
  );

/** A choice of stores that hand over by a way: those that have the goods first, then the nearest. */
export class Stores {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.stores = [];
    this.ways = ["express", "pickup"];
    this.here = null;
    this.select = h("select", { "data-testid": "pickup-store" });
    this.note = h("p.faint", { "data-testid": "store-note" });
    this.element = h(
      "div",
      { hidden: true },
      h("label.coupon-row", {}, h("span", {}, t("stores.store")), this.select),
      h("div.coupon-row", {}, this.note, doer(t("stores.near"), () => this.sort(), { className: "quiet" })),
    );
    this.select.addEventListener("change", () => this.say());
  }

  /** Read what the shop and its stores offer. @param {string} goods SKU:UNITS,… that they should have */
  async load(goods) {
    this.goods = goods;
    const near = this.here ? `&lat=${this.here.lat}&lng=${this.here.lng}` : "";
    const [{ ways }, stores] = await Promise.all([
      this.api.get("/ways"),
      this.api.get(`/outlets?goods=${encodeURIComponent(goods)}${near}`),
    ]);
    Object.assign(this, { ways, stores });
  }

  /** The ways that the shop or one of its stores offers. */
  get offered() {
    return offered(this.ways, this.stores);
  }

  /** Offer the stores of one way; without any, the shop itself is all there is. */
  show(way) {
    this.way = way;
    const fit = this.stores.filter((one) => one.offers.includes(way));
    const before = this.select.value;
    put(
      this.select,
      this.ways.includes(way) ? h("option", { value: "" }, t("stores.any")) : null,
      fit.some((one) => this.can(one)) || this.ways.includes(way)
        ? null
        : h("option", { value: "", disabled: true }, t("stores.none")),
      fit.map((one) => h("option", { value: one.outlet, disabled: !this.can(one) }, this.label(one))),
    );
    const can = fit.filter((one) => this.can(one));
    if (can.some((one) => one.outlet === before)) this.select.value = before;
    else this.select.value = this.ways.includes(way) && !this.here ? "" : can[0]?.outlet || "";
    this.element.hidden = !fit.length;
    this.say();
  }

  /** Whether a store can take the order now. */
  can(one) {
    return canTake(one, this.way, Boolean(this.here));
  }

  label(one) {
    const far = one.distance === null ? "" : ` · ${t("stores.km", { km: (one.distance / 1000).toFixed(1) })}`;
    const why = whyNot(one, this.way, Boolean(this.here));
    return `${one.name} · ${one.address}${far}${why && ` · ${t(`stores.${why}`)}`}`;
  }

  say() {
    const one = this.stores.find(({ outlet }) => outlet === this.select.value);
    this.note.textContent = !one ? "" : one.open ? hours(one) : `${t("stores.shut")} ${hours(one)}`;
  }

  /** Ask where the buyer is, and sort by it. */
  async sort() {
    const { coords } = await where();
    this.here = { lat: Number(coords.latitude.toFixed(6)), lng: Number(coords.longitude.toFixed(6)) };
    await this.load(this.goods);
    this.show(this.way);
    this.select.dispatchEvent(new Event("change"));
  }

  get chosen() {
    return this.element.hidden ? "" : this.select.value;
  }
}

/** Today's hours of a store, empty for one that is always open. */
function hours(one) {
  const today = hoursToday(one, Date.now());
  return today === "closed" ? t("stores.closedToday") : today ? t("stores.hours", today) : "";
}

/**
 * A button that shows my code for the till.
 * @param {import("./api.js").Api} api
 */
export function memberCode(api) {
  const place = h("div", { "data-testid": "member-code" });
  const show = async () => {
    const { code, qr } = await api.get("/me/member-code");
    put(
      place,
      h("img", { src: qr, alt: code, width: "180", height: "180" }),
      h("p.mono", {}, code),
      h("p.faint", {}, t("stores.codeHint")),
    );
  };
  return h("section", {}, doer(t("stores.code"), show, { className: "quiet", "data-testid": "member-code-open" }), place);
}
