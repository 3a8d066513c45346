/** What I earn by bringing people: balances, line by line why, and taking money out. */

import { h, put, toast } from "./dom.js";
import { doer, fen, onSend, yuanField } from "./forms.js";
import { addStrings, knows, money, t, when } from "./i18n.js";

addStrings({
  "earn.open": ["我的推广收入", "What I earn by sharing"],
  "earn.apply": ["申请成为分销员", "Apply as a distributor"],
  "earn.applied": ["已申请，等待店铺审核", "Applied: the shop will decide"],
  "earn.none": ["你还不是分销员", "You are not a distributor yet"],
  "earn.pending": ["待付款", "Pending"],
  "earn.frozen": ["冻结中", "Frozen"],
  "earn.available": ["可提现", "Available"],
  "earn.leaving": ["提现中", "On its way"],
  "earn.amount": ["提现金额（元）", "Take out (yuan)"],
  "earn.withdraw": ["提现", "Take out"],
  "earn.asked": ["已提交，等待审核", "Asked for: the shop will look at it"],
  "earn.withdrawals": ["提现记录", "Taken out"],
  "earn.tax": ["含代扣税 {tax}", "of which tax {tax}"],
  "earn.confirm": ["请在微信小程序里确认收款", "Take it in the WeChat mini-program"],
  "earn.lines": ["佣金明细", "Earned"],
  "earn.noLines": ["还没有佣金", "Nothing earned yet"],
  "earn.state.requested": ["待审核", "to be looked at"],
  "earn.state.approved": ["已同意", "approved"],
  "earn.state.transferring": ["转账中", "being transferred"],
  "earn.state.paid": ["已到账", "paid"],
  "earn.state.rejected": ["已驳回，已退回", "rejected, given back"],
  "earn.state.failed": ["转账失败，已退回", "failed, given back"],
  "earn.state.pending": ["待付款", "pending"],
  "earn.state.frozen": ["冻结", "frozen"],
  "earn.state.available": ["可提现", "available"],
  "earn.state.void": ["作废", "void"],
});

const state = (name) => (knows(`earn.state.${name}`) ? t(`earn.state.${name}`) : name);

/**
 * A button that shows the part below it.
 * @param {import("./api.js").Api} api
 */
export function earnings(api) {
  const place = h("div", { "data-testid": "earnings" });
  const load = async () => {
    const me = await api.get("/me/distributor");
    if (me.state === "none") put(place, applying(api));
    else if (me.state === "applied") put(place, h("p", {}, t("earn.applied")));
    else put(place, drawn(api, await api.get("/me/commission"), load));
  };
  return h("section", {}, doer(t("earn.open"), load, { className: "quiet", "data-testid": "earn-open" }), place);
}

function applying(api) {
  const name = h("input", { name: "name", required: true, maxlength: 60, "data-testid": "earn-name" });
  const form = h(
    "form.link-form",
    {},
    h("p.faint", {}, t("earn.none")),
    name,
    h("button.primary", { type: "submit", "data-testid": "earn-apply" }, t("earn.apply")),
  );
  onSend(form, async () => {
    await api.post("/me/distributor", { name: name.value.trim() });
    put(form, h("p", { "data-testid": "earn-applied" }, t("earn.applied")));
  });
  return form;
}

function drawn(api, found, again) {
  const figure = (name) =>
    h("div.wallet-figure", {}, h("span.faint", {}, t(`earn.${name}`)), h("strong.num", { "data-testid": `earn-${name}` }, money(found[name])));
  // One key for one intention: a repeated press, or an answer that was lost, asks for the money once.
  const key = crypto.randomUUID?.() || String(Math.random()).slice(2);
  const form = h(
    "form.link-form",
    { "data-testid": "withdraw-form" },
    yuanField("earn.amount", "amount", { required: true, value: Math.max(0, found.available / 100).toFixed(2) }),
    h("button.primary", { type: "submit" }, t("earn.withdraw")),
  );
  onSend(form, async () => {
    await api.post("/me/withdrawals", { amount: fen(form, "amount") }, key);
    toast(t("earn.asked"), "good");
    await again();
  });
  return [
    h("div.wallet-figures", {}, ["pending", "frozen", "available", "leaving"].map(figure)),
    found.available > 0 ? form : null,
    found.withdrawals.length ? h("h4", {}, t("earn.withdrawals")) : null,
    found.withdrawals.map(withdrawal),
    h("h4", {}, t("earn.lines")),
    found.items.length ? found.items.map(line) : h("p.empty", {}, t("earn.noLines")),
  ].flat();
}

function withdrawal(row) {
  return h(
    "article.mine-order",
    { "data-testid": "my-withdrawal", data: { state: row.state } },
    h(
      "div",
      {},
      h("strong", {}, state(row.state)),
      h("span.faint", {}, [when(row.created), row.number, row.reason].filter(Boolean).join(" · ")),
      row.tax ? h("span.faint", {}, t("earn.tax", { tax: money(row.tax) })) : null,
      row.confirm ? h("span", {}, t("earn.confirm")) : null,
    ),
    h("strong.num", {}, money(row.amount)),
  );
}

function line(row) {
  return h(
    "article.mine-order",
    { "data-testid": "my-earning", data: { state: row.state } },
    h(
      "div",
      {},
      h("strong", {}, row.title),
      h("span.faint", {}, `${when(row.created)} · ${row.rate_bp / 100}% × ${money(row.base)} · ${state(row.state)}`),
    ),
    h(
      "strong.num",
      {},
      money(row.amount - row.reversed),
      row.reversed ? h("small.faint", {}, ` ${money(row.amount)} − ${money(row.reversed)}`) : null,
    ),
  );
}
