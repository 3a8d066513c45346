/** Pickup stations: a leader's list and till, and the merchant's form. */

import { rows } from "./api.js";
import { h, put, toast } from "./dom.js";
import { countField, field, onSend, whole } from "./forms.js";
import { t } from "./i18n.js";

const DAY_MS = 86400000;
/** Days ahead a leader can look: what is ordered now is fetched tomorrow or the day after. */
const DAYS = [0, 1, 2];

const dayOf = (ms) => new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Shanghai" }).format(ms);

/** The stations that I lead: what is fetched there, and handing it over by its code. */
export function ledStations(api, stations, now) {
  return stations.filter((one) => one.mine).map((one) => ledStation(api, one, now));
}

function ledStation(api, station, now) {
  const path = `/stations/${encodeURIComponent(station.station)}`;
  const list = h("div", {});
  const day = h("select", { "aria-label": t("station.day") }, DAYS.map((n) => h("option", {}, dayOf(now + n * DAY_MS))));
  const form = h("form.form-grid", { "data-testid": "hand-over" });
  const code = h("input", { name: "code", required: true, pattern: "[0-9]{6}", inputmode: "numeric", autocomplete: "off", "data-testid": "hand-over-code" });
  put(
    form,
    h("label.field.wide-field", {}, h("span", {}, t("station.code")), code),
    h("button.primary.wide-field", { type: "submit", "data-testid": "hand-over-send" }, t("station.handOver")),
  );
  const load = async () => {
    const orders = rows(await api.get(`${path}/orders?day=${day.value}`), "orders");
    put(list, orders.length ? orders.map(waiting) : h("p.empty", {}, t("station.nothing")));
  };
  onSend(form, async () => {
    const done = await api.post(`${path}/handovers`, { code: code.value });
    toast(t("station.given", { name: done.name, goods: done.goods.join("、") }), "good");
    code.value = "";
    await load();
  });
  const look = () => load().catch((error) => put(list, h("p.empty", {}, error.message)));
  day.addEventListener("change", look);
  look();
  return h("section.wallet", { "data-testid": "led-station" }, h("div.wallet-head", {}, h("strong", {}, station.name), day), form, list);
}

function waiting(order) {
  const state = t(order.fetched ? "station.fetched" : "station.waits");
  return h("p", { data: { fetched: String(order.fetched) } }, `${order.name} · ${order.goods.join("、")} · ${state}`);
}

/**
 * The merchant's form and list; changing a station is filling in the form with its row.
 * @returns {{load: () => Promise<void>}} `load` fills both the first time
 */
export function stationForm(api, form, list) {
  let filled = false;
  let chosen = "";
  const minutes = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
  const clockOf = (cutoff) => `${String(Math.floor(cutoff / 60)).padStart(2, "0")}:${String(cutoff % 60).padStart(2, "0")}`;
  const edit = (one) => () => {
    chosen = one.station;
    for (const name of ["name", "address", "leader", "capacity"]) form.elements[name].value = one[name];
    form.elements.cutoff.value = clockOf(one.cutoff);
    form.elements.open.value = one.open ? "yes" : "";
  };
  const row = (one) =>
    h(
      "article.run",
      { "data-testid": "station-row" },
      h("div.run-head", {}, h("strong", {}, one.name), h("span.faint", {}, `${one.address} · ${t("station.figures", one)}`), one.open ? null : h("span.chip", {}, t("station.shut"))),
      h("div.run-buttons", {}, h("button.small", { type: "button", on: { click: edit(one) } }, t("station.edit"))),
    );
  const draw = async () => put(list, rows(await api.get("/stations"), "stations").map(row));
  async function load() {
    if (filled) return;
    filled = true;
    const yes = [["yes", t("station.open")], ["", t("station.shut")]];
    put(
      form,
      field("station.name", { name: "name", required: true, maxlength: 60, "data-testid": "station-name" }),
      field("station.address", { name: "address", required: true, maxlength: 200, "data-testid": "station-address" }),
      field("station.leader", { name: "leader", required: true, maxlength: 64, "data-testid": "station-leader" }),
      countField("station.capacity", "capacity", { value: "100", max: "5000", required: true }),
      field("station.cutoff", { name: "cutoff", type: "time", value: "20:00", required: true }),
      field("station.state", { name: "open", options: yes }),
      h("div.form-foot", {}, h("button.primary", { type: "submit", "data-testid": "station-save", "data-t": "station.save" }, t("station.save"))),
    );
    await draw();
  }
  onSend(form, async () => {
    const { name, address, leader, cutoff, open } = form.elements;
    const body = { name: name.value.trim(), address: address.value.trim(), leader: leader.value.trim() };
    Object.assign(body, { capacity: whole(form, "capacity"), cutoff: minutes(cutoff.value), open: open.value === "yes" });
    if (chosen) await api.request("PUT", `/stations/${encodeURIComponent(chosen)}`, body);
    else await api.post("/stations", body);
    chosen = "";
    for (const input of [name, address, leader]) input.value = "";
    await draw();
    toast(t("station.saved"), "good");
  });
  return { load };
}

export const STATIONS = {
  "station.title": ["自提点与团长", "Pickup stations"],
  "station.mine": ["我的自提点", "My pickup station"],
  "station.where": ["自提点", "Station"],
  "station.shop": ["门店", "The shop"],
  "station.option": ["{name}（{day} 取，余 {left}）", "{name} ({day}, {left} left)"],
  "station.full": ["{name}（{day} 已满）", "{name} ({day}: full)"],
  "station.fetch": ["{day} 到 {place} 自提", "To be fetched on {day}: {place}"],
  "station.day": ["日期", "Day"],
  "station.code": ["取货码（6 位）", "Code (6 digits)"],
  "station.handOver": ["交货", "Hand over"],
  "station.given": ["已交给 {name}：{goods}", "Handed to {name}: {goods}"],
  "station.nothing": ["这一天没有订单", "Nothing on that day"],
  "station.fetched": ["已取", "fetched"],
  "station.waits": ["待取", "waits"],
  "station.name": ["名称", "Name"],
  "station.address": ["地址", "Address"],
  "station.leader": ["团长（客户编号）", "Leader (person id)"],
  "station.capacity": ["每日单量上限", "Orders a day"],
  "station.cutoff": ["截单时间", "Cut-off"],
  "station.state": ["状态", "State"],
  "station.open": ["营业", "Open"],
  "station.shut": ["停用", "Closed"],
  "station.figures": ["每日 {capacity} 单，{day} 余 {left}", "{capacity} a day, {left} left on {day}"],
  "station.edit": ["修改", "Change"],
  "station.save": ["保存", "Save"],
  "station.saved": ["已保存", "Saved"],
};
