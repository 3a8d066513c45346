/** A community group: what a join code opens. Its rules are read and accepted here. */

import { Api } from "./api.js";
import { $, h, put, toast } from "./dom.js";
import { addStrings, explain, lang, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { roomPage, visit } from "./visitor.js";

addStrings({
  "g.invites": ["邀请你加入群", "invites you to a group"],
  "g.rules": ["群规", "Rules"],
  "g.accept": ["我已阅读并同意群规", "I have read the rules and agree"],
  "g.join": ["加入", "Join"],
  "g.again": ["群规有更新，请重新阅读并同意", "The rules have changed: please read and agree again"],
  "g.agree": ["同意新群规", "Agree to the new rules"],
  "g.in": ["你已在群里", "You are in this group"],
  "g.joined": ["欢迎加入", "Welcome"],
  "g.room": ["去直播间", "Go to the live room"],
  "g.leave": ["退出群", "Leave the group"],
  "g.left": ["已退出", "You have left"],
  "g.gone": ["这个群不存在或已结束", "This group is not there, or has ended"],
  "err.already": ["群规刚有更新，请重新阅读", "The rules have just changed: please read them again"],
  "err.limit": ["这个群已满", "This group is full"],
});

const path = `/communities/${encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2] || ""))}`;
const api = new Api();
let group = null;

async function send(verb, body, said) {
  try {
    await api.post(`${path}/${verb}`, body);
    toast(t(said), "good");
  } catch (error) {
    toast(explain(error), "error");
  }
  await open();
}

function draw() {
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  if (!group) return;
  const current = group.member && group.accepted === group.rules_version;
  document.title = `${group.title} · ${group.shop}`;
  $("shop").textContent = group.shop;
  const box = h("input", { type: "checkbox", "data-testid": "group-accept" });
  const join = h(
    "button.primary.wide",
    { type: "button", disabled: true, "data-testid": "group-join", on: { click: () => send("join", { rules: group.rules_version }, "g.joined") } },
    t(group.member ? "g.agree" : "g.join"),
  );
  box.addEventListener("change", () => (join.disabled = !box.checked));
  put(
    $("group"),
    h("p.faint", {}, `${group.shop} ${t("g.invites")}`),
    h("h1", { "data-testid": "group-title" }, group.title),
    current && h("p.reading-summary", { "data-testid": "group-in" }, t("g.in")),
    group.member && !current && h("p.reading-summary", {}, t("g.again")),
    h("h2", {}, t("g.rules")),
    h("article", {}, h("p", {}, group.rules)),
    current
      ? h("button.small", { type: "button", "data-testid": "group-leave", on: { click: () => send("leave", {}, "g.left") } }, t("g.leave"))
      : h("label.accept", {}, box, t("g.accept")),
  );
  put(
    $("foot"),
    group.room && h(current ? "a.primary.wide" : "a.quiet.wide", { href: roomPage(group.room) }, t("g.room")),
    !current && join,
  );
}

async function open() {
  if (!group) put($("group"), h("p.empty", {}, t("common.loading")));
  try {
    group = await api.post(`${path}/open`, visit());
    api.token = group.token;
    draw();
  } catch (error) {
    put($("group"), h("p.empty", { "data-testid": "group-gone" }, error.status === 404 ? t("g.gone") : explain(error)));
    put($("foot"));
  }
}

$("language").addEventListener("click", toggleLanguage);
onLanguage(draw);
translatePage();
draw();
open();
