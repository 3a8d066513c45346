/** The page that recomputes a draw in the visitor's own browser: docs/draws.md has the rule. */

import { Api } from "./api.js";
import { $, h, put } from "./dom.js";
import { recompute } from "./draw_proof.js";
import { addStrings, explain, lang, money, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { MOMENTS } from "./moments_strings.js";

addStrings(MOMENTS);

const DRAW = decodeURIComponent(location.pathname.split("/")[2] || "");
/** The number of one's own ticket, when the room's page led here. */
const MINE = Number.parseInt(location.hash.slice(1), 10) || 0;
let shown = null;

const bytes = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => Number.parseInt(pair, 16));
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Hashes by the browser's own cryptography, which a page has only by https. */
const HASHES = {
  sha256: async (text) => hex(await crypto.subtle.digest("SHA-256", bytes(text))),
  hmac: async (key, text) => {
    const made = await crypto.subtle.importKey("raw", bytes(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return hex(await crypto.subtle.sign("HMAC", made, new TextEncoder().encode(text)));
  },
};

async function read() {
  put($("proof"), t("common.loading"));
  try {
    const proof = await new Api().get(`/draws/${encodeURIComponent(DRAW)}`);
    const able = Boolean(globalThis.crypto?.subtle);
    const verdict = proof.draw.seed && able ? await recompute(proof, HASHES) : null;
    shown = { ...proof, verdict };
    draw();
  } catch (error) {
    put($("proof"), explain(error));
  }
}

function verdictLine(good, text, testid) {
  return h("p.verdict", { data: { good: String(good) }, "data-testid": testid }, t(text));
}

function draw() {
  if (!shown) return;
  const { draw: view, tickets, verdict } = shown;
  const drawn = view.seed !== null;
  put(
    $("proof"),
    h("h2", {}, view.title),
    h("p", {}, `${t(`draw.${view.kind}`)} · ${t(`draw.${view.state}`)} · ${t("draw.figures", view)}`),
    !drawn && h("p", {}, t("proof.waiting")),
    drawn && tickets[MINE - 1] && mineLine(tickets[MINE - 1]),
    verdict && verdictLine(verdict.seed, verdict.seed ? "proof.seedOk" : "proof.seedBad", "proof-seed"),
    verdict && verdictLine(verdict.same, verdict.same ? "proof.same" : "proof.other", "proof-same"),
    drawn && !verdict && verdictLine(false, "proof.unable", "proof-unable"),
    h(
      "dl",
      {},
      h("dt", {}, t("proof.commitment")),
      h("dd", {}, h("code", {}, view.commitment)),
      drawn && [h("dt", {}, t("proof.seed")), h("dd", {}, h("code", {}, view.seed))],
      drawn && h("dt", {}, t("proof.entries")),
    ),
    drawn && h("ol.tickets", {}, tickets.map(ticketLine)),
  );
}

function mineLine({ place, amount }) {
  const values = { n: MINE, place: (place ?? 0) + 1, worth: amount ? ` ${money(amount)}` : "" };
  return h("p.verdict", { "data-testid": "proof-mine" }, h("strong", {}, t(place === null ? "proof.lost" : "proof.won", values)));
}

function ticketLine(entry, at) {
  const won = entry.place !== null;
  const worth = entry.amount ? ` ${money(entry.amount)}` : "";
  const place = won && ` · ${t("proof.place", { n: entry.place + 1 })}${worth}`;
  const second = entry.void && ` · ${t("proof.void")}`;
  return h("li", { data: { won: String(won) }, "aria-current": at + 1 === MINE }, h("code", {}, entry.ticket), place, second);
}

function texts() {
  translatePage();
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  draw();
}

$("language").addEventListener("click", toggleLanguage);
onLanguage(texts);
texts();
read();
