/** A condition on customers as rows of a form: each one part, all of which hold. */

import { h, put } from "./dom.js";
import { doer } from "./forms.js";
import { t } from "./i18n.js";

const ROWS_MAX = 8;
const FIGURES = ["at_least", "at_most", "days"];
/** What can be asked, and what its value is. */
const PARTS = {
  room_entry: { event: "room_entry" },
  card_click: { event: "card_click" },
  share_open: { event: "share_open" },
  content_read: { event: "content_read" },
  contact_added: { event: "contact_added" },
  any: { event: "any" },
  orders: { measure: "orders" },
  spent: { measure: "spent" },
  refunded: { measure: "refunded" },
  bought: { text: "bought" },
  tag: { text: "tag" },
  stage: { choices: ["passer", "fan", "customer", "loyal"] },
  tier: { number: "tier" },
  has: { choices: ["phone", "wechat", "wecom"] },
  consent: { choices: ["marketing", "member", "profile"] },
  follows: { flag: true },
};
const counts = (part) => Boolean(part.event || part.measure || part.text === "bought");

/**
 * @param {HTMLElement} place where the rows stand
 * @returns {{read: () => any}} `read` gives the condition; it throws when a row is empty
 */
export function conditionForm(place) {
  const rows = [];
  const list = h("div.condition-rows");
  const more = doer(t("m.c.more"), async () => rows.length < ROWS_MAX && grow(), { "data-testid": "condition-more" });
  put(place, list, more);
  grow();

  function grow() {
    const row = partRow(() => {
      if (rows.length < 2) return;
      rows.splice(rows.indexOf(row), 1);
      draw();
    });
    rows.push(row);
    draw();
  }

  function draw() {
    put(list, rows.map((row) => row.element));
  }

  return { read: () => (rows.length === 1 ? rows[0].read() : { all: rows.map((row) => row.read()) }) };
}

function partRow(remove) {
  const kind = h(
    "select",
    { "aria-label": t("m.c.part"), "data-testid": "condition-part" },
    Object.keys(PARTS).map((name) => h("option", { value: name }, t(`m.c.${name}`))),
  );
  const not = h("input", { type: "checkbox" });
  const value = h("span.condition-value");
  const element = h(
    "div.condition-row",
    {},
    h("label", {}, not, " ", t("m.c.not")),
    kind,
    value,
    h("button.small.quiet", { type: "button", "aria-label": t("m.c.remove"), on: { click: remove } }, "×"),
  );
  kind.addEventListener("change", fill);
  fill();

  function fill() {
    const part = PARTS[kind.value];
    put(
      value,
      part.choices &&
        h("select", { name: "value" }, part.choices.map((one) => h("option", { value: one }, t(`m.c.v.${one}`)))),
      part.text && h("input", { name: "value", maxlength: 64, placeholder: t(`m.c.${part.text}Hint`) }),
      part.number && numberField("value", 1),
      counts(part) && FIGURES.map((name) => h("label", {}, t(`m.c.${name}`), " ", numberField(name))),
    );
  }

  function read() {
    const part = PARTS[kind.value];
    const found = (name) => value.querySelector(`[name="${name}"]`)?.value.trim() || "";
    let made;
    if (part.event) made = { event: part.event };
    else if (part.measure) made = { measure: part.measure };
    else if (part.flag) made = { follows: true };
    else made = { [part.text || kind.value]: part.number ? Number(found("value")) : found("value") };
    if (counts(part)) {
      for (const name of FIGURES) {
        const scale = part.measure && name !== "days" && kind.value !== "orders" ? 100 : 1;
        if (found(name)) made[name] = Math.round(Number(found(name)) * scale);
      }
    }
    return not.checked ? { not: made } : made;
  }

  return { element, read };
}

const numberField = (name, value = "") =>
  h("input.short", { name, type: "number", min: "0", step: "1", value: String(value), "data-testid": `condition-${name}` });
