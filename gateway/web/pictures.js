/** Pictures that are wished with: chosen, made small, sent, shown. */

import { h, icon, put, sheet, toast } from "./dom.js";
import { fetched } from "./files.js";
import { explain, t } from "./i18n.js";

/** Longer side of what is sent, in pixels: what the server keeps. */
const SIDE_MAX = 1600;
const QUALITY = 0.86;
/** Bytes that the server takes. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const TAKEN = "image/jpeg,image/png,image/webp";

const path = (picture) => `/custom/pictures/${encodeURIComponent(picture)}`;

/** A file as it is sent: a photograph smaller; one that this browser cannot read is left for the server to judge. */
async function small(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file.arrayBuffer();
  }
  const scale = Math.min(1, SIDE_MAX / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && file.size <= FILE_BYTES_MAX) return file.arrayBuffer();
  const canvas = h("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  const draw = canvas.getContext("2d");
  draw.fillStyle = "#fff";
  draw.fillRect(0, 0, canvas.width, canvas.height);
  draw.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  return blob.arrayBuffer();
}

/**
 * Choose pictures and send them; `changed` is called with the ids of those that are there.
 * @param {{label: string, most: number, ids: string[], required?: boolean}} field
 * @param {(ids: string[]) => void} changed
 */
export function pictureField(api, room, { label, most, ids, required = false }, changed) {
  let chosen = [...ids];
  const row = h("div.wish-pictures", { role: "list" });
  const input = h("input", {
    type: "file",
    accept: TAKEN,
    multiple: most > 1,
    required,
    "aria-label": label,
    "data-testid": "wish-pictures",
    on: { change: () => take([...input.files]) },
  });
  const count = h("small.faint");

  function show() {
    put(row, chosen.map((picture) => thumb(api, picture, label, () => drop(picture))));
    count.textContent = t("cu.pictureCount", { n: chosen.length, most });
    input.disabled = chosen.length >= most;
    input.required = required && !chosen.length;
  }

  function drop(picture) {
    chosen = chosen.filter((one) => one !== picture);
    // What is left behind goes by itself after a day.
    api.delete(path(picture)).catch(() => undefined);
    show();
    changed(chosen);
  }

  async function take(files) {
    input.disabled = true;
    if (files.length > most - chosen.length) toast(t("cu.pictureMost", { most }), "error");
    for (const file of files.slice(0, most - chosen.length)) {
      try {
        const { picture } = await api.send(`/custom/pictures?room=${encodeURIComponent(room)}`, await small(file));
        if (!chosen.includes(picture)) chosen.push(picture);
      } catch (error) {
        toast(`${file.name}: ${explain(error)}`, "error");
      }
    }
    input.value = "";
    show();
    changed(chosen);
  }

  show();
  return h("div.wish-picture-field", {}, row, h("span.wish-picture-add", {}, input, count));
}

/** Pictures in a row, each opened by a click; null without any. */
export function pictureRow(api, pictures, label) {
  if (!pictures.length) return null;
  return h("div.wish-pictures", { role: "list", "data-testid": "pictures" }, pictures.map((picture) => thumb(api, picture, label)));
}

function thumb(api, picture, label, drop = null) {
  const image = h("img", { alt: label, width: "64", height: "64" });
  const open = h("button.wish-picture", { type: "button", title: label, "data-testid": "picture", on: { click: () => image.src && full(image.src, label) } }, image);
  fetched(api, path(picture)).then(
    (address) => (image.src = address),
    () => put(open, h("small.faint", {}, t("cu.pictureGone"))),
  );
  return h(
    "span.wish-picture-frame",
    { role: "listitem" },
    open,
    drop &&
      h("button.wish-picture-drop", { type: "button", "aria-label": t("cu.pictureDrop"), "data-testid": "picture-drop", on: { click: drop } }, icon("close")),
  );
}

function full(address, label) {
  const window = sheet({ title: label, testid: "picture-sheet", closeLabel: t("common.close") });
  put(window.body, h("img.wish-picture-full", { src: address, alt: label }));
}
