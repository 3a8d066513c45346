/** What is mine: membership at a glance, signing in by phone, my code for the till, and the way to everything else. */

import { TEMPLATES } from "../../config.js";
import { mayWrite } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { money } from "../../shared/speak.js";
import { ME } from "../texts.js";

/** Where each line leads. */
const PAGES = {
  orders: "/shop/orders/orders",
  custom: "/shop/custom/custom",
  wallet: "/my/wallet/wallet",
  membership: "/shop/membership/membership",
  events: "/shop/events/events",
  teams: "/shop/team/team",
  draws: "/shop/draw/draw",
  advice: "/my/advice/advice",
  feedback: "/my/feedback/feedback",
  privacy: "/my/privacy/privacy",
};

shopPage(ME, {
  data: { code: null },

  onShow() {
    if (this.data.ready) this.again();
  },

  async load() {
    const { api } = this.visit;
    const [member, coupons] = await Promise.all([api.get("/member"), api.get("/coupons")]);
    const more = Math.max(0, (member.next_spent || 0) - member.spent);
    return {
      phone: this.visit.phone,
      tier: member.tier_name || this.t("member"),
      next: member.next_tier ? this.t("next", { tier: member.next_tier, amount: money(more) }) : "",
      points: member.points,
      stored: money(member.principal + member.bonus),
      coupons: coupons.filter((/** @type {any} */ one) => (one.state || "unused") === "unused").length,
      signIn: member.sign_in && !member.signed_today,
      streak: member.signed_today ? this.t("signed", { n: member.streak }) : "",
      lines: Object.keys(PAGES).map((page) => ({ page, text: this.t(page) })),
      reminds: Boolean(TEMPLATES.show),
    };
  },

  async onSignIn() {
    await this.act(() => this.visit.api.post("/member/sign-in"), "signedNow");
  },

  /**
   * The button's answer: a code for the number if the person agreed, after WeChat's own question about privacy.
   * @param {{detail: {code?: string, errMsg: string}}} event
   */
  async onPhone({ detail }) {
    const { code } = detail;
    if (!code) return;
    await this.act(() => this.visit.signIn(code), "loggedIn");
  },

  async onCode() {
    await this.act(async () => {
      this.setData({ code: this.data.code ? null : await this.visit.api.get("/me/member-code") });
    });
  },

  /** @param {{currentTarget: {dataset: {page: keyof typeof PAGES}}}} event */
  onLine({ currentTarget }) {
    this.go(PAGES[currentTarget.dataset.page]);
  },

  async onRemind() {
    try {
      if (await mayWrite(this.visit.api, [TEMPLATES.show])) wx.showToast({ title: this.t("reminded"), icon: "none" });
    } catch (error) {
      this.complain(error);
    }
  },
});
