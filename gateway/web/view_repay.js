/** Paying back what is owed on account: how much, for which order, by which provider; then its code or its page. */

import { rows } from "./api.js";
import { CREDIT } from "./credit_strings.js";
import { h, icon, put, sheet, toast } from "./dom.js";
import { field, onSend, yuanField, fen } from "./forms.js";
import { addStrings, explain, knows, money, t, when } from "./i18n.js";
import { wayOf, withMoney } from "./paying_ways.js";
import { newKey, OUTCOME_UNKNOWN } from "./siyu.js";

addStrings(CREDIT);

const FOLLOW_MS = 2000;
const yuan = (amount) => (amount / 100).toFixed(2);
const named = (provider) => (knows(`provider.${provider}`) ? t(`provider.${provider}`) : provider);

/** A phone goes to the provider's page, a desktop shows a code to scan. */
const methods = () => (matchMedia("(pointer: coarse)").matches ? ["wap", "native"] : ["native"]);

/**
 * Open the sheet.
 * @param {import("./api.js").Api} api
 * @param {{account: any, debts: any[]}} mine of GET /credit/mine
 * @param {() => Promise<void>} again read anew
 */
export async function openRepay(api, { account, debts }, again) {
  let offers = [];
  try {
    offers = withMoney(rows(await api.get("/payments"), "payments"));
  } catch (error) {
    toast(explain(error), "error");
  }
  let following = 0;
  let key = newKey();
  const window = sheet({ title: t("cr.repay"), testid: "repay-sheet", closeLabel: t("common.close"), onClose: () => clearInterval(following) });
  const open = debts.filter((one) => one.left > 0);

  function form() {
    const options = [["", t("cr.oldest")], ...open.map((one) => [one.order, `${money(one.left)} · ${t("cr.due", { day: when(one.due) })}`])];
    const element = h(
      "form.form-grid",
      { "data-testid": "repay-form" },
      yuanField("cr.amount", "amount", { required: true, value: yuan(account.overdue || account.owed), "data-testid": "repay-amount" }),
      open.length > 1 && field("cr.for", { name: "order", options, "data-testid": "repay-order" }),
      offers.length > 1 && field("order.provider", { name: "provider", options: offers.map(({ provider }) => [provider, named(provider)]) }),
      h("div.form-foot", {}, h("button.primary.wide", { type: "submit", "data-testid": "repay-send" }, t("cr.repay"))),
    );
    const order = element.elements.namedItem("order");
    order?.addEventListener("change", () => {
      const one = open.find((debt) => debt.order === order.value);
      element.elements.namedItem("amount").value = yuan(one ? one.left : account.owed);
    });
    onSend(element, () => pay(element));
    put(window.body, h("p", {}, t("cr.owed", { amount: money(account.owed) })), element);
  }

  async function pay(element) {
    const chosen = element.elements.namedItem("provider")?.value;
    const offer = offers.find(({ provider }) => provider === chosen) || offers[0];
    const body = { amount: fen(element, "amount"), order: element.elements.namedItem("order")?.value || null, ...wayOf(offer, methods()) };
    try {
      const answer = await api.post("/credit/mine/repayments", body, key);
      if (answer.payment) follow(answer);
      else done(answer.repayment);
    } catch (error) {
      // Without an answer the key must stay: the next tap asks what became of this one.
      if (!OUTCOME_UNKNOWN.has(error.code)) key = newKey();
      throw error;
    }
  }

  function follow({ repayment, payment: { fields, qr } }) {
    put(
      window.body,
      h("p.total", {}, h("span", {}, t("cr.repay")), h("strong", {}, money(repayment.amount))),
      qr
        ? h("img.pay-code", { src: qr, alt: t("order.scan"), "data-testid": "pay-code" })
        : h("a.button.primary.wide", { href: fields.url, "data-testid": "pay-page" }, t("order.goPay")),
      h("p.faint.center", {}, t(qr ? "order.scan" : "order.waiting")),
      h("button.wide", { type: "button", on: { click: () => (clearInterval(following), (key = newKey()), form()) } }, t("order.otherWay")),
    );
    clearInterval(following);
    following = setInterval(async () => {
      try {
        const mine = await api.get("/credit/mine");
        const now = mine.repayments.find((one) => one.repayment === repayment.repayment);
        if (!now || now.state === "open" || !window.dialog.open) return;
        clearInterval(following);
        if (now.state === "paid") done(now);
        else {
          toast(t("cr.state.ended"), "warn");
          key = newKey();
          form();
        }
      } catch (error) {
        // The next round asks again; only the log needs to know.
        console.info("repayment:", error.message);
      }
    }, FOLLOW_MS);
  }

  function done(repayment) {
    put(
      window.body,
      h(
        "div.receipt",
        { "data-testid": "repaid", data: { repayment: repayment.repayment }, role: "status" },
        h("span.seal", {}, icon("check")),
        h("strong", {}, t("cr.repaid", { amount: money(repayment.applied) })),
        repayment.back > 0 && h("span.faint", {}, t("cr.back", { amount: money(repayment.back) })),
      ),
      h("button.primary.wide", { type: "button", on: { click: () => window.close() } }, t("order.done")),
    );
    again();
  }

  form();
}
