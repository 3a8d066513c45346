/** Stores: where they are, their tills' keys, sellers' codes, and what was sold there. */

import { $, h, put, sheet } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { addStrings, money, t } from "./i18n.js";
import { drawFreight } from "./merchant_freight.js";
import { openOutlet } from "./merchant_outlet.js";
import { drawTakings } from "./merchant_takings.js";

addStrings({
  "m.stores": ["门店与收银", "Stores and tills"],
  "m.noStores": ["还没有门店", "No stores yet"],
  "m.store.name": ["店名", "Name"],
  "m.store.address": ["地址", "Address"],
  "m.store.lat": ["纬度", "Latitude"],
  "m.store.lng": ["经度", "Longitude"],
  "m.store.offers": ["交付方式", "Hands over by"],
  "m.store.add": ["添加门店", "Add a store"],
  "m.store.close": ["关店", "Close"],
  "m.store.key": ["收银机密钥（只显示一次）", "The till's key (shown once)"],
  "m.seller": ["导购", "Seller"],
  "m.seller.code": ["导购码", "Code"],
  "m.seller.issuer": ["客户或账号 ID", "Id of the person or account"],
  "m.seller.add": ["发放导购码", "Give a code"],
  "m.seller.end": ["停用", "End"],
  "m.sold.receipts": ["小票", "Receipts"],
  "m.sold.members": ["会员", "Members"],
  "m.sold.refunded": ["退款", "Refunded"],
  "m.sold.none": ["（未报导购码）", "(no code)"],
});

const cell = (label, ...content) => h("td", { "data-label": label && t(label) }, content);
const table = (heads, rows) =>
  h(
    "table",
    {},
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name && t(name))))),
    h("tbody", {}, rows),
  );

/** Draw the stores that this account runs: a part of the shop has some of them. @returns {Promise<any[]>} these */
export async function drawOutlets(api, whole = true) {
  const outlets = (await api.get("/outlets")).filter((one) => one.mine);
  const again = () => drawOutlets(api, whole);
  put($("outlets"), outlets.length ? outletTable(api, outlets, again, whole) : h("p.empty", {}, t("m.noStores")));
  if (!whole) {
    for (const form of $("stores-panel").querySelectorAll("details")) form.hidden = true;
  }
  return outlets;
}

/** Draw the panel. */
export async function drawStores(api) {
  const outlets = await drawOutlets(api);
  const [sellers, sums] = await Promise.all([api.get("/pos/sellers"), api.get("/pos/sums")]);
  const again = () => drawStores(api);
  put($("sellers"), sellers.filter((one) => !one.closed).map((one) => sellerChip(api, one, again)));
  put($("pos-sums"), sums.length ? sumTable(sums) : null);
  await drawTakings(api);
  await drawFreight(api, outlets);
}

function outletTable(api, outlets, again, whole) {
  return table(
    ["m.store.name", "m.store.address", "m.store.offers", ""],
    outlets.map((one) =>
      h(
        "tr",
        { "data-testid": "outlet-row", data: { outlet: one.outlet } },
        cell("m.store.name", one.name),
        cell("m.store.address", one.address),
        cell("m.store.offers", one.offers.map((way) => t(`o.${way}`)).join(" · ") || "—"),
        h(
          "td.cell-toggle",
          {},
          doer(t("o.steer"), () => openOutlet(api, one, outlets, again), { "data-testid": "outlet-open" }),
          whole && doer(t("m.store.close"), async () => {
            await api.delete(`/outlets/${encodeURIComponent(one.outlet)}`);
            await again();
          }),
        ),
      ),
    ),
  );
}

function sellerChip(api, one, again) {
  const end = async () => {
    await api.delete(`/pos/sellers/${encodeURIComponent(one.code)}`);
    await again();
  };
  return h("span.chip", { "data-testid": "seller" }, `${one.code} · ${one.name} `, doer(t("m.seller.end"), end));
}

function sumTable(sums) {
  return table(
    ["m.store.name", "m.seller", "m.sold.receipts", "m.sold.members", "m.col.amount", "m.sold.refunded"],
    sums.map((row) =>
      h(
        "tr",
        { "data-testid": "pos-sum" },
        cell("m.store.name", row.name),
        cell("m.seller", row.seller_name || t("m.sold.none")),
        cell("m.sold.receipts", String(row.receipts)),
        cell("m.sold.members", String(row.members)),
        cell("m.col.amount", h("strong.num", {}, money(row.amount))),
        cell("m.sold.refunded", money(row.refunded)),
      ),
    ),
  );
}

/** The forms of stores and sellers. */
export function fillStores(api) {
  const store = $("outlet-form");
  put(
    store,
    field("m.store.name", { name: "name", maxlength: 60, required: true }),
    field("m.store.address", { name: "address", maxlength: 300, required: true }),
    field("m.store.lat", { name: "lat", type: "number", min: "-90", max: "90", step: "any", required: true }),
    field("m.store.lng", { name: "lng", type: "number", min: "-180", max: "180", step: "any", required: true }),
    h("button.primary", { type: "submit", "data-t": "m.store.add" }, t("m.store.add")),
  );
  onSend(store, async () => {
    const { name, address, lat, lng } = store.elements;
    const made = await api.post("/outlets", {
      name: name.value.trim(),
      address: address.value.trim(),
      lat: Number(lat.value),
      lng: Number(lng.value),
    });
    store.reset();
    const window = sheet({ title: made.name, testid: "till-key", closeLabel: t("common.close") });
    put(window.body, h("p", {}, t("m.store.key")), h("p", {}, h("strong.mono", {}, made.key)));
    await drawStores(api);
  });
  const seller = $("seller-form");
  put(
    seller,
    field("m.seller.code", { name: "code", maxlength: 16, required: true, pattern: "[0-9A-Za-z]+" }),
    field("m.col.name", { name: "name", maxlength: 60, required: true }),
    field("m.seller.issuer", { name: "issuer", maxlength: 64, required: true }),
    h("button.primary", { type: "submit", "data-t": "m.seller.add" }, t("m.seller.add")),
  );
  onSend(seller, async () => {
    const { code, name, issuer } = seller.elements;
    await api.post("/pos/sellers", {
      code: code.value.trim(),
      name: name.value.trim(),
      issuer: issuer.value.trim(),
    });
    seller.reset();
    await drawStores(api);
  });
}
