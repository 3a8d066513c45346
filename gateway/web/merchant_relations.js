/** A customer's relationship and why, their own advisor, notes of visits; and who could speak for the shop. */

import { $, h, put, toast } from "./dom.js";
import { doer, field, onSend } from "./forms.js";
import { explain, knows, t, when } from "./i18n.js";
import { cell, table } from "./tables.js";

const part = (name) => (knows(`m.q.part.${name}`) ? t(`m.q.part.${name}`) : name);
const because = (parts) => parts.map((one) => `${part(one.name)} ${one.n} → ${one.points}`).join("，");
/** What is not for this account is not there for it. */
const closed = (error) => {
  if (error.status !== 403) throw error;
  return null;
};

/**
 * The part of a person's sheet on how close they are, whose they are for advice, and what visits showed.
 * @param {import("./api.js").Api} api
 * @param {string} path of the person
 */
export function relations(api, path) {
  const place = h("div", { "data-testid": "relations" });
  const load = async () => {
    const [relation, notes, own, advisors] = await Promise.all([
      api.get(`${path}/relation`).catch(closed),
      api.get(`${path}/notes`).catch(closed),
      api.get(`${path}/advisor`).catch(closed),
      api.get("/advisors").catch(closed),
    ]);
    put(place, relation && strength(relation), advisors && ownAdvisor(api, path, own, advisors.advisors), notes && visits(api, path, notes, load));
  };
  load().catch((error) => toast(explain(error), "error"));
  return place;
}

function strength({ level, total, contact, parts, formula }) {
  if (!level) return h("p.faint", {}, t("m.v.unsorted"));
  const lines = formula.map((one) => t("m.q.formulaPart", { name: part(one.name), points: one.points, per_day: one.per_day, most: one.most }));
  const why = [because(parts), contact && t("m.v.contact")].filter(Boolean).join("，") || t("m.v.nothing");
  return h(
    "div",
    {},
    h("p", {}, h("b", {}, t("m.v.relation")), " ", h("span.chip", { "data-testid": "relation", data: { level } }, `${t(`m.v.${level}`)} · ${total}`), " ", h("span.faint", {}, why)),
    h("details", {}, h("summary.faint", {}, t("m.v.how")), h("ul.plain", {}, lines.map((line) => h("li", {}, line)), h("li", {}, t("m.v.levels")))),
  );
}

function ownAdvisor(api, path, own, advisors) {
  if (!advisors.length) return null;
  const choice = field("m.v.advisor", { name: "advisor", options: [["", t("m.v.guides")], ...advisors.map((one) => [one.staff, one.name])] });
  choice.lastChild.value = advisors.some((one) => one.staff === own?.staff) ? own.staff : "";
  choice.lastChild.addEventListener("change", async (event) => {
    try {
      await api.request("PUT", `${path}/advisor`, { staff: event.target.value || null });
      toast(t("m.v.kept"), "good");
    } catch (error) {
      toast(explain(error), "error");
    }
  });
  return choice;
}

function visits(api, path, notes, again) {
  const body = h("textarea", { name: "body", rows: 2, required: true, maxlength: 1000, "aria-label": t("m.v.note"), placeholder: t("m.v.hint"), "data-testid": "note-body" });
  const form = h("form.ask-form", {}, body, field("m.v.place", { name: "place", maxlength: 60 }), h("button.small", { type: "submit", "data-testid": "note-save" }, t("m.v.write")));
  onSend(form, async () => {
    await api.post(`${path}/notes`, { body: body.value.trim(), place: form.elements.place.value.trim() });
    await again();
  });
  const drop = (note) =>
    doer(t("m.v.drop"), async () => {
      await api.request("DELETE", `${path}/notes/${encodeURIComponent(note.note)}`);
      await again();
    });
  return h(
    "div",
    {},
    h("b", {}, t("m.v.notes")),
    h(
      "ul.plain",
      {},
      notes.map((note) =>
        h("li", { "data-testid": "note" }, h("span", {}, note.body), h("span.faint", {}, [when(note.visited), note.place, note.by].filter(Boolean).join(" · ")), note.mine && drop(note)),
      ),
    ),
    form,
  );
}

/** Draw those who could speak for the shop; nothing for accounts that have a part of it. */
export async function drawCandidates(api) {
  const found = await api.get("/candidates").catch(closed);
  put(
    $("candidates"),
    found?.length
      ? [
          h("h3", {}, t("m.v.candidates")),
          h("p.faint", {}, t("m.v.candidatesHint")),
          table(
            ["m.col.name", "m.v.score", "m.v.why"],
            found.map((one) =>
              h(
                "tr",
                { "data-testid": "candidate-row" },
                cell("m.col.name", one.name || `…${one.person.slice(-6)}`),
                cell("m.v.score", h("strong.num", {}, String(one.score))),
                cell("m.v.why", h("span.faint", {}, because(one.parts))),
              ),
            ),
          ),
        ]
      : null,
  );
}
