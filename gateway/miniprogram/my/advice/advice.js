/** Ask an advisor: one's questions, their answers, and products that lead on with the advisor's own token. */

import { shopPage } from "../../shared/page.js";
import { money, when } from "../../shared/speak.js";
import { asset } from "../../shared/visit.js";
import { ADVICE } from "../texts.js";

shopPage(ADVICE, {
  data: { body: "", at: 0 },
  /** @type {string[]} */
  skills: [],

  async load() {
    const { skills, items } = await this.visit.api.get("/me/questions");
    this.skills = skills;
    return { skills: skills.length ? [this.t("any"), ...skills] : [], questions: items.map((/** @type {any} */ one) => this.questionView(one)) };
  },

  /** @param {any} one */
  questionView(one) {
    const state = this.t(one.state, { name: one.advisor });
    return {
      question: one.question,
      body: one.body,
      note: [one.skill, when(one.created), state].filter(Boolean).join(" · "),
      answers: one.answers.map((/** @type {any} */ answer) => ({
        answer: answer.answer,
        body: answer.body,
        by: `${answer.by} · ${when(answer.created)}`,
        goods: answer.goods.map((/** @type {any} */ { sku, title, image, price, token }) => ({
          sku,
          title,
          token,
          image: asset(image),
          price: money(price),
        })),
      })),
      can: one.state === "answered",
    };
  },

  /** @param {{detail: {value: string}}} event */
  onBody({ detail }) {
    this.setData({ body: detail.value });
  },

  /** @param {{detail: {value: string|number}}} event */
  onSkill({ detail }) {
    this.setData({ at: Number(detail.value) });
  },

  async onSend() {
    const body = this.data.body.trim();
    if (!body) return;
    const skill = this.data.at ? this.skills[this.data.at - 1] : "";
    const room = this.visit.room;
    if (await this.act(() => this.visit.api.post("/questions", { body, skill, room }), "sent")) this.setData({ body: "" });
  },

  /** @param {{currentTarget: {dataset: {question: string, open: string}}}} event */
  async onAccept({ currentTarget }) {
    const { question, open } = currentTarget.dataset;
    const path = `/questions/${encodeURIComponent(question)}/accept`;
    await this.act(() => this.visit.api.post(path, { public: open === "1" }));
  },

  /**
   * What the advisor recommends is theirs if it is bought: its touch carries their token.
   * @param {{currentTarget: {dataset: {sku: string, token: string}}}} event
   */
  onGoods({ currentTarget }) {
    const { sku, token } = currentTarget.dataset;
    const touch = { kind: "card_click", room: this.visit.room, sku, ...(token && { token }) };
    this.visit.api.post("/touches", touch).catch((error) => console.info("touch:", error.message));
    this.go("/shop/checkout/checkout", { sku });
  },
});
