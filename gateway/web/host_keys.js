/** The console's publish keys: one for each encoder, with an end and an address range if wanted, revoked at once. */

import { copy, h, put, toast } from "./dom.js";
import { countField, doer, field, onSend, whole } from "./forms.js";
import { onLanguage, t, when } from "./i18n.js";

const DAY_MS = 86_400_000;

/**
 * @param {{api: any, base: string, now: () => number, box: HTMLDetailsElement, list: HTMLElement,
 *   form: HTMLFormElement, onRoomKey: () => Promise<any>}} parts `onRoomKey` is called when the room has a new own key
 */
export function streamKeys({ api, base, now, box, list, form, onRoomKey }) {
  let keys = [];
  let sure = "";

  async function read() {
    keys = await api.get(`${base}/keys`);
    draw();
  }

  function about(key) {
    const ends = key.expires ? t("host.keyUntil", { when: when(key.expires) }) : t("host.keyNoEnd");
    return [ends, key.network].filter(Boolean).join(" · ");
  }

  async function revoke(key) {
    if (sure !== key.key) {
      sure = key.key;
      draw();
      return;
    }
    sure = "";
    await api.delete(`${base}/keys/${encodeURIComponent(key.key)}`);
    if (key.key === "room") await onRoomKey();
    await read();
    toast(t("host.keyRevoked"), "good");
  }

  function row(key) {
    const good = key.state === "good";
    const copyKey = async () => (await copy(key.publish.stream_key)) && toast(t("host.copied"), "good");
    return h(
      "li.key-row",
      { data: { testid: "key-row", key: key.key, state: key.state, live: String(key.live) } },
      h(
        "div",
        {},
        h("strong", {}, key.key === "room" ? t("host.roomKey") : key.name),
        h("span.faint", {}, about(key)),
      ),
      key.live && h("span.chip", { data: { state: "open" } }, t("host.live")),
      !good && h("span.chip", {}, t(`host.key.${key.state}`)),
      good && doer(t("host.copy"), copyKey, { "data-testid": "key-copy" }),
      good &&
        doer(t(sure === key.key ? "host.keySure" : "host.keyRevoke"), () => revoke(key), {
          "data-testid": "key-revoke",
        }),
    );
  }

  function draw() {
    put(list, keys.map(row));
  }

  put(
    form,
    field("host.keyName", { name: "name", required: true, maxlength: 60, wide: true, "data-testid": "key-name" }),
    countField("host.keyDays", "days", { max: "3650" }),
    field("host.keyNetwork", { name: "network", maxlength: 64, placeholder: "203.0.113.0/24" }),
    h(
      "div.form-foot",
      {},
      h("button.primary", { type: "submit", "data-testid": "key-make", "data-t": "host.keyMake" }, t("host.keyMake")),
    ),
  );
  onSend(form, async () => {
    const body = { name: form.elements.name.value.trim() };
    if (form.elements.days.value) body.expires = Math.round(now() + whole(form, "days") * DAY_MS);
    if (form.elements.network.value.trim()) body.network = form.elements.network.value.trim();
    try {
      await api.post(`${base}/keys`, body);
    } catch (error) {
      if (error.code !== "limit") throw error;
      toast(t("host.keysFull"), "error");
      return;
    }
    form.reset();
    await read();
  });
  box.addEventListener("toggle", () => {
    sure = "";
    if (box.open) read().catch((error) => toast(error.message, "error"));
  });
  onLanguage(draw);
}
