/** Somebody's poster of a helper task: what it is for, how many have helped, and the button. */

import { Api } from "./api.js";
import { $, h, put, toast } from "./dom.js";
import { addStrings, explain, lang, money, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { roomPage, visit } from "./visitor.js";

addStrings({
  "help.asks": ["{name} 请你助力", "{name} asks for your help"],
  "help.somebody": ["朋友", "A friend"],
  "help.own": ["这是你的助力海报，发给朋友吧", "This is your own poster: send it to friends"],
  "help.worth": ["{needed} 位朋友助力，可得 {amount} 优惠券", "With {needed} helpers there is a coupon of {amount}"],
  "help.over": ["满 {threshold} 可用", "for orders from {threshold}"],
  "help.progress": ["已有 {helped} / {needed} 人助力", "{helped} of {needed} have helped"],
  "help.done": ["已完成", "Done"],
  "help.closed": ["活动已结束", "This is over"],
  "help.help": ["帮忙助力", "Help"],
  "help.thanks": ["助力成功，谢谢", "You have helped, thank you"],
  "help.uncounted": ["同一网络助力太多，这次没有计入", "Too many from one network: this one does not count"],
  "help.note": ["助力不收费，也不会让你加入任何组织", "It costs nothing and makes you a member of nothing"],
  "help.room": ["去直播间看看", "Go to the live room"],
  "help.gone": ["没有这张海报", "There is no such poster"],
  "err.already": ["你在这个活动里已经助力过了", "You have helped in this task"],
  "err.limit": ["今天的助力次数已用完", "That was enough for today"],
  "err.closed": ["活动已结束", "This is over"],
});

const path = `/help-posters/${encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2] || ""))}`;
const api = new Api();
let poster = null;

async function help() {
  try {
    const answer = await api.post(`${path}/help`);
    Object.assign(poster, { helped: answer.helped, done: answer.done, thanked: true });
    toast(t(answer.counted ? "help.thanks" : "help.uncounted"), answer.counted ? "good" : "error");
  } catch (error) {
    toast(explain(error), "error");
  }
  draw();
}

function draw() {
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  if (!poster) return;
  const { needed, helped, amount, threshold } = poster;
  document.title = `${poster.title} · ${poster.shop}`;
  $("shop").textContent = poster.shop;
  const over = threshold ? `，${t("help.over", { threshold: money(threshold) })}` : "";
  put(
    $("poster"),
    h("p.faint", {}, poster.own ? t("help.own") : t("help.asks", { name: poster.owner || t("help.somebody") })),
    h("h1", { "data-testid": "help-title" }, poster.title),
    h("p.reading-summary", {}, t("help.worth", { needed, amount: money(amount) }) + over),
    h("progress.help-bar", { max: needed, value: Math.min(helped, needed) }),
    h("p", { "data-testid": "help-progress" }, t("help.progress", { helped, needed }), poster.done ? ` · ${t("help.done")}` : ""),
    h("p.faint", {}, t("help.note")),
  );
  const able = poster.open && !poster.own && !poster.done && !poster.thanked;
  put(
    $("foot"),
    h("a.quiet.wide", { href: roomPage(poster.room) }, t("help.room")),
    able && h("button.primary.wide", { type: "button", "data-testid": "help-button", on: { click: help } }, t("help.help")),
    !poster.open && h("span.quiet", {}, t("help.closed")),
  );
}

async function open() {
  put($("poster"), h("p.empty", {}, t("common.loading")));
  try {
    poster = await api.post(`${path}/open`, visit());
    api.token = poster.token;
    draw();
  } catch (error) {
    put($("poster"), h("p.empty", { "data-testid": "help-gone" }, error.status === 404 ? t("help.gone") : explain(error)));
  }
}

$("language").addEventListener("click", toggleLanguage);
onLanguage(draw);
translatePage();
draw();
open();
