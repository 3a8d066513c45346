/** An order's invoice: asked for with a title, and handed out. */

import { h, put, sheet, toast } from "./dom.js";
import { field, onSend } from "./forms.js";
import { explain, money, t } from "./i18n.js";

const DOCUMENT_TIMEOUT_MS = 15000;
const INVOICED = new Set(["paid", "fulfilled", "done", "partly_refunded", "refunded"]);

/** The button beside an order that can be invoiced. */
export function invoiceButton(api, order) {
  if (!INVOICED.has(order.status)) return null;
  const open = () => openInvoice(api, order.order);
  return h("button.quiet", { type: "button", "data-testid": "invoice-open", on: { click: open } }, t("me.invoice"));
}

async function openInvoice(api, order) {
  const window = sheet({ title: t("me.invoice"), testid: "invoice-sheet", closeLabel: t("common.close") });
  const path = `/orders/${encodeURIComponent(order)}/invoice`;
  const form = h("form.form-grid");
  const list = h("div");
  put(window.body, list, form);
  const draw = (invoices) => {
    put(list, invoices.map((one) => line(api, one)));
    form.hidden = invoices.length > 0;
  };
  put(
    form,
    field("me.invoiceTitle", { name: "title", required: true, maxlength: 100, wide: true, "data-testid": "invoice-title" }),
    field("me.taxNumber", { name: "tax", maxlength: 20, pattern: "[0-9A-Za-z]{15,20}", wide: true }),
    h("div.form-foot", {}, h("button.buy", { type: "submit", "data-testid": "invoice-ask" }, t("me.invoiceAsk"))),
  );
  onSend(form, async () => {
    const { title, tax } = form.elements;
    draw(await api.post(path, { title: title.value.trim(), tax_number: tax.value.trim() }));
  });
  try {
    draw(await api.get(path));
  } catch (error) {
    put(list, h("p.empty", {}, explain(error)));
  }
}

function line(api, one) {
  const download = async () => {
    try {
      const response = await fetch(`/api/v1/invoices/${encodeURIComponent(one.id)}/document`, {
        headers: { Authorization: `Bearer ${api.token}` },
        signal: AbortSignal.timeout(DOCUMENT_TIMEOUT_MS),
      });
      if (!response.ok) throw new Error((await response.json()).detail);
      const address = URL.createObjectURL(await response.blob());
      const anchor = h("a", { href: address, download: `invoice-${one.number}.xml` });
      anchor.click();
      URL.revokeObjectURL(address);
    } catch (error) {
      toast(explain(error), "error");
    }
  };
  const amount = money(one.kind === "red" ? -one.amount : one.amount);
  return h(
    "article.mine-order",
    { "data-testid": "invoice", data: { kind: one.kind, state: one.state } },
    h("div", {}, h("strong.mono", {}, one.number || t("me.invoiceWaits")), h("span.faint", {}, `${one.title} · ${amount}`)),
    one.state === "issued" && h("button.quiet", { type: "button", on: { click: download } }, t("me.invoiceGet")),
  );
}
