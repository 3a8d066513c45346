/** After the sale of an order (`order`): ask for a refund or a return, see how it stands, send the goods back. */

import { newKey } from "../../lib/siyu.js";
import { agreed } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { AFTERSALE } from "../texts.js";
import { freeLines, REASONS, requestView } from "./view.js";

/** @typedef {{currentTarget: {dataset: {request: string}}}} Tap */

shopPage(AFTERSALE, {
  data: { kind: "", reason: "", text: "", amount: "", carrier: "", number: "" },
  /** One key until it is known what became of the asking. */
  key: newKey(),

  async load() {
    const { api } = this.visit;
    const id = encodeURIComponent(this.query.order || "");
    const [{ order }, page] = await Promise.all([api.get(`/orders/${id}`), api.get(`/after-sales?order=${id}`)]);
    const gone = order.fulfilment !== "open";
    const kind = gone ? this.data.kind || "return" : "refund";
    return {
      requests: page.items.map((/** @type {any} */ one) => requestView(one, this.t)),
      lines: freeLines(order, page.items),
      gone,
      ...this.chosen(kind, this.data.reason, gone),
    };
  },

  /**
   * @param {string} kind
   * @param {string} wanted the reason, if it fits
   * @param {boolean} gone
   */
  chosen(kind, wanted, gone) {
    const names = kind === "return" ? REASONS.back : gone ? REASONS.kept : REASONS.unsent;
    const reason = names.includes(wanted) ? wanted : names[0];
    const kinds = gone ? ["return", "refund"] : ["refund"];
    return {
      kind,
      reason,
      kinds: kinds.map((name) => ({ name, text: this.t(`kind.${name}`), on: name === kind })),
      reasons: names.map((name) => ({ name, text: this.t(`reason.${name}`), on: name === reason })),
      hint: kind === "return" ? this.t(reason === "no_reason" || reason === "other" ? "pays.buyer" : "pays.shop") : "",
    };
  },

  /** @param {{currentTarget: {dataset: {name: string}}}} event */
  onKind({ currentTarget }) {
    this.setData(this.chosen(currentTarget.dataset.name, this.data.reason, this.data.gone));
  },

  /** @param {{currentTarget: {dataset: {name: string}}}} event */
  onReason({ currentTarget }) {
    this.setData(this.chosen(this.data.kind, currentTarget.dataset.name, this.data.gone));
  },

  /** @param {{currentTarget: {dataset: {sku: string, by: string}}}} event */
  onUnits({ currentTarget }) {
    const { sku, by } = currentTarget.dataset;
    const moved = (/** @type {any} */ line) => Math.min(line.quantity, Math.max(0, line.units + Number(by)));
    this.setData({
      lines: this.data.lines.map((/** @type {any} */ line) => (line.sku === sku ? { ...line, units: moved(line) } : line)),
    });
  },

  /** @param {{currentTarget: {dataset: {name: string}}, detail: {value: string}}} event */
  onField({ currentTarget, detail }) {
    this.setData({ [currentTarget.dataset.name]: detail.value });
  },

  async onAsk() {
    const { kind, reason, text, amount, gone } = this.data;
    const wanted = this.data.lines.filter((/** @type {any} */ line) => line.units > 0);
    const lines = wanted.map((/** @type {any} */ { sku, units }) => ({ sku, quantity: units }));
    const fen = gone && amount ? { amount: Math.round(Number(amount) * 100) } : {};
    const body = { kind, reason, lines, words: text.trim(), ...fen };
    const path = `/orders/${encodeURIComponent(this.query.order || "")}/after-sales`;
    if (!(await this.act(() => this.visit.api.post(path, body, this.key), "asked"))) return;
    this.key = newKey();
    this.setData({ text: "", amount: "" });
  },

  /**
   * @param {Tap} event
   * @param {string} verb
   * @param {any} [body]
   * @param {string} [said]
   */
  step({ currentTarget }, verb, body, said) {
    const path = `/after-sales/${encodeURIComponent(currentTarget.dataset.request)}/${verb}`;
    return this.act(() => this.visit.api.post(path, body), said);
  },

  /** @param {Tap} event */
  async onWithdraw(event) {
    if (await agreed(this.t("sure"))) await this.step(event, "withdraw");
  },

  /** @param {Tap} event */
  async onTake(event) {
    const { request } = event.currentTarget.dataset;
    const { offer } = this.data.requests.find((/** @type {any} */ one) => one.request === request);
    await this.step(event, "take", { amount: offer });
  },

  /** @param {Tap} event */
  async onLeave(event) {
    await this.step(event, "leave");
  },

  /** @param {Tap} event */
  async onSend(event) {
    const { carrier, number } = this.data;
    const done = await this.step(event, "send", { carrier: carrier.trim(), number: number.trim() }, "sent");
    if (done) this.setData({ carrier: "", number: "" });
  },
});
