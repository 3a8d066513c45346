/** What may be done about a line of chat: take it back, keep its author from writing or out, make them a moderator. */

import { h, toast } from "./dom.js";
import { doer } from "./forms.js";
import { t } from "./i18n.js";

const MUTE_S = 600;
/** A tap on "ban" waits so long for the second one. */
const SURE_MS = 4000;
/** Who is no head bans for a day at most; a minute less, as our clock is not the server's. */
const KEEPER_BAN_MS = (24 * 60 - 1) * 60_000;
const KEEPERS = ["moderator", "assistant", "host", "merchant"];
const HEADS = ["host", "merchant"];

/** @param {string} role */
export const keepsOrder = (role) => KEEPERS.includes(role);
/** @param {string} role */
export const isHead = (role) => HEADS.includes(role);

/**
 * @param {{hub: () => import("./siyu.js").SiyuHub, you: () => any, onChanged?: () => unknown}} desk
 *   `you`: who looks, as the hub says; `onChanged`: bans or appointments are others now
 * @returns {(line: any) => Node|null} what belongs beside a line
 */
export function lineActions({ hub, you, onChanged = () => null }) {
  const button = (name, act) => doer(t(`keeper.${name}`), act, { className: "mute", "data-testid": name });
  const appointment = (cmd, said) => (from) => async () => {
    await hub().command(cmd, { person: from.person });
    toast(t(said, { name: from.name }), "good");
    await onChanged();
  };
  const appoint = appointment("moderator.add", "keeper.appointed");
  const dismiss = appointment("moderator.remove", "keeper.dismissed");
  const mute = (from) => async () => {
    await hub().command("mute", { person: from.person, seconds: MUTE_S });
    toast(t("keeper.muted", { name: from.name }), "good");
  };
  const ban = (from) => async (pressed) => {
    // A second tap means it: the first may have been for the button beside.
    if (!pressed.dataset.sure) {
      pressed.dataset.sure = "true";
      pressed.textContent = t("keeper.sure");
      setTimeout(() => {
        delete pressed.dataset.sure;
        pressed.textContent = t("keeper.ban");
      }, SURE_MS);
      return;
    }
    const until = isHead(you().role) ? {} : { until_ms: Math.floor(hub().now()) + KEEPER_BAN_MS };
    await hub().command("ban", { person: from.person, ...until });
    toast(t("keeper.banned", { name: from.name }), "good");
    await onChanged();
  };
  return ({ from, o }) => {
    if (!from?.person || !keepsOrder(you().role) || from.person === you().person) return null;
    const recall = o && button("recall", () => hub().command("recall", { offset: o }));
    if (from.role === "moderator" && isHead(you().role)) {
      return h("span.line-actions", {}, recall, button("dismiss", dismiss(from)));
    }
    if (from.role !== "viewer") return null;
    return h(
      "span.line-actions",
      {},
      recall,
      button("mute", mute(from)),
      button("ban", ban(from)),
      isHead(you().role) && button("appoint", appoint(from)),
    );
  };
}
