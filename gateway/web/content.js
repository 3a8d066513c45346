/** A piece of the library: what a shared link opens. Reading it is a touch with the sharer's token. */

import { Api } from "./api.js";
import { $, copy, h, icon, picture, put, toast } from "./dom.js";
import { addStrings, explain, lang, money, onLanguage, t, toggleLanguage, translatePage, when } from "./i18n.js";
import { advice } from "./view_advice.js";
import { roomPage, SCENE, visit } from "./visitor.js";

addStrings({
  "c.share": ["分享给朋友", "Share"],
  "c.shared": ["链接已复制，发给朋友吧", "Link copied: send it to a friend"],
  "c.room": ["去直播间看看", "Go to the live room"],
  "c.replay": ["看直播回放", "Watch the recorded show"],
  "c.goods": ["文中商品", "Mentioned here"],
  "c.gone": ["内容不存在或已下架", "This is not there, or was taken back"],
});

const CONTENT = decodeURIComponent(location.pathname.split("/")[2] || "");
const api = new Api();
let read = null;

/** A clip of the piece; who begins to watch it watched an explanation, by the sharer's token. */
function clipPlayer(clip) {
  const query = new URLSearchParams({ token: api.token });
  const video = h("video", { src: `/clips/${encodeURIComponent(clip)}.mp4?${query}`, controls: true, playsinline: true, preload: "metadata", "data-testid": "piece-clip" });
  const watched = { kind: "clip_view", clip, token: SCENE || null, room: read.content.room || null };
  const told = () => api.post("/touches", watched).catch((error) => toast(explain(error), "error"));
  video.addEventListener("play", told, { once: true });
  return video;
}

/** The text's own marks: a blank line ends a paragraph, "# " begins a heading, "- " an entry of a list. */
function paragraphs(text) {
  return text.split(/\n\s*\n/).flatMap((block) => {
    const lines = block.split("\n").filter((line) => line.trim());
    if (!lines.length) return [];
    if (lines.every((line) => line.startsWith("- "))) {
      return [h("ul.reading-list", {}, lines.map((line) => h("li", {}, line.slice(2))))];
    }
    const heading = lines[0].startsWith("# ") ? [h("h2", {}, lines.shift().slice(2))] : [];
    return lines.length ? [...heading, h("p", {}, lines.join("\n"))] : heading;
  });
}

function goods(one) {
  const inner = [
    picture(one.image, one.title),
    h("span.goods-text", {}, h("strong", {}, one.title), one.name && h("small.faint", {}, one.name)),
    h("span.goods-price.num", {}, money(one.price)),
  ];
  return read.content.room ? h("a.goods", { href: roomPage(read.content.room), "data-testid": "piece-goods" }, inner) : h("div.goods", {}, inner);
}

async function share() {
  try {
    const body = SCENE ? { parent: SCENE } : {};
    const link = await api.post(`/contents/${encodeURIComponent(CONTENT)}/links`, body);
    const url = new URL(link.url, location.origin).href;
    put($("shared"), h("input.share-url", { readonly: true, value: url, "data-testid": "share-url", "aria-label": t("c.share") }));
    if (await copy(url)) toast(t("c.shared"), "good");
  } catch (error) {
    toast(explain(error), "error");
  }
}

function draw() {
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  if (!read) return;
  const { content, shop } = read;
  document.title = `${content.title} · ${shop}`;
  $("shop").textContent = shop;
  const clips = content.clips.map(clipPlayer);
  put(
    $("piece"),
    h("h1", { "data-testid": "piece-title" }, content.title),
    h("p.faint", {}, [content.category, when(content.updated)].filter(Boolean).join(" · ")),
    content.summary && h("p.reading-summary", {}, content.summary),
    clips.length > 0 && h("div.reading-clips", {}, clips),
    content.show && h("a.replay-link", { "data-testid": "piece-replay", href: roomPage(content.room, { replay: content.show }) }, icon("play"), t("c.replay")),
    content.pictures.map((address) => h("img.reading-picture", { src: address, alt: "", loading: "lazy" })),
    h("article", {}, paragraphs(content.body)),
    content.goods.length > 0 && h("section.reading-goods", {}, h("h2", {}, t("c.goods")), content.goods.map(goods)),
    h("div", { id: "shared" }),
    advice(api, content.room),
  );
  put(
    $("foot"),
    content.room && h("a.quiet.wide", { href: roomPage(read.content.room), "data-testid": "piece-room" }, t("c.room")),
    read.may_share && h("button.primary.wide", { type: "button", "data-testid": "piece-share", on: { click: share } }, icon("share"), t("c.share")),
  );
}

async function open() {
  put($("piece"), h("p.empty", {}, t("common.loading")));
  try {
    read = await api.post(`/contents/${encodeURIComponent(CONTENT)}/open`, visit());
    api.token = read.token;
    draw();
  } catch (error) {
    put($("piece"), h("p.empty", { "data-testid": "piece-gone" }, error.status === 404 ? t("c.gone") : explain(error)));
  }
}

$("language").addEventListener("click", toggleLanguage);
onLanguage(draw);
translatePage();
draw();
open();
