/** The content library: find, share with one's own token, see what it brought; and for authors, write and publish. */

import { $, copy, h, put, sheet, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { money, t, when } from "./i18n.js";
import { openPoster } from "./merchant_poster.js";
import { cell, table } from "./tables.js";

const SHOWN = 50;
const KINDS = ["article", "picture", "video"];
const SHARERS = ["everybody", "distributors", "staff", "nobody"];
const ROWS_OF_TEXT = 8;
/** What is looked for, kept over the page's own refreshing. */
const asked = { q: "", category: null };

const path = (one) => `/contents/${encodeURIComponent(one.content)}`;

/**
 * Draw the panel.
 * @param {import("./api.js").Api} api
 * @param {any[]} rooms
 */
export async function drawContents(api, rooms) {
  const query = new URLSearchParams({ limit: SHOWN });
  if (asked.q) query.set("q", asked.q);
  if (asked.category) query.set("category", asked.category);
  const found = await api.get(`/contents?${query}`);
  const again = () => drawContents(api, rooms);
  const part = Boolean(document.body.dataset.part);
  $("content-panel").hidden = false;
  drawSearch(found.categories, again);
  put(
    $("contents"),
    part && h("p.faint", {}, t("m.k.theirs")),
    found.items.length
      ? table(
          ["m.k.title", "m.k.category", "m.k.state", "m.k.reads", "m.k.shares", "m.k.orders", ""],
          found.items.map((one) => row(api, one, part, rooms, again)),
        )
      : h("p.empty", {}, t("m.k.empty")),
  );
  const form = $("content-form");
  if (!form.children.length) fillForm(api, form, rooms, again);
}

function drawSearch(categories, again) {
  const place = $("content-search");
  if (place.contains(document.activeElement)) return;
  const words = h("input", { type: "search", value: asked.q, maxlength: 60, placeholder: t("m.k.search"), "aria-label": t("m.k.search"), "data-testid": "content-search" });
  const find = async () => {
    asked.q = words.value.trim();
    words.blur();
    await again();
  };
  words.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), find()));
  const chip = (value, text) =>
    h(
      "button.small",
      { type: "button", "aria-pressed": String(asked.category === value), on: { click: () => ((asked.category = value), again()) } },
      text,
    );
  const named = Object.entries(categories).filter(([name]) => name);
  put(
    place,
    words,
    doer(t("m.k.find"), find),
    named.length > 0 && chip(null, t("m.k.all")),
    named.map(([name, n]) => chip(name, `${name} ${n}`)),
  );
}

function state(one) {
  if (!one.published) return h("span.chip", {}, t("m.k.draft"));
  const chips = [h("span.chip", {}, t("m.k.live", { n: one.published }))];
  if (one.version > one.published) chips.push(h("span.faint", {}, t("m.k.newer", { n: one.version })));
  return chips;
}

function row(api, one, part, rooms, again) {
  const { reads, readers, shares, orders, amount } = one.figures;
  const shared = one.published && one.sharers !== "nobody";
  const link = async () => {
    const made = await api.post(`${path(one)}/links`);
    return { ...made, href: new URL(made.url, location.origin).href };
  };
  const copied = async () => {
    const made = await link();
    if (await copy(made.href)) toast(`${t("m.copied")} ${made.href}`, "good");
  };
  return h(
    "tr",
    { "data-testid": "content-row", data: { content: one.content } },
    cell("m.k.title", h("strong", {}, one.title), " ", h("span.faint", {}, t(`m.k.${one.kind}`))),
    cell("m.k.category", one.category || "—", one.audience === "staff" ? h("span.chip", {}, t("m.k.forStaff")) : null),
    cell("m.k.state", state(one)),
    cell("m.k.reads", h("span.num", { "data-testid": "content-reads" }, `${reads} (${readers})`)),
    cell("m.k.shares", h("span.num", {}, String(shares))),
    cell("m.k.orders", h("strong.num", { "data-testid": "content-orders" }, `${orders} · ${money(amount)}`)),
    h(
      "td.cell-toggle",
      {},
      doer(t("m.k.look"), () => look(api, one)),
      shared ? doer(t("m.k.link"), copied, { "data-testid": "content-link" }) : null,
      shared ? doer(t("m.poster"), async () => openPoster(api, await link())) : null,
      !part && doer(t("m.k.edit"), () => edit(api, one, rooms, again), { "data-testid": "content-edit" }),
      !part && one.published !== one.version && publisher(api, one, one.version, "m.k.publish", again),
      !part && one.published ? publisher(api, one, null, "m.k.withdraw", again) : null,
    ),
  );
}

function publisher(api, one, version, text, again) {
  const act = async () => {
    await api.post(`${path(one)}/publish`, { version });
    await again();
  };
  return doer(t(text), act, { "data-testid": version ? "content-publish" : "content-withdraw" });
}

async function look(api, one) {
  const piece = await api.get(path(one));
  const window = sheet({ title: piece.title, testid: "content-sheet", closeLabel: t("common.close") });
  put(
    window.body,
    piece.summary && h("p.faint", {}, piece.summary),
    piece.pictures.map((address) => h("img.poster", { src: address, alt: "" })),
    h("p.prose", {}, piece.body),
    piece.goods.length > 0 && h("p.models", {}, piece.goods.map((goods) => h("span.chip", {}, `${goods.title} ${money(goods.price)}`))),
  );
}

async function edit(api, one, rooms, again) {
  const [piece, { versions }] = await Promise.all([api.get(path(one)), api.get(`${path(one)}/versions`)]);
  const window = sheet({ title: `${piece.title} · v${piece.version}`, testid: "content-editor", closeLabel: t("common.close") });
  const form = h("form.form-grid", {});
  const done = async () => {
    window.close();
    await again();
  };
  fillForm(api, form, rooms, done, piece);
  const earlier = versions.map((version) =>
    h(
      "li",
      {},
      h("span", {}, `v${version.version} · ${version.title}`),
      h("span.faint", {}, `${when(version.created_ms)} · ${version.name || ""}`),
      version.version !== piece.published && publisher(api, one, version.version, "m.k.publish", done),
    ),
  );
  put(window.body, form, h("b", {}, t("m.k.versions")), h("ul.plain", {}, earlier));
}

function textField(label, name, value, rows) {
  const area = h("textarea", { name, rows, maxlength: 15000 });
  area.value = value;
  return h("label.field.wide-field", {}, h("span", { "data-t": label }, t(label)), area);
}

/** The fields of a piece; with `piece` those of its next version. */
function fillForm(api, form, rooms, done, piece = null) {
  const now = piece || { kind: "article", title: "", category: "", summary: "", body: "", cover: "", pictures: [], clips: [], goods: [], room: "", show: "", audience: "everybody", sharers: "everybody", version: 0 };
  const film = h("div.whole-row.form-grid");
  const select = (label, name, options, value) => {
    const made = field(label, { name, options });
    made.lastChild.value = value;
    return made;
  };
  put(
    form,
    field("m.k.title", { name: "title", required: true, maxlength: 60, wide: true, value: now.title, "data-testid": "content-title" }),
    select("m.k.kind", "kind", KINDS.map((one) => [one, t(`m.k.${one}`)]), now.kind),
    field("m.k.category", { name: "category", maxlength: 20, value: now.category, "data-testid": "content-category" }),
    select("m.k.audience", "audience", [["everybody", t("m.k.forAll")], ["staff", t("m.k.forStaff")]], now.audience),
    select("m.k.sharers", "sharers", SHARERS.map((one) => [one, t(`m.k.by.${one}`)]), now.sharers),
    field("m.k.summary", { name: "summary", maxlength: 200, wide: true, value: now.summary }),
    textField("m.k.body", "body", now.body, ROWS_OF_TEXT),
    field("m.k.cover", { name: "cover", maxlength: 500, wide: true, value: now.cover }),
    textField("m.k.pictures", "pictures", now.pictures.join("\n"), 2),
    select("m.k.room", "room", [["", t("m.k.noRoom")], ...rooms.map((room) => [room.room, room.title])], now.room),
    film,
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "content-save", "data-t": "m.k.save" }, t("m.k.save"))),
  );
  const { room } = form.elements;
  const chooseFilm = () => fillFilm(api, film, room.value, now);
  room.addEventListener("change", chooseFilm);
  chooseFilm();
  onSend(form, async () => {
    const { elements } = form;
    const texts = Object.fromEntries(["title", "kind", "category", "audience", "summary", "body", "cover", "room"].map((name) => [name, elements[name].value.trim()]));
    const body = {
      ...texts,
      sharers: texts.audience === "staff" ? "nobody" : elements.sharers.value,
      pictures: elements.pictures.value.split(/\s+/).filter(Boolean),
      clips: [...film.querySelectorAll("[name=clip]:checked")].map((box) => box.value),
      skus: [...film.querySelectorAll("[name=sku]:checked")].map((box) => box.value),
      show: elements.show?.value || "",
      base: now.version,
    };
    const kept = piece ? await api.request("PUT", path(piece), body) : await api.post("/contents", body);
    toast(t("m.k.kept", { n: kept.version }), "good");
    if (!piece) form.replaceChildren();
    await done();
  });
}

/** What there is of a room to show: clips, recorded shows, and the products of its shelf. */
async function fillFilm(api, place, room, now) {
  put(place);
  if (!room) return;
  const base = `/rooms/${encodeURIComponent(room)}`;
  const [clips, shows, shelf] = await Promise.all([api.get(`${base}/clips`), api.get(`${base}/shows`), api.get(`${base}/products`)]);
  const products = shelf.items || shelf.products || shelf;
  const skus = now.goods.map((goods) => goods.sku);
  const box = (name, value, text, checked) => h("label.tick", {}, h("input", { type: "checkbox", name, value, checked }), text);
  const show = field("m.k.show", {
    name: "show",
    options: [["", t("m.k.noShow")], ...shows.items.filter((one) => one.ended).map((one) => [one.show, when(one.started)])],
  });
  show.lastChild.value = now.show;
  put(
    place,
    show,
    clips.items.length > 0 && h("div.whole-row", {}, h("b", {}, t("m.k.clips")), clips.items.map((clip) => box("clip", clip.clip, clip.title, now.clips.includes(clip.clip)))),
    products.length > 0 && h("div.whole-row", {}, h("b", {}, t("c.goods")), products.map((one) => box("sku", one.sku, one.title, skus.includes(one.sku)))),
  );
}
