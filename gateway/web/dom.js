/** Elements without markup strings: whatever a person typed reaches the page as text nodes only. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 * @param {string} tag "div", or "div.a.b" with classes
 * @param {Record<string, any>} [props] attributes; `on` = {event: listener}; `data` = dataset; false/null leaves one out
 * @param {...(Node|string|number|null|false|undefined|Array<any>)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return fill(document.createElement(name), classes, props, children);
}

/** As `h`, for SVG. */
export function s(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return fill(document.createElementNS(SVG, name), classes, props, children);
}

function fill(element, classes, props, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "value" || key === "checked" || key === "disabled") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Replace an element's children. */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
}

/**
 * Attributes of a part of a drawing that opens something: by click, by Enter or Space where the keyboard is on it.
 * @param {string} label what a screen reader says
 * @param {() => void} act
 */
export function pressable(label, act) {
  const keydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
  return { role: "button", tabindex: "0", "aria-label": label, on: { click: act, keydown } };
}

/** @param {string} id @returns {HTMLElement} */
export const $ = (id) => document.getElementById(id);

/** Own line icons on a 24 × 24 grid, stroke in the current colour. */
const ICONS = {
  bag: ["M6 8h12l1 12H5L6 8Z", "M9 8V6.5a3 3 0 0 1 6 0V8"],
  heart: ["M12 20s-7.5-4.6-7.5-10A4.3 4.3 0 0 1 12 7.4 4.3 4.3 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10Z"],
  share: ["M14 5l6 6-6 6", "M20 11h-8a8 8 0 0 0-8 8"],
  person: ["M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Z", "M4.5 20a7.5 7.5 0 0 1 15 0"],
  send: ["M4 12l16-8-5 16-3.5-6.5L4 12Z"],
  close: ["M6 6l12 12", "M18 6 6 18"],
  mute: ["M4 10v4h4l5 4V6L8 10H4Z", "M17 9l5 6", "M22 9l-5 6"],
  eye: [
    "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z",
    "M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  ],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
  bolt: ["M13 3 5 14h6l-1 7 8-11h-6l1-7Z"],
  pin: ["M9 4h6l-1 6 3 3H7l3-3-1-6Z", "M12 13v7"],
  globe: ["M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17Z", "M3.5 12h17", "M12 3.5c3 3 3 14 0 17c-3-3-3-14 0-17Z"],
  bell: ["M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15L6 16Z", "M10 20.5h4"],
  chevron: ["M9 6l6 6-6 6"],
  play: ["M8 5l11 7-11 7V5Z"],
};

/**
 * @param {keyof typeof ICONS} name
 * @param {string} [className]
 */
export function icon(name, className = "icon") {
  return s(
    `svg.${className}`,
    { viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    ICONS[name].map((d) => s("path", { d })),
  );
}

/**
 * A product's picture, or a warm tile with the first letter of its title.
 * @param {string|null} image address
 * @param {string} title
 */
export function picture(image, title) {
  const tile = h("span.picture", { "aria-hidden": "true" }, (title || "·").trim().slice(0, 1));
  tile.dataset.hue = String([...(title || "")].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 6);
  if (image && /^(https:|data:image\/|\/)/.test(image)) {
    const img = h("img", { src: image, alt: "", loading: "lazy", decoding: "async" });
    img.addEventListener("error", () => img.remove());
    tile.append(img);
  }
  return tile;
}

/**
 * Show a short message at the foot of the page; a new one takes the place of the old.
 * @param {{text: string, run: () => void}} [way] what can be done about it, as a button
 */
export function toast(text, kind = "info", way) {
  let place = $("toast");
  if (!place) {
    place = h("div", { id: "toast", role: "status", "aria-live": "polite" });
  }
  // A modal dialog covers the page: the message must be inside it to be seen.
  const open = [...document.querySelectorAll("dialog[open]")].pop();
  (open || document.body).append(place);
  const act = () => {
    put(place);
    way.run();
  };
  const button = way && h("button.way", { type: "button", "data-testid": "toast-way", on: { click: act } }, way.text);
  put(place, h("div.toast", { data: { kind } }, text, button || ""));
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => put(place), way ? 9000 : 3600);
}

/** Copy text; falls back to a selection where the clipboard is not allowed (plain HTTP). */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea.offscreen", { readonly: true });
    field.value = text;
    ([...document.querySelectorAll("dialog[open]")].pop() || document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/**
 * A modal sheet: from below on a phone, in the middle on a desktop. Focus, Escape and the backdrop are the browser's.
 * @param {{title: string, testid?: string, className?: string, closeLabel: string, onClose?: () => void}} options
 * @returns {{dialog: HTMLDialogElement, body: HTMLElement, close: () => void, retitle: (text: string) => void}}
 */
export function sheet({ title, testid, className = "", closeLabel, onClose }) {
  const heading = h("h2", {}, title);
  const body = h("div.sheet-body");
  const close = () => dialog.open && dialog.close();
  const dialog = h(
    "dialog.sheet",
    { "data-testid": testid, "aria-label": title, on: { close: () => (dialog.remove(), onClose?.()) } },
    h(
      "div.sheet-frame",
      {},
      h(
        "header.sheet-head",
        {},
        heading,
        h("button.round.quiet", { type: "button", "aria-label": closeLabel, on: { click: close } }, icon("close")),
      ),
      body,
    ),
  );
  if (className) dialog.classList.add(className);
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body, close, retitle: (text) => (heading.textContent = text) };
}
