/** Small form parts of the consoles. Money is typed in yuan and sent in 分. */

import { h, toast } from "./dom.js";
import { explain, t } from "./i18n.js";

/**
 * A labelled field.
 * @param {string} label key of the text
 * @param {Record<string, any>} props attributes of the input; `options` makes a select: [[value, text] …]
 */
export function field(label, props) {
  const { options, wide, ...rest } = props;
  const input = options
    ? h(
        "select",
        rest,
        options.map(([value, text]) => h("option", { value }, text)),
      )
    : h("input", { autocomplete: "off", ...rest });
  return h(wide ? "label.field.wide-field" : "label.field", {}, h("span", { "data-t": label }, t(label)), input);
}

/** A money field in yuan. */
export function yuanField(label, name, props = {}) {
  return field(label, {
    name,
    type: "number",
    min: "0.01",
    step: "0.01",
    max: "10000000",
    inputmode: "decimal",
    ...props,
  });
}

/** A whole-number field. */
export function countField(label, name, props = {}) {
  return field(label, { name, type: "number", min: "1", step: "1", inputmode: "numeric", ...props });
}

/** @returns {number} 分 */
export function fen(form, name) {
  return Math.round(Number.parseFloat(form.elements[name].value || "0") * 100);
}

/** @returns {number} a whole number */
export function whole(form, name) {
  return Number.parseInt(form.elements[name].value || "0", 10);
}

/**
 * A form that sends: its buttons rest meanwhile, an error is said, `done` follows a success.
 * @param {HTMLFormElement} form
 * @param {(button: string) => Promise<any>} send gets the value of the button that was used
 */
export function onSend(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      await send(button?.value || "");
    } catch (error) {
      toast(explain(error), "error");
    } finally {
      if (button) button.disabled = false;
    }
  });
}

/**
 * A button that does one thing and rests meanwhile.
 * @param {string} text
 * @param {(button: HTMLButtonElement) => Promise<any>} act
 * @param {Record<string, any>} [props]
 */
export function doer(text, act, { className = "small", ...props } = {}) {
  const button = h(`button.${className}`, { type: "button", ...props }, text);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await act(button);
    } catch (error) {
      toast(explain(error), "error");
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
