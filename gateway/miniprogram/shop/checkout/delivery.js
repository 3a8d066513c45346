/** How the buyer wants the goods: what can be chosen, and what an order says of the choice. Pure. */

import { canTake, hoursToday, offered, whyNot } from "../../lib/handing.js";

/**
 * What is known of who hands over: the shop's own ways, its stores, the stations of leaders.
 * @typedef {{ways: string[], outlets: any[], stations: any[]}} Offer
 */
/**
 * What the buyer chose; `here` is where they are, or want it brought.
 * @typedef {{way: string, outlet: string, station: string, here: {lat: number, lng: number}|null,
 *   name: string, phone: string, address: string}} Choice
 */
/** @typedef {import("../../shared/speak.js").Speak} Speak */

/** @returns {Choice} */
export function noChoice() {
  return { way: "", outlet: "", station: "", here: null, name: "", phone: "", address: "" };
}

/**
 * The choice after another way was chosen: a store that cannot do it is given up, the nearest that can is taken.
 * @param {Choice} choice
 * @param {Offer} offer
 * @returns {Choice}
 */
export function settle(choice, { ways, outlets, stations }) {
  const { way, here } = choice;
  const station = way === "pickup" && stations.some((one) => one.station === choice.station) ? choice.station : "";
  if (!way || station) return { ...choice, station, outlet: "" };
  const able = outlets.filter((one) => one.offers.includes(way) && canTake(one, way, Boolean(here)));
  const kept = able.some((one) => one.outlet === choice.outlet);
  const nearest = ways.includes(way) && !here ? "" : able[0]?.outlet || "";
  return { ...choice, station, outlet: kept ? choice.outlet : nearest };
}

/**
 * An order's `delivery`, or what is missing.
 * @param {Choice} choice
 * @param {string[]} ways the shop's own
 * @returns {{delivery: Record<string, unknown>|null, missing: string}} `missing`: a text's key, empty when all is there
 */
export function deliveryOf(choice, ways) {
  const { way: method, outlet, station, here, name, phone, address } = choice;
  if (!method) return { delivery: null, missing: "" };
  const asked = { name: name.trim(), phone: phone.trim(), ...(method !== "pickup" && { address: address.trim() }) };
  if (Object.values(asked).some((value) => !value)) return { delivery: null, missing: "missing" };
  if (station) return { delivery: { method, ...asked, station }, missing: "" };
  if (method === "courier" && !(outlet && here)) return { delivery: null, missing: "whereTo" };
  if (!outlet && !ways.includes(method)) return { delivery: null, missing: "noStore" };
  const place = method === "courier" ? here : {};
  return { delivery: { method, ...asked, ...(outlet && { outlet }), ...place }, missing: "" };
}

/**
 * What the page shows of it.
 * @param {Choice} choice
 * @param {Offer} offer
 * @param {number} now Unix ms
 * @param {Speak} t
 */
export function deliveryView(choice, offer, now, t) {
  const { way, here } = choice;
  const ways = ["", ...offered(offer.ways, offer.outlets)].map((one) => ({ way: one, text: t(`way.${one}`), on: one === way }));
  const pickup = way === "pickup";
  const stations = pickup ? offer.stations.map((one) => stationView(one, choice, t)) : [];
  const fit = way ? offer.outlets.filter((one) => one.offers.includes(way)) : [];
  const anybody = { outlet: "", name: t("anyStore"), note: "", can: true, on: !choice.outlet && !choice.station };
  const stores = fit.map((one) => storeView(one, choice, now, t));
  return {
    ways,
    stations,
    stores: fit.length && offer.ways.includes(way) ? [anybody, ...stores] : stores,
    form: Boolean(way),
    withAddress: Boolean(way) && !pickup,
    locate: fit.length ? t(here ? "located" : "locate") : "",
    name: choice.name,
    phone: choice.phone,
    address: choice.address,
  };
}

/**
 * @param {any} one
 * @param {Choice} choice
 * @param {number} now
 * @param {Speak} t
 */
function storeView(one, choice, now, t) {
  const { way, here } = choice;
  const why = whyNot(one, way, Boolean(here));
  const today = hoursToday(one, now);
  const hours = today === "closed" ? t("closedToday") : today ? t("hours", today) : "";
  const far = one.distance === null ? "" : t("km", { km: (one.distance / 1000).toFixed(1) });
  return {
    outlet: one.outlet,
    name: one.name,
    note: [one.address, far, hours, why && t(why)].filter(Boolean).join(" · "),
    can: canTake(one, way, Boolean(here)),
    on: one.outlet === choice.outlet && !choice.station,
  };
}

/**
 * @param {any} one
 * @param {Choice} choice
 * @param {Speak} t
 */
function stationView(one, choice, t) {
  const note = `${one.address} · ${t(one.left > 0 ? "stationLeft" : "stationFull", { day: one.day, left: one.left })}`;
  return { station: one.station, name: one.name, note, can: one.left > 0, on: one.station === choice.station };
}
