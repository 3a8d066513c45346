/** Ask an advisor: one's questions, their answers, and products that lead on with the advisor's token. */

import { h, picture, put, toast } from "./dom.js";
import { doer, onSend } from "./forms.js";
import { addStrings, explain, money, t, when } from "./i18n.js";

addStrings({
  "advice.open": ["问顾问", "Ask an advisor"],
  "advice.told": ["顾问回答了你的问题：{body}", "Your question was answered: {body}"],
  "advice.asked": ["有人向你提问：{body}", "A question for you: {body}"],
  "advice.body": ["想问什么？", "What would you like to know?"],
  "advice.skill": ["关于", "About"],
  "advice.any": ["不限", "anything"],
  "advice.send": ["提问", "Ask"],
  "advice.sent": ["已转给顾问，回答会显示在这里", "An advisor has it; the answer will stand here"],
  "advice.mine": ["我的提问", "My questions"],
  "advice.waiting": ["等待顾问上线", "waiting for an advisor"],
  "advice.given": ["{name} 正在看", "{name} is looking at it"],
  "advice.answered": ["已回答", "answered"],
  "advice.accepted": ["已采纳", "taken"],
  "advice.accept": ["有帮助", "This helped"],
  "advice.share": ["有帮助，也给别人看（不显示我的名字）", "It helped, and others may read it (without my name)"],
  "advice.refresh": ["刷新", "Refresh"],
});

const BODY_CHARACTERS_MAX = 500;

function goods(one) {
  const inner = [picture(one.image, one.title), h("strong", {}, one.title), h("span.num", {}, money(one.price))];
  return one.url ? h("a.advised", { href: one.url, "data-testid": "advised" }, inner) : h("span.advised", {}, inner);
}

/**
 * A button that shows the part below it.
 * @param {import("./api.js").Api} api
 * @param {string} [room] where it is asked; empty outside of the rooms
 */
export function advice(api, room = "") {
  const place = h("div", { "data-testid": "advice" });

  async function load() {
    const { skills, items } = await api.get("/me/questions");
    put(place, form(skills), items.length > 0 && h("h3", {}, t("advice.mine")), items.map(question), items.length > 0 && doer(t("advice.refresh"), load));
  }

  function form(skills) {
    const body = h("textarea", { name: "body", required: true, maxlength: BODY_CHARACTERS_MAX, rows: 3, placeholder: t("advice.body"), "aria-label": t("advice.body"), "data-testid": "advice-body" });
    const about = h("select", { name: "skill", "aria-label": t("advice.skill") }, [["", t("advice.any")], ...skills.map((one) => [one, one])].map(([value, text]) => h("option", { value }, text)));
    const made = h("form.ask-form", {}, body, skills.length > 0 && about, h("button.primary", { type: "submit", "data-testid": "advice-send" }, t("advice.send")));
    onSend(made, async () => {
      await api.post("/questions", { body: body.value.trim(), skill: about.value, room });
      toast(t("advice.sent"), "good");
      await load();
    });
    return made;
  }

  function question(one) {
    const accept = (open) =>
      doer(
        t(open ? "advice.share" : "advice.accept"),
        async () => {
          await api.post(`/questions/${encodeURIComponent(one.question)}/accept`, { public: open });
          await load();
        },
        { "data-testid": "advice-accept" },
      );
    return h(
      "article.asked",
      { "data-testid": "my-question", data: { state: one.state } },
      h("strong", {}, one.body),
      h("span.faint", {}, [one.skill, when(one.created), t(`advice.${one.state}`, { name: one.advisor })].filter(Boolean).join(" · ")),
      one.answers.map((answer) => h("div.advised-text", { "data-testid": "my-answer" }, h("p", {}, answer.body), answer.goods.map(goods), h("span.faint", {}, `${answer.by} · ${when(answer.created)}`))),
      one.state === "answered" && h("div", {}, accept(false), " ", accept(true)),
    );
  }

  const show = () => load().catch((error) => toast(explain(error), "error"));
  return h("section", {}, doer(t("advice.open"), show, { className: "quiet", "data-testid": "advice-open" }), place);
}
