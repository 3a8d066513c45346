/**
 * Chinese and English: by the browser's language, changed by a toggle, remembered.
 *
 * Each page gives its own strings as {key: [zh, en]}; `{name}` in a string is a variable.
 */

const STORED = "siyu.language";
const listeners = new Set();
const strings = {};
let language = stored() || ((navigator.language || "zh").toLowerCase().startsWith("zh") ? "zh" : "en");

function stored() {
  try {
    const value = localStorage.getItem(STORED);
    return value === "zh" || value === "en" ? value : null;
  } catch {
    // Storage is forbidden in some embedded browsers; the language then lasts for the page.
    return null;
  }
}

/** @param {Record<string, [string, string]>} more */
export function addStrings(more) {
  Object.assign(strings, more);
}

/** @returns {"zh"|"en"} */
export function lang() {
  return language;
}

/**
 * The text for a key in the language of the page.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 */
export function t(key, values = {}) {
  const pair = strings[key];
  const text = pair ? pair[language === "zh" ? 0 : 1] : key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** @param {string} key @returns {boolean} */
export function knows(key) {
  return key in strings;
}

/** @param {() => void} listener called after the language changed */
export function onLanguage(listener) {
  listeners.add(listener);
}

/** Change to the other language. */
export function toggleLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // As in `stored`: it then lasts for the page.
  }
  translatePage();
  for (const listener of listeners) listener();
}

/** As `toggleLanguage`, for pages with forms that are made once: where the language is remembered, the page begins anew. */
export function restartInLanguage() {
  toggleLanguage();
  if (stored() === language) location.reload();
}

/** Fill elements that name their text: data-t (text), data-t-label (aria-label, title), data-t-hint (placeholder). */
export function translatePage(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    element.title = t(element.dataset.tLabel);
  }
  for (const element of root.querySelectorAll("[data-t-hint]")) element.placeholder = t(element.dataset.tHint);
}

/**
 * Money from 分, such as "¥9.90"; whole yuan without decimals.
 * @param {number} fen
 */
export function money(fen) {
  const negative = fen < 0;
  const yuan = Math.abs(fen) / 100;
  const text = yuan.toLocaleString("en-US", { minimumFractionDigits: fen % 100 ? 2 : 0, maximumFractionDigits: 2 });
  return `${negative ? "−" : ""}¥${text}`;
}

/**
 * A count in few characters: 1.2万 in Chinese, 12.3k in English.
 * @param {number} count
 */
export function short(count) {
  if (language === "zh") return count >= 10000 ? `${trimmed(count / 10000)}万` : String(count);
  if (count >= 1e6) return `${trimmed(count / 1e6)}m`;
  return count >= 10000 ? `${trimmed(count / 1000)}k` : String(count);
}

function trimmed(number) {
  return number.toFixed(1).replace(/\.0$/, "");
}

/**
 * Time left as "02:31" (or "1:02:31").
 * @param {number} milliseconds
 */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/**
 * Date and time of day in the shop's zone.
 * @param {number} ms Unix milliseconds
 */
export function when(ms) {
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(locale, {
    timeZone: "Asia/Shanghai",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  }).format(ms);
}

/**
 * A sentence for an error of the hub or the API, by its code; the server's own text for a code that is not known.
 * @param {{code?: string, message?: string, retryMs?: number, extra?: any}} error
 */
export function explain(error) {
  const key = `err.${error.code}`;
  const seconds = Math.max(1, Math.ceil((error.retryMs || 0) / 1000));
  if (knows(key)) return t(key, { seconds, price: error.extra?.price ? money(error.extra.price) : "" });
  return error.message || t("err.unknown");
}

addStrings({
  "common.close": ["关闭", "Close"],
  "common.copy": ["复制", "Copy"],
  "common.copied": ["已复制", "Copied"],
  "common.loading": ["加载中…", "Loading…"],
  "err.sold_out": ["已抢光，有人未付款时会再放出", "Sold out. Units return when others do not pay in time"],
  "err.followers_only": ["关注店铺后可以发言", "Follow the shop to write here"],
  "err.members_only": ["仅老客可以发言", "Only customers may write now"],
  "err.staff_only": ["现在只有主播和助理可以发言", "Only the host and staff may write now"],
  "err.limit": ["已达到每人限购或限领数量", "You have reached the limit per person"],
  "err.not_open": ["还没开始，请稍候", "Not open yet, one moment"],
  "err.paused": ["活动暂停中，请稍候", "Paused by the host, one moment"],
  "err.closed": ["活动已结束", "This has ended"],
  "err.price_changed": ["价格已更新{price}，请确认后再试", "The price has changed {price}; please check and try again"],
  "err.gone": ["来晚一步，已经领完了", "Just missed: all of them are gone"],
  "err.already": ["你已经领过了", "You already have it"],
  "err.coupon_invalid": ["这张优惠券不能用于本单", "This coupon cannot be used for this order"],
  "err.not_for_you": ["这张券只给新客或会员", "This coupon is for new customers or members"],
  "err.insufficient": ["余额或积分不足", "Not enough points or stored value"],
  "err.expired": ["已超时，库存已释放", "Time is up and the unit was released"],
  "err.amount_mismatch": ["金额不一致，请重新下单", "The amount does not match; please order again"],
  "err.key_reused": ["请求重复，请刷新后再试", "Repeated request; please reload and try again"],
  "err.busy": ["人太多了，请 {seconds} 秒后再试", "Very busy: please try again in {seconds} s"],
  "err.rate": ["操作太快了，歇一下", "Too fast, take a breath"],
  "err.muted": ["你已被主播禁言", "The host has muted you"],
  "err.refused": ["消息含有不允许的内容", "The message holds something that is not allowed"],
  "err.invalid": ["填写有误，请检查", "Something is not filled in correctly"],
  "err.not_found": ["没有找到", "Not found"],
  "err.forbidden": ["没有权限", "Not allowed"],
  "err.timeout": ["网络较慢，没有收到回应", "The network is slow: no answer came"],
  "err.network": ["网络不通，请检查后再试", "No network, please check and try again"],
  "err.disconnected": ["连接断开，正在重连", "Connection lost, reconnecting"],
  "err.hub_closed": ["连接已断开，请刷新页面", "Disconnected, please reload"],
  "err.draining": ["服务器正在重启，请稍候", "The server restarts, one moment"],
  "err.declined": ["支付被拒绝，请换一种方式", "The payment was declined"],
  "err.internal": ["服务器出了点问题，请再试一次", "Something broke on our side, please try again"],
  "err.no_room": ["这个直播间不存在或已关闭", "This room does not exist or was closed"],
  "err.token": ["登录已失效，请重新进入", "Your session has ended, please come in again"],
  "err.token_expired": ["登录已过期，请重新进入", "Your session has expired, please come in again"],
  "err.token_revoked": ["观看权限已被收回，请重新进入", "This token was revoked, please come in again"],
  "err.bad_login": ["账号或密码不对", "Wrong login or password"],
  "err.too_long": ["内容太长了", "Too long"],
  "err.unknown": ["出了点问题，请再试一次", "Something went wrong, please try again"],
});
