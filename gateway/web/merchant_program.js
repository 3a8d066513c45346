/** The shop's terms of membership as a form: read once, and written as a whole. */

import { h, put, toast } from "./dom.js";
import { countField, fen, field, onSend, whole, yuanField } from "./forms.js";
import { t } from "./i18n.js";

const COUNTS = [
  ["yuan_points", 0, 1000],
  ["points_percent", 0, 100],
  ["window_days", 0, 366],
  ["valid_days", 1, 3660],
  ["member_day_percent", 100, 1000],
  ["gift_points", 0, 1000000],
];

/**
 * @param {import("./api.js").Api} api
 * @param {HTMLFormElement} form
 * @returns {{load: () => Promise<void>}} `load` fills the form the first time
 */
export function programForm(api, form) {
  let filled = false;

  async function load() {
    if (filled) return;
    const terms = await api.get("/program");
    fill(form, terms);
    filled = true;
  }

  onSend(form, async () => {
    await api.request("PUT", "/program", read(form));
    toast(t("m.p.saved"), "good");
  });
  return { load };
}

function fill(form, terms) {
  const days = [["", t("m.p.none")]];
  for (let day = 0; day < 7; day += 1) days.push([String(day), t(`m.p.day${day}`)]);
  const yuan = (name) => yuanField(`m.p.${name}`, name, { value: String(terms[name] / 100), min: "0", required: true });
  put(
    form,
    COUNTS.map(([name, min, max]) =>
      countField(`m.p.${name}`, name, {
        value: String(terms[name]),
        min: String(min),
        max: String(max),
        required: true,
        "data-testid": `program-${name}`,
      }),
    ),
    field("m.p.member_weekday", { name: "member_weekday", options: days }),
    yuan("gift_amount"),
    yuan("stored_most"),
    field("m.p.sign_in", {
      name: "sign_in",
      value: terms.sign_in.join(", "),
      pattern: "[0-9, ，]*",
      placeholder: "5, 10, 20",
      "data-testid": "program-sign_in",
    }),
    field("m.p.tiers", {
      name: "tiers",
      wide: true,
      value: terms.tiers.map((tier) => `${tier.name} ${tier.spent / 100} ${tier.points_percent}`).join("; "),
      placeholder: t("m.p.tiersHint"),
      "data-t-hint": "m.p.tiersHint",
      "data-testid": "program-tiers",
    }),
    h(
      "div.form-foot",
      {},
      h(
        "button.primary",
        { type: "submit", "data-testid": "program-save", "data-t": "m.p.save" },
        t("m.p.save"),
      ),
    ),
  );
  form.elements.member_weekday.value = terms.member_weekday === null ? "" : String(terms.member_weekday);
}

function read(form) {
  const terms = Object.fromEntries(COUNTS.map(([name]) => [name, whole(form, name)]));
  const day = form.elements.member_weekday.value;
  return {
    ...terms,
    member_weekday: day === "" ? null : Number(day),
    gift_amount: fen(form, "gift_amount"),
    stored_most: fen(form, "stored_most"),
    sign_in: (form.elements.sign_in.value.match(/[0-9]+/g) || []).map(Number),
    tiers: form.elements.tiers.value
      .split(/[;；]/)
      .map((text) => text.trim())
      .filter(Boolean)
      .map(tier),
  };
}

function tier(text) {
  const [, name, spent, percent] = /^(.+?)\s+([0-9]+(?:\.[0-9]{1,2})?)\s+([0-9]+)$/.exec(text) || [];
  if (!name) throw new Error(t("m.p.badTiers"));
  return { name, spent: Math.round(Number(spent) * 100), points_percent: Number(percent) };
}
