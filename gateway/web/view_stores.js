/** Where goods can be picked up, the nearest store first, and the code that a member shows at the till. */

import { h, put } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, t } from "./i18n.js";

const WHERE_TIMEOUT_MS = 8000;

addStrings({
  "stores.store": ["门店", "Store"],
  "stores.any": ["与商家约定", "As agreed with the shop"],
  "stores.near": ["按距离排序", "Nearest first"],
  "stores.km": ["{km} 公里", "{km} km"],
  "stores.code": ["出示会员码", "My code for the till"],
  "stores.codeHint": ["收银时出示，几分钟内有效", "Show it at the till; it is good for some minutes"],
});

/** @returns {Promise<GeolocationPosition>} only asked for when the button is pressed */
const where = () =>
  new Promise((resolve, reject) =>
    navigator.geolocation.getCurrentPosition(resolve, reject, { timeout: WHERE_TIMEOUT_MS }),
  );

/** A choice of stores for a pickup; empty in a shop without any. */
export class Stores {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.select = h("select", { "data-testid": "pickup-store" });
    this.element = h(
      "div",
      { hidden: true },
      h("label.coupon-row", {}, h("span", {}, t("stores.store")), this.select),
      h("div.coupon-row", {}, h("span"), doer(t("stores.near"), () => this.sort(), { className: "quiet" })),
    );
  }

  async load(query = "") {
    const stores = (await this.api.get(`/outlets${query}`)).filter((one) => one.pickup);
    put(
      this.select,
      h("option", { value: "" }, t("stores.any")),
      stores.map((one) => h("option", { value: one.outlet }, this.label(one))),
    );
    if (query && stores.length) this.select.value = stores[0].outlet;
    this.element.hidden = !stores.length;
  }

  label(one) {
    const far = one.distance === null ? "" : ` · ${t("stores.km", { km: (one.distance / 1000).toFixed(1) })}`;
    return `${one.name} · ${one.address}${far}`;
  }

  async sort() {
    const { coords } = await where();
    await this.load(`?lat=${coords.latitude.toFixed(6)}&lng=${coords.longitude.toFixed(6)}`);
  }

  get chosen() {
    return this.select.value;
  }
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
