/** A partner's own page: what was agreed with the shop, the codes to show, the month's statement. */

import { Api } from "./api.js";
import { $, h, put } from "./dom.js";
import { addStrings, explain, lang, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { PEOPLE } from "./merchant_strings_people.js";
import { balances, contractWords, drawCodes, drawOffers, drawStatement } from "./partner_view.js";
import { newKey } from "./siyu.js";

addStrings(PEOPLE);
addStrings({
  "pp.noKey": ["请打开商家给你的链接", "Open the link that the shop gave you"],
  "pp.with": ["与 {shop} 的合作", "Partner of {shop}"],
  "pp.agreed": ["约定", "What was agreed"],
  "pp.nothing": ["没有生效的合同", "No contract stands"],
  "err.bad_login": ["这个链接已失效，请向商家要新的", "This link is void: ask the shop for a new one"],
  "err.insufficient": ["没有这么多可结算", "There is not that much to settle"],
  "err.already": ["上一笔结算还没有完成", "A settlement is under way"],
});

const STORED = "siyu.partner";
const api = new Api();

/** The key never reaches a log: it stands behind # and is taken out of the address at once. */
function keyFromAddress() {
  const key = decodeURIComponent(location.hash.slice(1));
  if (key) {
    remember("session", STORED, { key });
    history.replaceState(null, "", location.pathname);
  }
  return recall("session", STORED, null)?.key || null;
}

async function draw() {
  const row = await api.get("/partner");
  const standing = row.contracts.find((one) => one.state === "agreed");
  const [codes, offers, statement] = [h("section", {}), h("section", {}), h("section", {})];
  $("shop").textContent = row.shop;
  document.title = `${row.name} · ${row.shop}`;
  put(
    $("partner"),
    h("p.faint", {}, t("pp.with", row)),
    h("h1", { "data-testid": "partner-name" }, row.name),
    balances(row),
    h("h3", {}, t("pp.agreed")),
    h("p", { "data-testid": "partner-terms" }, standing ? contractWords(standing) : t("pp.nothing")),
    codes,
    offers,
    h("h3", {}, t("pt.statement")),
    statement,
  );
  const settle = async (amount) => {
    await api.post("/partner/settlements", { amount }, newKey());
    await draw();
  };
  await Promise.all([drawCodes(api, codes, "/partner"), drawOffers(api, offers, "/partner"), drawStatement(api, statement, "/partner", { settle })]);
}

async function open() {
  $("language").textContent = lang() === "zh" ? "EN" : "中";
  const key = keyFromAddress();
  if (!key) {
    put($("partner"), h("p.empty", { "data-testid": "partner-closed" }, t("pp.noKey")));
    return;
  }
  try {
    if (!api.token) api.token = (await api.post("/auth/partner", { key })).token;
    await draw();
  } catch (error) {
    put($("partner"), h("p.empty", { "data-testid": "partner-closed" }, explain(error)));
  }
}

$("language").addEventListener("click", toggleLanguage);
onLanguage(open);
translatePage();
open();
