/** Who opens a page outside of the rooms: the same device, and so the same person, as in them. */

import { recall, remember } from "./memory.js";
import { newKey } from "./siyu.js";

const TOKEN_CHARACTERS_MAX = 64;

const query = new URLSearchParams(location.search);

/** The token of the link by which the visitor came, or null. */
export const SCENE = query.get("s")?.slice(0, TOKEN_CHARACTERS_MAX) || null;

/** The device's own random name: the same person comes back as the same person. */
export function device() {
  const known = recall("local", "siyu.device", null);
  if (known) return known;
  const made = newKey();
  remember("local", "siyu.device", made);
  return made;
}

/** @returns {Record<string, any>} the body with which a page is opened */
export function visit() {
  const name = recall("local", "siyu.name", null);
  return {
    device: device(),
    ...(name ? { name } : {}),
    ...(SCENE ? { scene: SCENE } : {}),
    ...(SCENE && query.has("q") ? { scanned: true } : {}),
  };
}

/** A room's page, by the link that brought the visitor here. */
export function roomPage(room, more = {}) {
  const asked = new URLSearchParams({ ...more, ...(SCENE ? { s: SCENE } : {}) });
  return `/r/${encodeURIComponent(room)}${asked.size ? `?${asked}` : ""}`;
}
