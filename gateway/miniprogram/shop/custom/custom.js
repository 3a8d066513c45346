/**
 * Goods made to wishes (定制): fill in a SKU's form with pictures, then buy it (`sku`, and `hold`, `until` of a unit that
 * is held) or ask what it costs; and one's own requests with their offers.
 */

import { newKey, OUTCOME_UNKNOWN } from "../../lib/siyu.js";
import { agreed, chosenPictures } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { money, when } from "../../shared/speak.js";
import { CUSTOM } from "../texts.js";

/** Pictures beside a request: as many as WeChat lets one choose at once. */
const PICTURES_MAX = 9;
/** The pictures of a request that has no field for them. */
const BESIDE = "";
const OPEN = new Set(["asked", "offered", "expired"]);

/** @typedef {{picture: string, path: string}} Sent its id, and where it lies on this phone */
/** @typedef {{currentTarget: {dataset: {label: string, picture: string, request: string}}, detail: {value: string|number}}} Tap */

shopPage(CUSTOM, {
  /** @type {any} of GET /custom/forms; null when the page shows requests alone */
  form: null,
  /** @type {Record<string, string>} */
  custom: {},
  /** @type {Map<string, Sent[]>} by label */
  pictures: new Map(),
  words: "",
  key: "",

  async load() {
    const { api } = this.visit;
    const { sku } = this.query;
    if (!this.key) this.clear();
    if (sku && !this.form) [this.form = null] = await api.get(`/custom/forms?skus=${encodeURIComponent(sku)}`);
    const { items } = await api.get("/custom/requests?limit=50");
    return {
      fields: (this.form?.fields || []).map((/** @type {any} */ one) => this.fieldView(one)),
      asks: this.form?.asked ? { pictures: this.pictures.get(BESIDE) || [], can: this.room(BESIDE, PICTURES_MAX) > 0 } : null,
      notes: this.form ? this.notes() : [],
      button: this.form ? this.t(this.form.asked ? "ask" : "next") : "",
      requests: items.map((/** @type {any} */ one) => this.requestView(one)),
    };
  },

  /** Nothing is filled in: what stands above is one for all pages of this kind. */
  clear() {
    Object.assign(this, { form: null, custom: {}, pictures: new Map(), words: "", key: newKey() });
  },

  notes() {
    const { returns, making_days: days } = this.form;
    return [...(returns === "seven_days" ? [] : [this.t("noReturn")]), ...(days > 0 ? [this.t("days", { n: days })] : [])];
  },

  /** @param {any} one */
  fieldView(one) {
    const { label, kind, amount } = one;
    const options = one.options.map((/** @type {any} */ option) => option.value + (option.amount ? ` +${money(option.amount)}` : ""));
    return {
      label,
      kind,
      most: one.most,
      heading: `${label}${one.required ? " *" : ""}`,
      costs: amount ? this.t(kind === "number" ? "each" : "more", { amount: money(amount) }) : "",
      value: this.custom[label] || "",
      options: [this.t("choose"), ...options],
      at: 1 + one.options.findIndex((/** @type {any} */ option) => option.value === this.custom[label]),
      pictures: this.pictures.get(label) || [],
      can: this.room(label, one.most) > 0,
    };
  },

  /** @param {any} one */
  requestView(one) {
    const wishes = one.wishes.map((/** @type {any} */ wish) => `${wish.label || this.t("pictures")} ${wish.value}`);
    const { room } = this.visit;
    return {
      request: one.request,
      version: one.version,
      title: `${one.title} × ${one.quantity}`,
      wishes: [...wishes, one.words].filter(Boolean).join(" · "),
      state: this.t(`state.${one.state}`),
      price: one.version ? money(one.price * one.quantity) : "",
      terms: one.version ? this.t("terms", { deliver: when(one.deliver), valid: when(one.valid) }) : "",
      deposit: one.deposit ? this.t("deposit", { amount: money(one.deposit * one.quantity), missed: this.t(one.missed) }) : "",
      answer: one.answer,
      canAccept: one.state === "offered" && one.room === room,
      canWithdraw: OPEN.has(one.state),
    };
  },

  /**
   * How many pictures still fit.
   * @param {string} label
   * @param {number} most
   */
  room(label, most) {
    return most - (this.pictures.get(label) || []).length;
  },

  // — filling in —

  /** @param {Tap} event */
  onField({ currentTarget, detail }) {
    this.custom[currentTarget.dataset.label] = String(detail.value);
  },

  /** @param {Tap} event */
  onChoice({ currentTarget, detail }) {
    const { label } = currentTarget.dataset;
    const { options } = this.form.fields.find((/** @type {any} */ one) => one.label === label);
    this.custom[label] = options[Number(detail.value) - 1]?.value || "";
    return this.again();
  },

  /** @param {Tap} event */
  onWords({ detail }) {
    this.words = String(detail.value);
  },

  /** @param {Tap} event */
  onPictures({ currentTarget }) {
    const { label } = currentTarget.dataset;
    const most = this.form.fields.find((/** @type {any} */ one) => one.label === label)?.most ?? PICTURES_MAX;
    return this.act(async () => {
      const { api, room } = this.visit;
      for (const { path, data } of await chosenPictures(this.room(label, most))) {
        const { picture } = await api.send(`/custom/pictures?room=${encodeURIComponent(room)}`, data);
        const there = this.pictures.get(label) || [];
        if (!there.some((/** @type {Sent} */ one) => one.picture === picture)) this.sent(label, [...there, { picture, path }]);
      }
    });
  },

  /** @param {Tap} event */
  onDrop({ currentTarget }) {
    const { label, picture } = currentTarget.dataset;
    this.sent(label, (this.pictures.get(label) || []).filter((/** @type {Sent} */ one) => one.picture !== picture));
    return this.again();
  },

  /**
   * @param {string} label
   * @param {Sent[]} pictures
   */
  sent(label, pictures) {
    this.pictures.set(label, pictures);
    if (label !== BESIDE) this.custom[label] = pictures.map((/** @type {Sent} */ one) => one.picture).join(" ");
  },

  async onNext() {
    const lacks = this.form.fields.find((/** @type {any} */ one) => one.required && !this.custom[one.label]?.trim());
    if (lacks) {
      wx.showToast({ title: this.t("lacks", { label: lacks.label }), icon: "none" });
      return;
    }
    if (this.form.asked) await this.act(() => this.ask(), "asked");
    else this.buy();
  },

  async ask() {
    const { api, room } = this.visit;
    const pictures = (this.pictures.get(BESIDE) || []).map((/** @type {Sent} */ one) => one.picture);
    const body = { room, sku: this.query.sku, custom: this.custom, words: this.words, pictures };
    try {
      await api.post("/custom/requests", body, this.key);
    } catch (error) {
      if (!OUTCOME_UNKNOWN.has(/** @type {any} */ (error).code)) this.key = newKey();
      throw error;
    }
    this.clear();
    this.query = {};
  },

  buy() {
    const { sku = "", hold = "", until = "" } = this.query;
    this.visit.wishes.set(sku, this.custom);
    wx.redirectTo({ url: this.visit.address("/shop/checkout/checkout", { sku, hold, until }) });
  },

  // — requests —

  /** @param {Tap} event */
  onAccept({ currentTarget }) {
    const { request } = currentTarget.dataset;
    const { version } = this.data.requests.find((/** @type {any} */ one) => one.request === request);
    this.go("/shop/checkout/checkout", { offer: request, version: String(version) });
  },

  /** @param {Tap} event */
  async onWithdraw({ currentTarget }) {
    if (!(await agreed(this.t("sure")))) return;
    await this.act(() => this.visit.api.post(`/custom/requests/${encodeURIComponent(currentTarget.dataset.request)}/withdraw`));
  },
});
