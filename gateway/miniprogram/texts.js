/** What the page says, in Chinese and English by the phone's language. */

/** @type {Record<string, [string, string]>} */
const TEXTS = {
  live: ["直播中", "LIVE"],
  soon: ["主播马上就到", "The host will be here soon"],
  watching: ["{n} 人在看", "{n} watching"],
  say: ["说点什么…", "Say something…"],
  send: ["发送", "Send"],
  share: ["分享", "Share"],
  explaining: ["讲解中", "Explaining"],
  pinned: ["主播推荐", "Picked"],
  votes: ["{n} 票", "{n} votes"],
  "error.closed": ["投票已结束", "The poll is over"],
  buy: ["去购买", "Buy"],
  notice: ["公告", "Notice"],
  anyAmount: ["无门槛", "no minimum"],
  over: ["满 {amount} 可用", "from {amount}"],
  left: ["剩 {n}", "{n} left"],
  catch: ["领券", "Claim"],
  caught: ["已领取", "Claimed"],
  gone: ["已领完", "All gone"],
  got: ["领到 {amount} 优惠券", "A coupon of {amount} is yours"],
  countdown: ["距开抢", "Opens in"],
  open: ["距结束", "Ends in"],
  scheduled: ["即将开抢", "Coming up"],
  paused: ["暂停中", "Paused"],
  sold_out: ["抢光了，有人放弃就会放出", "Sold out; what is given up comes back"],
  closed: ["已结束", "Over"],
  held: ["已为你保留", "Held for you"],
  grab: ["马上抢", "Grab it"],
  wait: ["等待开抢", "Not yet"],
  pay: ["去付款", "Pay"],
  payNow: ["支付 {amount}（沙箱）", "Pay {amount} (sandbox)"],
  total: ["合计", "Total"],
  coupon: ["优惠券 −{amount}", "Coupon −{amount}"],
  paid: ["支付成功", "Paid"],
  order: ["订单号 {order}", "Order {order}"],
  done: ["完成", "Done"],
  released: ["保留时间已过，名额已放出", "Time is up: the unit went back"],
  changed: ["价格有变化，请确认后再付", "The price has changed: look again before you pay"],
  connecting: ["正在进入直播间…", "Coming in…"],
  waiting: ["网络不稳，正在重连…", "Reconnecting…"],
  again: ["再试一次", "Try again"],
  ended: ["已离开直播间", "You have left the room"],
  "error.banned": ["你已被移出直播间", "You were removed from this room"],
  "error.no_room": ["没有这个直播间", "This room does not exist"],
  "error.network": ["网络不通，请稍后再试", "No network: try again in a moment"],
  "error.timeout": ["没有等到回应，请再试一次", "No answer came: try again"],
  "error.sold_out": ["手慢了，已抢光", "Sold out"],
  "error.limit": ["已达到每人限购", "You have all you may have"],
  "error.not_open": ["还没开始", "Not open yet"],
  "error.muted": ["你已被禁言", "You are muted"],
  "error.slow_mode": ["说得太快了，稍等一下", "Slow mode: wait a moment"],
  "error.rate": ["太快了，稍等一下", "Too fast: wait a moment"],
  "error.followers_only": ["关注店铺后可以发言", "Follow the shop to write here"],
  follow: ["关注", "OK"],
  "error.members_only": ["仅会员可发言", "Members only"],
  "error.staff_only": ["主播已开启全员禁言", "Only staff may write now"],
};

/**
 * @param {"zh"|"en"} language
 * @returns {(key: string, values?: Record<string, string|number>) => string}
 */
export function speaker(language) {
  return (key, values = {}) => {
    const pair = TEXTS[key];
    const text = pair ? pair[language === "zh" ? 0 : 1] : key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
}

/**
 * Money from 分, such as "¥9.90"; whole yuan without decimals.
 * @param {number} fen
 * @returns {string}
 */
export function money(fen) {
  return `¥${(fen / 100).toFixed(fen % 100 ? 2 : 0)}`;
}

/**
 * Time left as "02:31".
 * @param {number} milliseconds
 * @returns {string}
 */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}
