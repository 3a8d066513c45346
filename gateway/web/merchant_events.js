/** Events, the merchant's side: a new one, who comes and who waits, the door, calling one off. */

import { $, h, put, sheet, toast } from "./dom.js";
import { countField, doer, field, onSend, whole } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { listed } from "./lists.js";
import { goodsOf, nameOf } from "./merchant_lines.js";
import { cell, table } from "./tables.js";
import "./view_events.js";

addStrings({
  "mev.panel": ["活动报名", "Events"],
  "mev.none": ["还没有活动", "No event yet"],
  "mev.new": ["新活动", "New event"],
  "mev.name": ["活动名称", "Title"],
  "mev.place": ["地点", "Place"],
  "mev.detail": ["说明", "Details"],
  "mev.starts": ["开始", "Begins"],
  "mev.ends": ["结束", "Ends"],
  "mev.closes": ["报名截止", "Sign-up until"],
  "mev.placesOf": ["名额", "Places"],
  "mev.sku": ["付费商品（免费则不选）", "Paid with (none: free)"],
  "mev.free": ["免费", "free"],
  "mev.payMinutes": ["付款时限（分钟）", "Minutes to pay"],
  "mev.add": ["发布", "Publish"],
  "mev.people": ["名单", "Who comes"],
  "mev.cancel": ["取消活动", "Call it off"],
  "mev.sure": ["再点一次：全部退款并取消", "Once more: refund all and call it off"],
  "mev.door": ["现场签到", "The door"],
  "mev.code": ["签到码（12 位）", "Code (12 digits)"],
  "mev.letIn": ["签到", "Let in"],
  "mev.in": ["{name} 已签到", "{name} is in"],
});

const TICKETS_SHOWN = 100;

/** Draw the events that are to come. */
export async function drawEvents(api) {
  const events = await api.get("/events");
  const again = () => drawEvents(api);
  put($("events"), events.length ? events.map((one) => eventRow(api, one, again)) : h("p.empty", {}, t("mev.none")));
}

function eventRow(api, one, again) {
  const path = `/events/${encodeURIComponent(one.event)}`;
  let sure = false;
  const callOff = async (button) => {
    if (!sure) {
      sure = true;
      button.textContent = t("mev.sure");
      return;
    }
    await api.post(`${path}/cancel`);
    await again();
  };
  const open = one.state === "open";
  return h(
    "article.run",
    { "data-testid": "event-row", data: { event: one.event, state: one.state } },
    h(
      "div.run-head",
      {},
      h("strong", {}, one.title),
      h("span.faint", {}, [one.place, t("ev.when", { from: when(one.starts), until: when(one.ends) }), one.sku ? money(one.price) : t("ev.free")].filter(Boolean).join(" · ")),
      h("span.chip", { "data-testid": "event-taken" }, t("ev.places", one)),
      one.waiting > 0 && h("span.chip", {}, t("ev.waiting", { n: one.waiting })),
      h("span.chip", { data: { state: one.state } }, t(`ev.${one.state}`)),
    ),
    h(
      "div.run-buttons",
      {},
      doer(t("mev.people"), () => openPeople(api, one, path), { "data-testid": "event-people" }),
      open && doer(t("mev.cancel"), callOff, { "data-testid": "event-cancel" }),
    ),
  );
}

async function openPeople(api, event, path) {
  const list = `${path}/tickets?limit=${TICKETS_SHOWN}`;
  const found = await api.get(list);
  const window = sheet({ title: event.title, testid: "tickets-sheet", closeLabel: t("common.close") });
  const row = (one) =>
    h(
      "tr",
      { "data-testid": "ticket-row", data: { state: one.state } },
      cell("m.col.time", when(one.created)),
      cell("mev.people", one.name || `…${one.person.slice(-6)}`),
      cell("m.col.status", t(`ev.state.${one.state}`, { ahead: one.ahead, until: one.until ? when(one.until) : "" })),
    );
  put(window.body, found.items.length ? listed(api, list, found, row, (rows) => table(["m.col.time", "mev.people", "m.col.status"], rows)) : h("p.empty", {}, "—"));
}

/** The forms: a new event, the door. */
export async function fillEvents(api) {
  const form = $("event-form");
  const goods = await goodsOf(api);
  const time = (label, name) => field(label, { name, type: "datetime-local", required: true, "data-testid": `event-${name}` });
  put(
    form,
    field("mev.name", { name: "title", required: true, maxlength: 60, "data-testid": "event-title" }),
    field("mev.place", { name: "place", maxlength: 60 }),
    time("mev.starts", "starts"),
    time("mev.ends", "ends"),
    time("mev.closes", "closes"),
    countField("mev.placesOf", "places", { value: "20", max: "1000", required: true, "data-testid": "event-places" }),
    field("mev.sku", { name: "sku", options: [["", t("mev.free")], ...goods.map((one) => [one.sku, nameOf(one)])], "data-testid": "event-sku" }),
    countField("mev.payMinutes", "minutes", { value: "15", max: "10080" }),
    field("mev.detail", { name: "detail", maxlength: 2000, wide: true }),
    h("button.primary", { type: "submit", "data-t": "mev.add", "data-testid": "event-add" }, t("mev.add")),
  );
  onSend(form, async () => {
    const { title, place, detail, sku } = form.elements;
    const at = (name) => new Date(form.elements[name].value).getTime();
    const body = { title: title.value.trim(), place: place.value.trim(), detail: detail.value.trim(), starts: at("starts"), ends: at("ends"), closes: at("closes"), places: whole(form, "places"), pay_s: whole(form, "minutes") * 60 };
    await api.post("/events", { ...body, sku: sku.value || null });
    form.reset();
    await drawEvents(api);
  });
  const door = $("door-form");
  put(
    door,
    field("mev.code", { name: "code", required: true, inputmode: "numeric", "data-testid": "door-code" }),
    h("button.primary", { type: "submit", "data-t": "mev.letIn", "data-testid": "door-send" }, t("mev.letIn")),
  );
  onSend(door, async () => {
    const ticket = await api.post("/tickets/check-ins", { code: door.elements.code.value.replace(/\s/g, "") });
    toast(t("mev.in", { name: ticket.name || `…${ticket.person.slice(-6)}` }), "good");
    door.reset();
    await drawEvents(api);
  });
}
