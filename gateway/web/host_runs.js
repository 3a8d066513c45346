/** The host's flash sales and coupon drops: forms to start them, rows that show them run. */

import { h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { momentBody, momentFields, saleDetail, wireMomentFields } from "./host_moments.js";
import { clock, explain, money, onLanguage, t } from "./i18n.js";

/** Ended sales and drops that stay listed. */
const ENDED_SHOWN = 3;
/** Whom a coupon is for, and how it comes: by a tap, or by itself for a month. */
const AUDIENCES = ["all", "new", "tier:1", "tier:2", "tier:3"];
const WAYS = ["drop", "entry", "sign_in", "gift"];
const GIVING_DAYS = 30;

/**
 * @param {{api: import("./api.js").Api, base: string, store: any, now: () => number, saleForm: HTMLFormElement,
 *   dropForm: HTMLFormElement, sales: HTMLElement, drops: HTMLElement}} desk `base`: "/rooms/ROOM"
 */
export function runs(desk) {
  // A lucky bag's prizes are a sale, too; it has its row among the draws.
  const shown = () => new Map([...desk.store.sales].filter(([, sale]) => sale.mode !== "bag"));
  const drawSales = () => draw(desk.sales, shown(), (sale) => saleRow(desk, sale), "host.noSales");
  const drawDrops = () => draw(desk.drops, desk.store.drops, (drop) => dropRow(desk, drop), "host.noDrops");
  fillSaleForm(desk);
  fillDropForm(desk);
  desk.store.on("sales", drawSales);
  desk.store.on("teams", drawSales);
  desk.store.on("drops", drawDrops);
  desk.store.on("shelf", () => fillProducts(desk));
  onLanguage(() => {
    drawSales();
    drawDrops();
  });
  setInterval(() => tick([...desk.sales.children, ...desk.drops.children], desk.now()), 500);
}

function draw(place, entries, row, none) {
  const all = [...entries.values()].reverse();
  const running = all.filter((entry) => !["closed", "gone"].includes(entry.state));
  const ended = all.filter((entry) => ["closed", "gone"].includes(entry.state)).slice(0, ENDED_SHOWN);
  put(place, running.length + ended.length ? [...running, ...ended].map(row) : h("p.faint", {}, t(none)));
}

function tick(elements, now) {
  for (const element of elements) {
    const time = element.querySelector(".time");
    const until = Number(element.dataset.until);
    if (time) time.textContent = until > now ? clock(until - now) : "";
  }
}

function bar(share) {
  const line = h("span.stock-bar", { "aria-hidden": "true" }, h("i"));
  line.style.setProperty("--share", String(Math.max(0, Math.min(1, share || 0))));
  return line;
}

function saleRow(desk, sale) {
  const turn = (verb) => async () => {
    const view = await desk.api.post(
      `${desk.base}/sales/${encodeURIComponent(sale.sale)}/${verb}`,
      verb === "start" ? { countdown_s: 10 } : {},
    );
    desk.store.apply({ t: "sale", sale: view });
  };
  const buttons =
    {
      scheduled: [["start", "host.startNow"]],
      countdown: [
        ["pause", "host.pause"],
        ["close", "host.close"],
      ],
      entering: [
        ["pause", "host.pause"],
        ["close", "host.close"],
      ],
      closed: sale.opens ? [["reopen", "host.reopen"]] : [],
      open: [
        ["pause", "host.pause"],
        ["close", "host.close"],
      ],
      sold_out: [["close", "host.close"]],
      paused: [
        ["resume", "host.resume"],
        ["close", "host.close"],
      ],
    }[sale.state] || [];
  const taken = sale.total - sale.left;
  return h(
    "article.run",
    {
      "data-testid": "sale-run",
      data: { sale: sale.sale, state: sale.state, until: until(sale) },
    },
    h(
      "div.run-head",
      {},
      h("strong", {}, sale.title),
      h("span.price", {}, money(sale.price)),
      h("span.chip", { data: { state: sale.state } }, t(`sale.${sale.state}`)),
      h("span.time"),
    ),
    h(
      "div.run-bar",
      {},
      bar(taken / sale.total),
      h("span.faint", {}, t("host.soldOf", { n: taken, total: sale.total })),
    ),
    saleDetail(desk.store, sale),
    buttons.length > 0 &&
      h(
        "div.run-buttons",
        {},
        buttons.map(([verb, text]) => doer(t(text), turn(verb), { "data-testid": `sale-${verb}-${sale.sale}` })),
      ),
  );
}

/** What the row's clock counts down to. */
function until(sale) {
  const next = { scheduled: sale.opens, countdown: sale.opens, entering: sale.draws };
  return (sale.state in next ? next[sale.state] : sale.closes) || 0;
}

function dropRow(desk, drop) {
  const close = async () => {
    const view = await desk.api.post(`${desk.base}/drops/${encodeURIComponent(drop.drop)}/close`);
    desk.store.apply({ t: "drop", drop: view });
  };
  const given = drop.total - drop.left;
  return h(
    "article.run",
    {
      "data-testid": "drop-run",
      data: { drop: drop.drop, state: drop.state, until: drop.state === "open" ? drop.ends : 0 },
    },
    h(
      "div.run-head",
      {},
      h("strong", {}, `${drop.reason} · ${drop.title}`),
      h("span.price", {}, money(drop.amount)),
      h("span.chip", { data: { state: drop.state } }, t(`drop.${drop.state}`)),
      h("span.time"),
    ),
    h(
      "div.run-bar",
      {},
      bar(given / drop.total),
      h("span.faint", {}, t("host.issued", { n: given, total: drop.total })),
    ),
    drop.state === "open" &&
      h("div.run-buttons", {}, doer(t("host.close"), close, { "data-testid": `drop-close-${drop.drop}` })),
  );
}

function fillSaleForm(desk) {
  const form = desk.saleForm;
  put(
    form,
    field("host.product", { name: "sku", options: [], required: true, wide: true, "data-testid": "sale-sku" }),
    yuanField("host.salePrice", "price", { required: true, value: "9.90", "data-testid": "sale-price" }),
    countField("host.total", "total", { required: true, value: "20", "data-testid": "sale-total" }),
    countField("host.perPerson", "per_person", { required: true, value: "1", max: "1000" }),
    countField("host.countdown", "countdown_s", {
      required: true,
      value: "10",
      min: "0",
      max: "86400",
      "data-testid": "sale-countdown",
    }),
    countField("host.length", "length_s", { required: true, value: "300", max: "86400" }),
    countField("host.hold", "hold_s", { required: true, value: "300", max: "1800" }),
    momentFields(),
    h(
      "div.form-foot",
      {},
      h(
        "button.small",
        { type: "submit", value: "plan", "data-testid": "sale-plan", "data-t": "host.plan" },
        t("host.plan"),
      ),
      h(
        "button.primary",
        { type: "submit", value: "start", "data-testid": "sale-start", "data-t": "host.start" },
        t("host.start"),
      ),
    ),
  );
  wireMomentFields(form);
  onSend(form, async (button) => {
    const { opens, at, rule, ...moment } = momentBody(form);
    const offer = {
      sku: form.elements.sku.value,
      price: fen(form, "price"),
      total: whole(form, "total"),
      per_person: whole(form, "per_person"),
      hold_s: whole(form, "hold_s"),
      length_s: whole(form, "length_s"),
      ...moment,
    };
    if (opens === "each") {
      await desk.api.post(`${desk.base}/plans`, { ...offer, rule });
      desk.onPlanned();
      toast(t("host.saved"), "good");
      return;
    }
    const sale = await desk.api.post(`${desk.base}/sales`, offer);
    desk.store.apply({ t: "sale", sale });
    if (button === "plan") {
      toast(t("host.saved"), "good");
      return;
    }
    const started = await desk.api.post(`${desk.base}/sales/${encodeURIComponent(sale.sale)}/start`, {
      ...(opens === "at" ? { at } : { countdown_s: whole(form, "countdown_s") }),
    });
    desk.store.apply({ t: "sale", sale: started });
    toast(t("host.started"), "good");
  });
}

function fillProducts(desk) {
  const select = desk.saleForm.elements.sku;
  const chosen = select.value;
  put(
    select,
    desk.store.shelf.map((card) => h("option", { value: card.sku }, `${card.title} · ${money(card.price)}`)),
  );
  if (chosen) select.value = chosen;
}

const choices = (values) => values.map((value) => [value, t(`host.for.${value}`)]);

function fillDropForm(desk) {
  const form = desk.dropForm;
  put(
    form,
    field("host.reason", {
      name: "reason",
      required: true,
      maxlength: 60,
      value: t("host.reasonValue"),
      placeholder: t("host.reasonHint"),
      "data-testid": "drop-reason",
    }),
    field("host.dropTitle", { name: "title", required: true, maxlength: 60, value: t("host.dropTitleValue") }),
    yuanField("host.amount", "amount", { required: true, value: "5", "data-testid": "drop-amount" }),
    yuanField("host.threshold", "threshold", { required: true, value: "0", min: "0", "data-testid": "drop-threshold" }),
    countField("host.total", "total", { required: true, value: "100", "data-testid": "drop-total" }),
    countField("host.seconds", "seconds", { required: true, value: "60", max: "86400" }),
    countField("host.percent", "percent", { value: "0", min: "0", max: "90", "data-testid": "drop-percent" }),
    field("host.audience", { name: "audience", options: choices(AUDIENCES), "data-testid": "drop-audience" }),
    field("host.way", { name: "way", options: choices(WAYS), "data-testid": "drop-way" }),
    field("host.outlet", { name: "outlet", options: [["", t("host.outletAll")]], "data-testid": "drop-outlet" }),
    field("host.stack", { name: "stack", maxlength: 20, placeholder: t("host.stackHint"), "data-t-hint": "host.stackHint" }),
    h(
      "div.form-foot",
      {},
      h("button.primary", { type: "submit", "data-testid": "drop-start", "data-t": "host.drop" }, t("host.drop")),
    ),
  );
  // The shop's tags are asked for when somebody looks for them: not every host may read them.
  const audience = form.elements.audience;
  const offerTags = async () => {
    for (const { name } of await desk.api.get("/tags")) audience.append(h("option", { value: `tag:${name}` }, `# ${name}`));
  };
  const outlet = form.elements.outlet;
  const offerStores = async () => {
    for (const one of await desk.api.get("/outlets")) outlet.append(h("option", { value: one.outlet }, one.name));
  };
  // Stores are asked for before their list is opened: a browser shows it as it is at that moment.
  let asked = false;
  const offer = () => {
    if (asked) return;
    asked = true;
    offerStores().catch((error) => toast(explain(error), "error"));
  };
  for (const sign of ["pointerenter", "focusin"]) form.addEventListener(sign, offer);
  audience.addEventListener("focus", () => offerTags().catch((error) => toast(explain(error), "error")), { once: true });
  onSend(form, async () => {
    const way = form.elements.way.value;
    const terms = {
      title: form.elements.title.value.trim(),
      reason: form.elements.reason.value.trim(),
      amount: fen(form, "amount"),
      threshold: fen(form, "threshold"),
      total: whole(form, "total"),
      per_person: 1,
      percent: whole(form, "percent"),
      audience: form.elements.audience.value,
      stack: form.elements.stack.value.trim(),
      outlets: outlet.value ? [outlet.value] : [],
    };
    if (way === "drop") {
      const drop = await desk.api.post(`${desk.base}/drops`, { ...terms, seconds: whole(form, "seconds") });
      desk.store.apply({ t: "drop", drop });
    } else {
      await desk.api.post(`${desk.base}/givings`, { ...terms, way, days: GIVING_DAYS });
    }
    toast(t(way === "drop" ? "host.started" : "host.given"), "good");
  });
}
