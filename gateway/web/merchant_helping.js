/** Helper tasks: turned on by the shop, each with a budget of its own. */

import { $, h, put, toast } from "./dom.js";
import { countField, doer, fen, field, onSend, whole, yuanField } from "./forms.js";
import { addStrings, money, t, when } from "./i18n.js";
import { cell, table } from "./tables.js";
import { newKey } from "./siyu.js";

addStrings({
  "m.helpPanel": ["助力任务", "Helper tasks"],
  "m.h.off": ["默认关闭。开启前请确认平台规则：不得强迫或利诱转发", "Off by default. Check the platform's rules first: nobody may be urged to share"],
  "m.h.turnOn": ["开启助力任务", "Turn them on"],
  "m.h.turnOff": ["全部关闭", "Turn them off"],
  "m.h.title": ["任务", "Task"],
  "m.h.reason": ["券的理由", "The coupon's reason"],
  "m.h.needed": ["需要几人", "Helpers needed"],
  "m.h.amount": ["券额（元）", "Coupon (yuan)"],
  "m.h.over": ["满（元）", "For orders from (yuan)"],
  "m.h.runs": ["活动几天", "Runs for (days)"],
  "m.h.budget": ["预算（元）", "Budget (yuan)"],
  "m.h.posters": ["海报 / 助力", "Posters / helpers"],
  "m.h.given": ["已发券 / 待发", "Given / owed"],
  "m.h.free": ["剩余预算", "Budget left"],
  "m.h.until": ["截止", "Until"],
  "m.h.end": ["结束", "End"],
  "m.h.again": ["重开", "Open again"],
  "m.h.fund": ["加预算", "Fund"],
  "m.h.fundHow": ["加多少元？", "How many yuan?"],
  "m.h.make": ["开任务", "Open a task"],
});

const DAY_MS = 86400000;

/** Draw the panel. */
export async function drawHelping(api) {
  const [terms, tasks, rooms] = await Promise.all([api.get("/crm/terms"), api.get("/help-tasks"), api.get("/rooms")]);
  const again = () => drawHelping(api);
  const on = terms.helping === 1;
  const turn = async () => {
    await api.request("PUT", "/crm/terms", { helping: on ? 0 : 1 });
    await again();
  };
  put(
    $("help-tasks"),
    h("p.models", {}, !on && h("span.faint", {}, t("m.h.off")), doer(t(on ? "m.h.turnOff" : "m.h.turnOn"), turn, { "data-testid": "helping-turn" })),
    tasks.length > 0 &&
      table(
        ["m.h.title", "m.h.posters", "m.h.given", "m.h.free", "m.h.until", ""],
        tasks.map((one) => row(api, one, again)),
      ),
  );
  const form = $("help-form");
  form.hidden = !on;
  if (!form.children.length) fillForm(api, form, rooms.items || rooms.rooms || rooms, again);
}

function row(api, one, again) {
  const fund = async () => {
    const yuan = Number.parseFloat(prompt(t("m.h.fundHow")) || "0");
    if (!(yuan > 0)) return;
    await api.post("/budgets", { issuer: one.task, amount: Math.round(yuan * 100) }, newKey());
    await again();
  };
  const turn = async () => {
    await api.request("PATCH", `/help-tasks/${encodeURIComponent(one.task)}`, { active: !one.active });
    await again();
  };
  return h(
    "tr",
    { "data-testid": "help-row" },
    cell("m.h.title", h("strong", {}, one.title), h("span.faint", {}, ` ${one.needed} → ${money(one.amount)}`)),
    cell("m.h.posters", `${one.posters} / ${one.helpers}`),
    cell("m.h.given", `${one.given} / ${one.owed}`),
    cell("m.h.free", h("span.num", {}, money(one.free))),
    cell("m.h.until", when(one.until)),
    h("td.cell-toggle", {}, doer(t("m.h.fund"), fund), doer(t(one.active ? "m.h.end" : "m.h.again"), turn)),
  );
}

function fillForm(api, form, rooms, again) {
  put(
    form,
    field("m.h.title", { name: "title", required: true, maxlength: 60, wide: true, "data-testid": "help-task-title" }),
    field("m.h.reason", { name: "reason", required: true, maxlength: 60 }),
    field("m.k.room", { name: "room", options: rooms.map((room) => [room.room, room.title]) }),
    countField("m.h.needed", "needed", { max: "50", value: "3" }),
    yuanField("m.h.amount", "amount", { value: "5" }),
    yuanField("m.h.over", "threshold", { min: "0", value: "0" }),
    countField("m.h.runs", "runs", { max: "90", value: "7" }),
    yuanField("m.h.budget", "budget", { min: "0", value: "100" }),
    h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "help-task-make" }, t("m.h.make"))),
  );
  if (form.dataset.ready) return;
  form.dataset.ready = "true";
  onSend(form, async () => {
    const { title, reason, room } = form.elements;
    await api.post("/help-tasks", {
      title: title.value.trim(),
      reason: reason.value.trim(),
      room: room.value,
      needed: whole(form, "needed"),
      amount: fen(form, "amount"),
      threshold: fen(form, "threshold"),
      until: Date.now() + whole(form, "runs") * DAY_MS,
      budget: fen(form, "budget"),
    });
    title.value = "";
    toast(t("m.c.kept"), "good");
    await again();
  });
}
