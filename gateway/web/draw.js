/** The page that recomputes a draw in the visitor's own browser: docs/draws.md has the rule. */

import { Api } from "./api.js";
import { $, h, put } from "./dom.js";
import { addStrings, explain, lang, money, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { MOMENTS } from "./moments_strings.js";

addStrings(MOMENTS);
addStrings({ "common.loading": ["加载中…", "Loading…"] });

const DRAW = decodeURIComponent(location.pathname.split("/")[2] || "");
const CUT_BYTES = 8;
let shown = null;

const ascii = (text) => new TextEncoder().encode(text);
const bytes = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => Number.parseInt(pair, 16));
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const sha256 = (data) => crypto.subtle.digest("SHA-256", data);

/**
 * Recompute a drawn draw.
 * @returns {Promise<{seed: boolean, same: boolean}>} whether the seed is the promised one, and the winners the same
 */
export async function recompute({ draw, tickets }) {
  const seed = bytes(draw.seed);
  const root = await sha256(ascii(tickets.map((entry) => `${entry.ticket}\n`).join("")));
  const together = new Uint8Array([...seed, ...new Uint8Array(root)]);
  const key = await crypto.subtle.importKey("raw", await sha256(together), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const sign = async (text) => hex(await crypto.subtle.sign("HMAC", key, ascii(text)));
  // A void ticket is in the root, and cannot win.
  const good = tickets.filter((entry) => !entry.void);
  const scored = await Promise.all(good.map(async (entry) => [await sign(entry.ticket), entry]));
  scored.sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = draw.pool ? await shares(draw, sign) : [];
  const won = tickets.filter((entry) => entry.place !== null).length;
  const right = ([, entry], place) => entry.place === place && entry.amount === (parts[place] ?? 0);
  const same = won === draw.won && scored.slice(0, won).every(right);
  return { seed: hex(await sha256(seed)) === draw.commitment, same };
}

async function shares({ pool, winners, least }, sign) {
  const rest = BigInt(pool - winners * least);
  const cuts = [];
  for (let i = 1; i < winners; i += 1) {
    const drawn = BigInt(`0x${(await sign(`cut:${i}`)).slice(0, CUT_BYTES * 2)}`);
    cuts.push(Number(drawn % (rest + 1n)));
  }
  const all = [0, ...cuts.sort((a, b) => a - b), Number(rest)];
  return all.slice(1).map((after, i) => least + after - all[i]);
}

async function read() {
  put($("proof"), t("common.loading"));
  try {
    const proof = await new Api().get(`/draws/${encodeURIComponent(DRAW)}`);
    const able = Boolean(globalThis.crypto?.subtle);
    const verdict = proof.draw.seed && able ? await recompute(proof) : null;
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

function ticketLine(entry) {
  const won = entry.place !== null;
  const worth = entry.amount ? ` ${money(entry.amount)}` : "";
  const place = won && ` · ${t("proof.place", { n: entry.place + 1 })}${worth}`;
  const second = entry.void && ` · ${t("proof.void")}`;
  return h("li", { data: { won: String(won) } }, h("code", {}, entry.ticket), place, second);
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
