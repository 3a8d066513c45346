/** Customers sorted: stages of life, tags and their rules, segments with how many are in them. */

import { conditionForm } from "./condition_form.js";
import { $, h, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { knows, t } from "./i18n.js";

const STAGES = ["passer", "fan", "customer", "loyal"];
const cell = (label, ...content) => h("td", { "data-label": label && t(label) }, content);

/** Draw what there is. */
export async function drawCrm(api) {
  const [stages, tags, segments] = await Promise.all([api.get("/stages"), api.get("/tags"), api.get("/segments")]);
  const again = () => drawCrm(api);
  put(
    $("stages"),
    STAGES.map((stage) =>
      h("span.chip", { "data-testid": `stage-${stage}` }, `${t(`m.c.v.${stage}`)} `, h("b.num", {}, String(stages[stage] || 0))),
    ),
  );
  put($("tags"), tags.length ? tags.map((tag) => tagChip(api, tag, again)) : h("span.faint", {}, t("m.noTags")));
  put($("segments"), segments.map((one) => segmentRow(api, one, again)));
}

function tagChip(api, tag, again) {
  const drop = async () => {
    if (!confirm(t("m.dropTag", { name: tag.name }))) return;
    await api.request("DELETE", `/tags/${encodeURIComponent(tag.name)}`);
    await again();
  };
  return h(
    "span.chip",
    { "data-testid": "tag", title: tag.condition ? inWords(tag.condition) : "" },
    `${tag.name} `,
    h("b.num", {}, String(tag.people)),
    tag.kind !== "manual" && h("small.faint", {}, ` ${t(`m.tagKind.${tag.kind}`)}`),
    " ",
    doer("×", drop, { className: "link", "aria-label": t("m.c.remove") }),
  );
}

function segmentRow(api, one, again) {
  const count = h("b.num", { "data-testid": "segment-count" }, "…");
  const show = async () => {
    count.textContent = String((await api.post("/segments/preview", { condition: one.condition })).count);
  };
  show().catch((error) => (count.textContent = error.code || "?"));
  const drop = async () => {
    await api.request("DELETE", `/segments/${one.segment}`);
    await again();
  };
  return h(
    "tr",
    { "data-testid": "segment-row" },
    cell("b.col.name", one.name),
    cell("m.c.condition", h("span.faint", {}, inWords(one.condition))),
    cell("m.c.people", count),
    h("td.cell-toggle", {}, doer(t("m.c.remove"), drop)),
  );
}

/** A condition in words. */
export function inWords(condition) {
  const { all, any, not } = condition;
  if (all) return all.map(inWords).join(t("m.c.and"));
  if (any) return `(${any.map(inWords).join(t("m.c.or"))})`;
  if (not) return `${t("m.c.not")} ${inWords(not)}`;
  const kind = condition.event || condition.measure || Object.keys(condition)[0];
  const value = condition.event || condition.measure || condition.follows ? "" : String(Object.values(condition)[0]);
  const scale = kind === "spent" || kind === "refunded" ? 100 : 1;
  const parts = [
    t(`m.c.${kind}`),
    value && (knows(`m.c.v.${value}`) ? t(`m.c.v.${value}`) : value),
    condition.at_least !== undefined && `≥ ${condition.at_least / scale}`,
    condition.at_most !== undefined && `≤ ${condition.at_most / scale}`,
    condition.days && t("m.c.inDays", { n: condition.days }),
  ];
  return parts.filter(Boolean).join(" ");
}

/** The form that tries a condition, and keeps it as a segment or as a tag's rule. */
export function fillCrm(api, form) {
  const rows = h("div.whole-row", { "data-testid": "condition" });
  const found = h("p.whole-row", { role: "status", "data-testid": "preview" });
  const condition = conditionForm(rows);
  put(
    form,
    rows,
    field("b.col.name", { name: "name", maxlength: 60, "data-testid": "crm-name" }),
    field("m.c.keepAs", {
      name: "as",
      "data-testid": "crm-as",
      options: ["segment", "computed", "rule", "manual"].map((one) => [one, t(`m.keep.${one}`)]),
    }),
    h("button.small", { type: "submit", value: "try", "data-testid": "crm-try", "data-t": "m.c.try" }, t("m.c.try")),
    h("button.primary", { type: "submit", value: "", "data-testid": "crm-keep", "data-t": "m.c.keep" }, t("m.c.keep")),
    found,
  );
  onSend(form, async (button) => {
    const as = form.elements.as.value;
    if (button === "try") {
      const { count, people } = await api.post("/segments/preview", { condition: condition.read() });
      const names = people.map((one) => one.name || `…${one.person.slice(-6)}`).join("、");
      put(found, t("m.c.found", { n: count }), names && h("span.faint", {}, ` ${names}`));
      return;
    }
    const name = form.elements.name.value.trim();
    if (!name) throw new Error(t("m.c.nameIt"));
    if (as === "segment") await api.post("/segments", { name, condition: condition.read() });
    else {
      const body = { kind: as, condition: as === "manual" ? null : condition.read() };
      await api.request("PUT", `/tags/${encodeURIComponent(name)}`, body);
    }
    toast(t("m.c.kept"), "good");
    await drawCrm(api);
  });
}

/** A person's stage and tags, for the person's sheet; a tag is given or taken there. */
export async function personTags(api, person) {
  const path = `/people/${encodeURIComponent(person)}`;
  const place = h("div", { "data-testid": "person-tags" });
  const known = await api.get("/tags");
  const draw = (profile) => {
    const turn = (method, tag) => async () =>
      draw(await api.request(method, `${path}/tags/${encodeURIComponent(tag)}`));
    const had = new Set(profile.tags.map((one) => one.tag));
    const left = known.filter((tag) => tag.kind !== "computed" && !had.has(tag.name));
    put(
      place,
      h("p", {}, h("span.chip", {}, t(`m.c.v.${profile.stage}`)), profile.tags.map((one) =>
        h("span.chip", {}, one.tag, one.kind !== "computed" && doer("×", turn("DELETE", one.tag), { className: "link" })),
      )),
      left.length > 0 && h("p", {}, left.map((tag) => doer(`+ ${tag.name}`, turn("PUT", tag.name), { "data-testid": "give-tag" }))),
    );
  };
  draw(await api.get(`${path}/profile`));
  return place;
}
