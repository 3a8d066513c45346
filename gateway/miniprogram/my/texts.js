/** What the pages of what is one's own say: Chinese, English. `title` is the page's own. */

/** @typedef {import("../shared/speak.js").Texts} Texts */

/** @type {Texts} */
export const ME = {
  title: ["我的", "Mine"],
  member: ["会员", "Member"],
  next: ["再消费 {amount} 升级{tier}", "{amount} more to {tier}"],
  points: ["积分", "Points"],
  stored: ["储值", "Stored value"],
  coupons: ["优惠券", "Coupons"],
  signIn: ["签到", "Sign in"],
  signed: ["已签 {n} 天", "{n} days in a row"],
  signedNow: ["签到成功", "Signed in"],
  login: ["手机号登录", "Sign in by phone"],
  loginHint: ["登录后，换手机也能找到订单、券和积分", "Then your orders, coupons and points follow you to another phone"],
  loggedIn: ["已登录", "Signed in"],
  conflict: ["这个号码属于另一位顾客，请联系商家", "This number is another customer's: ask the shop"],
  code: ["会员码", "My code"],
  codeHint: ["收银时出示，几分钟内有效", "Show it at the till; it is good for some minutes"],
  orders: ["我的订单", "My orders"],
  membership: ["付费会员", "Paid membership"],
  events: ["活动报名", "Events"],
  teams: ["拼团", "Group buys"],
  draws: ["抽奖与验证", "Draws"],
  wallet: ["券、积分与储值", "Coupons, points, stored value"],
  advice: ["问顾问", "Ask an advisor"],
  feedback: ["投诉、举报与表扬", "Complain, report, praise"],
  privacy: ["我的个人信息", "My personal data"],
  remind: ["开播提醒我", "Tell me when a show starts"],
  reminded: ["开播时会通知你一次", "You will be told once"],
};

/** @type {Texts} */
export const WALLET = {
  title: ["券、积分与储值", "Coupons, points, stored value"],
  points: ["积分", "Points"],
  pending: ["待到账 {n}", "{n} pending"],
  expiring: ["{n} 分 {time} 到期", "{n} expire {time}"],
  stored: ["储值余额", "Stored value"],
  bonus: ["含赠送 {amount}", "{amount} of it a bonus"],
  coupons: ["优惠券", "Coupons"],
  noCoupons: ["还没有优惠券，留意直播间掉券", "No coupons yet, watch for a drop"],
  until: ["有效期至 {time}", "valid until {time}"],
  unused: ["可使用", "Ready"],
  locked: ["下单中", "In an order"],
  used: ["已使用", "Used"],
  expired: ["已过期", "Expired"],
  refunded: ["已退款", "Refunded"],
  percent: ["{n} 折", "{off}% off"],
  mall: ["积分商城", "Points mall"],
  exchange: ["兑换", "Take it"],
  costs: ["{points} 积分 + {cash}", "{points} points + {cash}"],
  passes: ["卡券与门票", "Passes and tickets"],
  times: ["{from} 至 {until}", "{from} to {until}"],
  active: ["剩 {left}/{uses} 次", "{left} of {uses} left"],
  entries: ["明细", "What came and went"],
  noEntries: ["还没有明细", "Nothing yet"],
};

/** @type {Texts} */
export const ADVICE = {
  title: ["问顾问", "Ask an advisor"],
  body: ["想问什么？", "What would you like to know?"],
  skill: ["关于", "About"],
  any: ["不限", "anything"],
  send: ["提问", "Ask"],
  sent: ["已转给顾问，回答会显示在这里", "An advisor has it; the answer will stand here"],
  mine: ["我的提问", "My questions"],
  waiting: ["等待顾问上线", "waiting for an advisor"],
  given: ["{name} 正在看", "{name} is looking at it"],
  answered: ["已回答", "answered"],
  accepted: ["已采纳", "taken"],
  accept: ["有帮助", "This helped"],
  open: ["有帮助，也给别人看", "It helped; others may read it"],
};

/** @type {Texts} */
export const FEEDBACK = {
  title: ["投诉、举报与表扬", "Complain, report, praise"],
  complaint: ["投诉", "complaint"],
  report: ["举报内容", "report content"],
  praise: ["表扬", "praise"],
  about: ["关于订单 {order}", "About order {order}"],
  refundText: ["我想申请退款：", "I ask for a refund: "],
  text: ["发生了什么？", "What happened?"],
  contact: ["联系方式（选填）", "How to reach you (optional)"],
  send: ["提交", "Send"],
  sent: ["已收到，我们会在期限内回复", "Received: you will get an answer in time"],
  mine: ["我提交的", "What I sent"],
  open: ["{time} 前回复", "answered by {time}"],
  answered: ["已回复", "answered"],
  licence: ["店铺信息", "The shop"],
  noLicence: ["店铺还没有公示证照", "The shop shows no licence"],
  number: ["统一社会信用代码", "Number"],
};

/** @type {Texts} */
export const PRIVACY = {
  title: ["我的个人信息", "My personal data"],
  hint: ["随时可以同意或撤回，撤回和同意一样方便", "Agree or take it back at any time: one is as easy as the other"],
  "purpose.member": ["会员服务", "Membership"],
  "purpose.marketing": ["接收营销消息", "Being written to"],
  "purpose.profile": ["根据我的行为推荐", "Being recommended things by what I do"],
  contract: ["隐私保护指引", "The privacy guideline"],
  copy: ["复制我的全部信息", "Copy all of my data"],
  copied: ["已复制", "Copied"],
  erase: ["删除我的信息", "Forget me"],
  sure: [
    "姓名、手机号、地址和登录方式会被删除；订单按法律保留，但不再有你的姓名。确定？",
    "Your name, phone, addresses and ways to sign in go; orders stay, as the law wants, without your name. Sure?",
  ],
  erased: ["已删除", "Forgotten"],
  log: ["谁查看过", "Who looked"],
  noLog: ["没有记录", "Nobody"],
  "action.phone": ["查看完整手机号", "saw the whole number"],
  "action.open": ["打开客户页面", "opened your page"],
  "action.export": ["导出", "exported"],
  "action.forget": ["删除部分信息", "forgot a part"],
  "action.guardian": ["查看监护人", "saw the guardian"],
};
