/** Advice: questions that wait for an answer, why they are whose, and who answers what and when. */

import { $, h, put, toast } from "./dom.js";
import { countField, doer, field, onSend, whole } from "./forms.js";
import { addStrings, explain, knows, money, t, when } from "./i18n.js";
import { cell, table } from "./tables.js";

addStrings({
  "m.a.person": ["顾问的客户编号（用来通知）", "Their customer id (to be told)"],
  "m.a.notice": ["通知顾问与提问者", "Telling advisors and askers"],
  "m.a.channel": ["渠道", "Channel"],
  "m.a.subscribe": ["小程序订阅消息", "subscribe message"],
  "m.a.sms": ["短信", "SMS"],
  "m.a.template": ["新问题模板编号", "Template of a question"],
  "m.a.answerTemplate": ["有回答模板编号", "Template of an answer"],
  "m.a.field": ["模板里问题的字段名", "The template's field of the question"],
  "m.a.openMinutes": ["几分钟没打开就转下一位", "Minutes to open it, then the next"],
  "m.a.wecomUser": ["顾问的企业微信账号（userid）", "Their WeCom userid"],
  "m.a.byApp": ["用企业微信应用消息通知顾问（有 userid 的）", "Tell advisors with a userid by our WeCom application"],
  "m.a.appUrl": ["消息点开的地址", "Where the message leads"],
  "m.a.app": ["企业微信应用", "Application at WeCom"],
  "m.a.corpid": ["企业 ID", "Corporation id"],
  "m.a.agentid": ["应用 AgentId", "AgentId"],
  "m.a.appSecret": ["应用 Secret（不再显示）", "Its secret (not shown again)"],
  "m.a.tellMe": ["有客户提问时通知我", "Tell me of questions"],
  "m.a.mostHour": ["每位顾问每小时最多几条", "Messages an hour for an advisor"],
  "m.a.saved": ["已保存", "Saved"],
  "m.a.told": ["通知：{on}", "told: {on}"],
  "m.a.toldOn": ["开", "on"],
  "m.a.toldOff": ["关", "off"],
});

const SHOWN = 20;
const DAYS = [0, 1, 2, 3, 4, 5, 6];
const GOODS_MAX = 5;
const word = (name) => (knows(`m.a.why.${name}`) ? t(`m.a.why.${name}`) : name);
const clockText = (minutes) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

/**
 * Draw the panel; it stays away for those who answer nobody.
 * @param {import("./api.js").Api} api
 * @param {any[]} rooms
 * @param {{sent?: boolean}} [options] `sent`: what was written has gone, and may go from the page
 */
export async function drawAdvice(api, rooms, { sent = false } = {}) {
  const closed = (error) => {
    if (error.status !== 403) throw error;
    return null;
  };
  const questions = await api.get(`/questions?limit=${SHOWN}`).catch(closed);
  $("advice-panel").hidden = !questions;
  if (!questions) return;
  const place = $("questions");
  // Half an answer is not thrown away by the next look.
  const begun = place.querySelector("[name=sku]") || [...place.querySelectorAll("textarea")].some((area) => area.value);
  if (sent || !(begun || place.contains(document.activeElement))) {
    const again = () => drawAdvice(api, rooms, { sent: true });
    put(place, questions.items.length ? questions.items.map((one) => question(api, one, rooms, again)) : h("p.empty", {}, t("m.a.none")));
  }
  await drawTold(api);
  const found = await api.get("/advisors").catch(closed);
  $("advisors-part").hidden = !found;
  if (found) {
    drawAdvisors(api, found, () => drawAdvice(api, rooms));
    await drawNotice(api);
  }
}

/** An advisor's own switch: whether they are told outside the page. */
async function drawTold(api) {
  const place = $("advice-told");
  const mine = await api.get("/me/advisor");
  const box = h("input", { type: "checkbox", checked: mine.told, "data-testid": "advice-told" });
  box.addEventListener("change", () =>
    api.request("PUT", "/me/advisor", { told: box.checked }).then(
      () => toast(t("m.a.saved"), "good"),
      (error) => {
        box.checked = !box.checked;
        toast(explain(error), "error");
      },
    ),
  );
  put(place, mine.advisor && h("label.tick", {}, box, t("m.a.tellMe")));
}

function question(api, one, rooms, again) {
  const path = `/questions/${encodeURIComponent(one.question)}`;
  const open = one.state === "given" || one.state === "waiting";
  const whose = one.state === "given" ? `${one.advisor} · ${t("m.a.until", { time: when(one.due) })}` : t(`m.a.state.${one.state}`);
  return h(
    "article.asked",
    { "data-testid": "question-row", data: { state: one.state } },
    h("strong", {}, one.body),
    h("span.faint", {}, [one.name || `…${one.person.slice(-6)}`, one.skill, when(one.created), whose].filter(Boolean).join(" · ")),
    one.answers.map((answer) =>
      h("div.advised-text", {}, h("p", {}, answer.body), answer.goods.map((goods) => h("span.chip", {}, `${goods.title} ${money(goods.price)}`)), h("span.faint", {}, ` ${answer.by} · ${when(answer.created)}`)),
    ),
    h("details", {}, h("summary", {}, t("m.a.why")), h("ul.plain", {}, one.why.map((verdict) => h("li", {}, h("span", {}, verdict.name), h("span.faint", {}, `${word(verdict.word)} · ${t("m.a.load", { n: verdict.load })}`))))),
    open && answerForm(api, path, one, rooms, again),
    one.mine &&
      doer(t("m.a.pass"), async () => {
        await api.post(`${path}/pass`);
        await again();
      }),
  );
}

function answerForm(api, path, one, rooms, again) {
  const body = h("textarea", { name: "body", rows: 2, required: true, maxlength: 1000, placeholder: t("m.a.answer"), "aria-label": t("m.a.answer"), "data-testid": "answer-body" });
  const goods = h("div.models");
  const pick = doer(t("m.a.goods"), async () => {
    const room = one.room || rooms[0]?.room;
    if (!room) return;
    const shelf = await api.get(`/rooms/${encodeURIComponent(room)}/products`);
    put(goods, shelf.map((card) => h("label.tick", {}, h("input", { type: "checkbox", name: "sku", value: card.sku, "data-testid": "answer-sku" }), card.title)));
  }, { "data-testid": "answer-goods" });
  // Whoever begins to answer has seen it: the next is not asked meanwhile.
  if (one.mine && !one.opened) body.addEventListener("focus", () => api.post(`${path}/open`).catch((error) => toast(explain(error), "error")), { once: true });
  const form = h("form.ask-form", {}, body, goods, h("div.form-foot", {}, pick, h("button.primary", { type: "submit", "data-testid": "answer-send" }, t("m.a.send"))));
  onSend(form, async () => {
    const skus = [...form.querySelectorAll("[name=sku]:checked")].map((box) => box.value).slice(0, GOODS_MAX);
    await api.post(`${path}/answers`, { body: body.value.trim(), skus });
    toast(t("m.a.sent"), "good");
    await again();
  });
  return form;
}

function drawAdvisors(api, { advisors, accounts }, again) {
  const hours = (one) =>
    one.hours.length ? one.hours.map(([day, since, until]) => `${t(`m.a.day${day}`)} ${clockText(since)}–${clockText(until)}`).join("，") : t("m.a.always");
  const turn = (one) =>
    doer(t(one.active ? "m.a.rest" : "m.a.work"), async () => {
      const spans = one.hours.map(([weekday, since, until]) => ({ weekday, since, until }));
      await api.request("PUT", `/advisors/${encodeURIComponent(one.staff)}`, { skills: one.skills, hours: spans, most: one.most, active: !one.active });
      await again();
    });
  put(
    $("advisors"),
    advisors.length > 0 &&
      table(
        ["m.col.name", "m.a.skills", "m.a.hours", "m.a.now", ""],
        advisors.map((one) =>
          h(
            "tr",
            { "data-testid": "advisor-row" },
            cell("m.col.name", one.name, one.active ? null : h("span.chip", {}, t("m.a.resting"))),
            cell("m.a.skills", one.skills.map((skill) => h("span.chip", {}, skill))),
            cell("m.a.hours", h("span.faint", {}, hours(one))),
            cell("m.a.now", `${one.load} / ${one.most}`, one.person || one.wecom_user ? h("span.faint", {}, ` ${t("m.a.told", { on: t(one.told ? "m.a.toldOn" : "m.a.toldOff") })}`) : null),
            h("td.cell-toggle", {}, turn(one)),
          ),
        ),
      ),
  );
  const form = $("advisor-form");
  if (form.children.length) return;
  put(
    form,
    field("m.a.account", { name: "staff", options: accounts.map((one) => [one.staff, one.name]), "data-testid": "advisor-staff" }),
    field("m.a.skills", { name: "skills", maxlength: 200, placeholder: t("m.a.skillsHint"), "data-testid": "advisor-skills" }),
    countField("m.a.most", "most", { value: "5", max: "100" }),
    field("m.a.person", { name: "person", maxlength: 64, "data-testid": "advisor-person" }),
    field("m.a.wecomUser", { name: "member", maxlength: 64, "data-testid": "advisor-wecom" }),
    field("m.a.from", { name: "since", type: "time" }),
    field("m.a.to", { name: "until", type: "time" }),
    h("div.whole-row", {}, DAYS.map((day) => h("label.tick", {}, h("input", { type: "checkbox", name: "day", value: day, checked: true }), t(`m.a.day${day}`)))),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "advisor-save" }, t("m.save"))),
  );
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  onSend(form, async () => {
    const { staff, skills, since, until } = form.elements;
    const minutes = (text) => text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
    const spans = since.value && until.value ? [...form.querySelectorAll("[name=day]:checked")].map((day) => ({ weekday: Number(day.value), since: minutes(since.value), until: minutes(until.value) })) : [];
    await api.request("PUT", `/advisors/${encodeURIComponent(staff.value)}`, {
      skills: skills.value.split(/[,，、\s]+/).filter(Boolean),
      hours: spans,
      most: whole(form, "most"),
      person: form.elements.person.value.trim() || null,
      wecom_user: form.elements.member.value.trim() || null,
    });
    await again();
  });
}

/** How advisors and askers are told outside the page. */
async function drawNotice(api) {
  const form = $("notice-form");
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  const had = await api.get("/advice-notice");
  const asked = Object.entries(had.fields).find(([, what]) => what === "question");
  put(
    form,
    field("m.a.channel", { name: "channel", options: ["subscribe", "sms"].map((name) => [name, t(`m.a.${name}`)]) }),
    field("m.a.template", { name: "template", maxlength: 64, value: had.template, "data-testid": "notice-template" }),
    field("m.a.answerTemplate", { name: "answer", maxlength: 64, value: had.answer_template }),
    field("m.a.field", { name: "named", maxlength: 32, value: asked ? asked[0] : "thing1" }),
    countField("m.a.openMinutes", "minutes", { value: String(had.open_minutes), max: "60" }),
    countField("m.a.mostHour", "hour", { value: String(had.most_hour), min: "0", max: "60" }),
    h("label.tick.whole-row", {}, h("input", { type: "checkbox", name: "app", checked: had.by_app, "data-testid": "notice-app" }), t("m.a.byApp")),
    field("m.a.appUrl", { name: "url", type: "url", maxlength: 255, value: had.app_url || ownAddress(), "data-testid": "notice-url" }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "notice-save" }, t("m.save"))),
  );
  if (had.channel) form.elements.channel.value = had.channel;
  onSend(form, async () => {
    const { channel, template, answer, named } = form.elements;
    await api.request("PUT", "/advice-notice", {
      channel: channel.value,
      template: template.value.trim(),
      answer_template: answer.value.trim(),
      fields: { ...had.fields, [named.value.trim() || "thing1"]: "question" },
      page: had.page,
      open_minutes: whole(form, "minutes"),
      most_hour: whole(form, "hour"),
      by_app: form.elements.app.checked,
      app_url: form.elements.url.value.trim(),
    });
    toast(t("m.a.saved"), "good");
  });
  drawApp(api, had.app ?? {});
}

/** This page, where WeCom can open it: a card leads to nothing that is not encrypted. */
const ownAddress = () => (location.protocol === "https:" ? `${location.origin}/merchant#advice-panel` : "");

/** The application at WeCom by which advisors are told. */
function drawApp(api, had) {
  const form = $("wecom-app-form");
  put(
    form,
    h("h3.whole-row", {}, t("m.a.app")),
    field("m.a.corpid", { name: "corpid", required: true, maxlength: 128, value: had.corpid ?? "", "data-testid": "app-corpid" }),
    countField("m.a.agentid", "agentid", { value: String(had.agentid ?? ""), "data-testid": "app-agentid" }),
    field("m.a.appSecret", { name: "secret", type: "password", required: true, maxlength: 128, autocomplete: "off", "data-testid": "app-secret" }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "app-save" }, t("m.save"))),
  );
  onSend(form, async () => {
    const { corpid, secret } = form.elements;
    await api.request("PUT", "/channels/wecomapp", { corpid: corpid.value.trim(), agentid: whole(form, "agentid"), secret: secret.value.trim() });
    secret.value = "";
    toast(t("m.a.saved"), "good");
  });
}
