/** What the law wants a buyer told: the shop's licence, a product's returns and bases, and where to complain. */

import { h, picture, put, sheet, toast } from "./dom.js";
import { field, onSend } from "./forms.js";
import { explain, money, t } from "./i18n.js";

const said = (label, value) => value && h("p", {}, h("span.faint", {}, `${t(label)} `), value);

/** The shop behind a room: licence, permits, and a form for complaints. */
export async function openShop(api, room) {
  const window = sheet({ title: t("notice.shop"), testid: "shop-sheet", closeLabel: t("common.close") });
  put(window.body, h("p.empty", {}, t("common.loading")));
  try {
    const { licence } = await api.get(`/rooms/${encodeURIComponent(room)}/licence`);
    put(window.body, licenceCard(licence), complaintForm(api, room));
  } catch (error) {
    put(window.body, h("p.empty", {}, explain(error)));
  }
}

function licenceCard(licence) {
  if (!licence) return h("p.empty", { "data-testid": "no-licence" }, t("notice.noLicence"));
  return h(
    "section",
    { "data-testid": "licence" },
    h("h3", {}, t("notice.licence")),
    h("p", {}, h("strong", {}, licence.company)),
    said("notice.number", h("span.mono", {}, licence.number)),
    said("notice.address", licence.address),
    licence.permits.map((one) => h("p", {}, h("span.faint", {}, `${one.name} `), h("span.mono", {}, one.number))),
    licence.image && picture(licence.image, licence.company),
  );
}

function complaintForm(api, room) {
  const form = h("form.form-grid", { "data-testid": "complaint-form" });
  put(
    form,
    h("h3.wide-field", {}, t("notice.complain")),
    field("notice.kind", {
      name: "kind",
      options: ["complaint", "report", "praise"].map((kind) => [kind, t(`notice.${kind}`)]),
    }),
    field("notice.contact", { name: "contact", maxlength: 60 }),
    field("notice.text", { name: "text", required: true, maxlength: 2000, wide: true, "data-testid": "complaint-text" }),
    h("div.form-foot", {}, h("button.buy", { type: "submit", "data-testid": "complaint-send" }, t("notice.send"))),
  );
  onSend(form, async () => {
    const { kind, text, contact } = form.elements;
    await api.post("/complaints", { kind: kind.value, text: text.value.trim(), contact: contact.value.trim(), room });
    form.reset();
    toast(t("notice.sent"), "good");
  });
  return form;
}

/** The terms of a product: whether it can go back, what a struck-through price stands on, more pictures. */
export async function openTerms(api, card) {
  const window = sheet({ title: card.title, testid: "terms-sheet", closeLabel: t("common.close") });
  try {
    const notice = await api.get(`/products/${encodeURIComponent(card.product)}/notice`);
    put(
      window.body,
      h(
        "p",
        { "data-testid": "returns", data: { returns: notice.returns } },
        t(`notice.returns.${notice.returns}`, { days: notice.return_days }),
      ),
      notice.skus
        .filter((sku) => sku.list_basis)
        .map((sku) => h("p", { "data-testid": "basis" }, [sku.name, h("s", {}, money(sku.list_price)), ` ${sku.list_basis}`])),
      notice.media.map((address) => picture(address, card.title)),
    );
  } catch (error) {
    put(window.body, h("p.empty", {}, explain(error)));
  }
}
