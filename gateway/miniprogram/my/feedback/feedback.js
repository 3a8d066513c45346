/** Complain, report, praise; the shop's licence. */

import { shopPage } from "../../shared/page.js";
import { when } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { FEEDBACK } from "../texts.js";

const KINDS = ["complaint", "report", "praise"];

shopPage(FEEDBACK, {
  data: { kind: "complaint", text: "", contact: "" },

  async load() {
    const { api, room } = this.visit;
    const [{ licence }, mine] = await Promise.all([
      api.get(`/rooms/${encodeURIComponent(room)}/licence`),
      api.get("/complaints?limit=20"),
    ]);
    return {
      kinds: KINDS.map((kind) => ({ kind, text: this.t(kind), on: kind === this.data.kind })),
      licence: licence ? { ...licence, image: asset(licence.image) } : null,
      mine: mine.items.map((/** @type {any} */ one) => ({
        id: one.id,
        text: one.text,
        note: `${this.t(one.kind)} · ${when(one.created_ms)}`,
        state: this.t(one.state, { time: when(one.due_ms) }),
        answer: one.answer,
      })),
    };
  },

  /** @param {{currentTarget: {dataset: {kind: string}}}} event */
  onKind({ currentTarget }) {
    const { kind } = currentTarget.dataset;
    this.setData({ kind, kinds: KINDS.map((one) => ({ kind: one, text: this.t(one), on: one === kind })) });
  },

  /** @param {{currentTarget: {dataset: {name: string}}, detail: {value: string}}} event */
  onField({ currentTarget, detail }) {
    this.setData({ [currentTarget.dataset.name]: detail.value });
  },

  async onSend() {
    const text = this.data.text.trim();
    if (!text) return;
    const { kind, contact } = this.data;
    const body = { kind, text, contact: contact.trim(), room: this.visit.room };
    if (await this.act(() => this.visit.api.post("/complaints", body), "sent")) this.setData({ text: "", contact: "" });
  },
});
