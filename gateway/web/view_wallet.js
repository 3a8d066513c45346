/** My membership: tier, points, stored value, and the day's sign-in. */

import { h, toast } from "./dom.js";
import { doer } from "./forms.js";
import { money, t, when } from "./i18n.js";

/** Coupons that come by themselves on coming in (进店送券); the hub tells of each, so nothing is said here. */
export function welcome(api, room) {
  api
    .post(`/rooms/${encodeURIComponent(room)}/entry-coupons`)
    .catch((error) => console.info("entry coupons:", error.message));
}

/**
 * The card of a member; null in a shop without any of it.
 * @param {import("./api.js").Api} api
 * @param {any} member the answer of GET /member
 * @param {() => Promise<void>} again read anew
 */
export function walletCard(api, member, again) {
  const worth = member.principal + member.bonus;
  if (!member.sign_in && !member.tier_name && !member.points && !member.points_pending && !worth) return null;
  const figure = (label, value, hint, testid) =>
    h("div.wallet-figure", {}, h("span.faint", {}, label), h("strong.num", { "data-testid": testid }, value), hint);
  const pending = member.points_pending > 0 && h("small.faint", {}, t("wallet.pending", { n: member.points_pending }));
  const expiring =
    member.points_expire &&
    h("small.faint", {}, t("wallet.expiring", { n: member.points_expiring, time: when(member.points_expire) }));
  const next =
    member.next_tier &&
    t("wallet.next", { tier: member.next_tier, amount: money(Math.max(0, member.next_spent - member.spent)) });
  return h(
    "section.wallet",
    { "data-testid": "wallet" },
    h(
      "div.wallet-head",
      {},
      h("strong", {}, member.tier_name || t("wallet.member")),
      next ? h("span.faint", {}, next) : null,
      member.sign_in ? signIn(api, member, again) : null,
    ),
    h(
      "div.wallet-figures",
      {},
      figure(t("wallet.points"), String(member.points), [pending, expiring], "points"),
      figure(
        t("wallet.stored"),
        money(worth),
        member.bonus ? h("small.faint", {}, t("wallet.bonus", { amount: money(member.bonus) })) : null,
        "stored",
      ),
    ),
  );
}

function signIn(api, member, again) {
  if (member.signed_today) return h("span.chip", { "data-testid": "signed" }, t("wallet.signed", { n: member.streak }));
  const act = async () => {
    const answer = await api.post("/member/sign-in");
    toast(t("wallet.signedNow", { n: answer.points, streak: answer.streak }), "good");
    await again();
  };
  return doer(t("wallet.signIn"), act, { className: "buy", "data-testid": "sign-in" });
}
