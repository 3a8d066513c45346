/** What customers are told: broadcasts and the journal, automations, pop-ups; the accounts they go out by. */

import { conditionForm } from "./condition_form.js";
import { $, h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { knows, t, when } from "./i18n.js";
import { inWords } from "./merchant_crm.js";

const MESSAGES_SHOWN = 20;
const DAY_MS = 86400000;
const CHANNELS = ["wecom", "sms", "subscribe"];
const cell = (label, ...content) => h("td", { "data-label": label && t(label) }, content);
const word = (name) => (knows(`m.o.${name}`) ? t(`m.o.${name}`) : name);
const counted = (counts) => Object.entries(counts).map(([name, n]) => h("span.chip", {}, `${word(name)} ${n}`));

function table(heads, rows) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name && t(name))))),
    h("tbody", {}, rows),
  );
}

/** Draw what there is. */
export async function drawOutreach(api) {
  const [broadcasts, messages, automations, popups] = await Promise.all([
    api.get("/broadcasts"),
    api.get(`/messages?limit=${MESSAGES_SHOWN}`),
    api.get("/automations"),
    api.get("/popups"),
  ]);
  const again = () => drawOutreach(api);
  const turn = (path, one) =>
    doer(t(one.active ? "m.o.stop" : "m.o.start"), async () => {
      await api.request("PATCH", path, { active: !one.active });
      await again();
    });
  put(
    $("automations"),
    automations.length > 0 &&
      table(
        ["b.col.name", "m.c.condition", "m.o.gives", "m.o.runs", ""],
        automations.map((one) =>
          h(
            "tr",
            { "data-testid": "automation-row" },
            cell("b.col.name", one.name),
            cell("m.c.condition", h("span.faint", {}, inWords(one.condition))),
            cell("m.o.gives", one.action.reason || one.action.tag || word(one.action.channel)),
            cell("m.o.runs", counted(one.counts)),
            h("td.cell-toggle", {}, turn(`/automations/${one.automation}`, one)),
          ),
        ),
      ),
  );
  put(
    $("popups"),
    popups.length > 0 &&
      table(
        ["m.o.popup", "m.o.until", "m.o.shown", "m.o.clicks", ""],
        popups.map((one) =>
          h(
            "tr",
            { "data-testid": "popup-row" },
            cell("m.o.popup", one.title),
            cell("m.o.until", when(one.until_ms)),
            cell("m.o.shown", `${one.shown} / ${one.people}`),
            cell("m.o.clicks", String(one.clicks)),
            h("td.cell-toggle", {}, turn(`/popups/${one.popup}`, one)),
          ),
        ),
      ),
  );
  put(
    $("broadcasts"),
    broadcasts.length > 0 &&
      table(
        ["m.col.time", "b.col.name", "m.o.channel", "m.o.became"],
        broadcasts.map((one) =>
          h(
            "tr",
            { "data-testid": "broadcast-row" },
            cell("m.col.time", when(one.created)),
            cell("b.col.name", one.name),
            cell("m.o.channel", word(one.channel)),
            cell("m.o.became", counted(one.counts)),
          ),
        ),
      ),
  );
  put(
    $("messages"),
    messages.items.map((one) =>
      h(
        "li",
        { "data-testid": "message-row" },
        h("span", {}, `${when(one.created)} · ${word(one.channel)} · …${one.person.slice(-6)}`),
        h("span.chip", { title: one.why }, one.state === "dropped" ? word(one.why) : word(one.outcome || one.state)),
      ),
    ),
  );
}

/** Draw the codes by which customers add staff at WeCom, and the form that makes one. */
export async function drawContacts(api) {
  const ways = await api.get("/contact-ways");
  put(
    $("contact-ways"),
    ways.map((one) =>
      h(
        "li",
        { "data-testid": "contact-way" },
        h("span", {}, `${one.name} · ${one.users.join("、")}`),
        h("a", { href: one.qr_code, target: "_blank", rel: "noopener" }, t("m.o.code")),
      ),
    ),
  );
}

export function fillContacts(api, form) {
  put(
    form,
    field("b.col.name", { name: "name", required: true, maxlength: 30 }),
    field("m.o.users", { name: "users", required: true, placeholder: "zhangsan, lisi" }),
    h("button.primary", { type: "submit", "data-t": "m.o.make" }, t("m.o.make")),
  );
  onSend(form, async () => {
    const users = form.elements.users.value.split(/[,，、\s]+/).filter(Boolean);
    await api.post("/contact-ways", { name: form.elements.name.value.trim(), users });
    await drawContacts(api);
  });
}

const MADE = { automation: makeAutomation, popup: makePopup, broadcast: makeBroadcast };

/** The form that makes an automation, a pop-up or a broadcast. */
export function fillOutreach(api, form) {
  const rows = h("div.whole-row", { "data-testid": "outreach-condition" });
  const condition = conditionForm(rows);
  const what = field("m.o.what", {
    name: "what",
    "data-testid": "outreach-what",
    options: Object.keys(MADE).map((one) => [one, t(`m.o.${one}`)]),
  });
  const more = h("div.form-grid.whole-row");
  const fill = () => put(more, MORE[form.elements.what.value]());
  put(
    form,
    what,
    field("b.col.name", { name: "name", required: true, maxlength: 60, "data-testid": "outreach-name" }),
    h("b.whole-row", {}, t("m.o.whom")),
    rows,
    more,
    h("button.primary", { type: "submit", "data-testid": "outreach-make", "data-t": "m.o.make" }, t("m.o.make")),
  );
  form.elements.what.addEventListener("change", fill);
  fill();
  onSend(form, async () => {
    await MADE[form.elements.what.value](api, form, condition.read());
    toast(t("m.c.kept"), "good");
    await drawOutreach(api);
  });
}

const text = (label, name, props = {}) => field(label, { name, maxlength: 200, "data-testid": `outreach-${name}`, ...props });
const MORE = {
  automation: () => [
    countField("m.o.delay", "delay", { min: "0", value: "30" }),
    yuanField("m.o.amount", "amount", { value: "5" }),
    countField("m.o.total", "total", { value: "100" }),
    text("m.o.reason", "reason", { required: true, maxlength: 60, value: t("m.o.reasonValue") }),
  ],
  popup: () => [
    text("m.o.text", "text", { required: true, maxlength: 300 }),
    text("m.o.url", "url", { type: "url", placeholder: "https://" }),
    countField("m.o.perDay", "per_day", { value: "1", max: "100" }),
    countField("m.o.all", "total", { value: "3", max: "100" }),
    countField("m.o.days", "lasts", { value: "7", max: "365" }),
  ],
  broadcast: () => [
    field("m.o.channel", { name: "channel", options: CHANNELS.map((one) => [one, word(one)]) }),
    text("m.o.template", "template", { maxlength: 64 }),
    text("m.o.text", "text", { required: true }),
  ],
};

async function makeAutomation(api, form, condition) {
  const rooms = await api.get("/rooms");
  const [{ room }] = rooms.items || rooms.rooms || rooms;
  const { name, reason } = form.elements;
  const action = {
    kind: "coupon",
    room,
    title: name.value.trim(),
    reason: reason.value.trim(),
    amount: fen(form, "amount"),
    total: whole(form, "total"),
  };
  const delay = whole(form, "delay") * 60;
  await api.post("/automations", { name: name.value.trim(), condition, action, delay_s: delay });
}

async function makePopup(api, form, condition) {
  const { name, text: said, url } = form.elements;
  await api.post("/popups", {
    title: name.value.trim(),
    text: said.value.trim(),
    url: url.value.trim(),
    condition,
    per_day: whole(form, "per_day"),
    total: Math.max(whole(form, "total"), whole(form, "per_day")),
    until_ms: Date.now() + whole(form, "lasts") * DAY_MS,
  });
}

async function makeBroadcast(api, form, condition) {
  const { name, channel, template, text: said } = form.elements;
  const value = said.value.trim();
  const id = template.value.trim();
  const body = { wecom: { text: value }, sms: { template: id, params: { text: value } } }[channel.value];
  const granted = { template: id, data: { thing1: value } };
  await api.post("/broadcasts", {
    name: name.value.trim(),
    condition,
    channel: channel.value,
    body: body || granted,
  });
}
