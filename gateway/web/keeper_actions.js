/** What may be done about a line of chat, as buttons beside it. */

import { h, toast } from "./dom.js";
import { doer } from "./forms.js";
import { t } from "./i18n.js";
import { actionsOn, commandFor } from "./keeping.js";

/** A tap on "ban" waits so long for the second one. */
const SURE_MS = 4000;
/** What is said when it is done; a line that is taken back is seen to be gone. */
const SAID = { mute: "keeper.muted", ban: "keeper.banned", appoint: "keeper.appointed", dismiss: "keeper.dismissed" };
/** After these, lists that the console shows are others. */
const LISTED = new Set(["ban", "appoint", "dismiss"]);

/**
 * @param {{hub: () => import("./siyu.js").SiyuHub, you: () => any, onChanged?: () => unknown}} desk
 *   `you`: who looks, as the hub says; `onChanged`: bans or appointments are others now
 * @returns {(line: any) => Node|null} what belongs beside a line
 */
export function lineActions({ hub, you, onChanged = () => null }) {
  const act = (action, line) => async () => {
    await hub().command(...commandFor(action, line, you(), hub().now()));
    if (SAID[action]) toast(t(SAID[action], { name: line.from.name }), "good");
    if (LISTED.has(action)) await onChanged();
  };
  const button = (action, line) => {
    const run = act(action, line);
    return doer(t(`keeper.${action}`), action === "ban" ? atSecondTap(run) : run, { className: "mute", "data-testid": action });
  };
  return (line) => {
    const actions = actionsOn(you(), line);
    return actions.length ? h("span.line-actions", {}, ...actions.map((action) => button(action, line))) : null;
  };
}

/** A second tap means it: the first may have been for the button beside. */
function atSecondTap(run) {
  return async (pressed) => {
    if (pressed.dataset.sure) {
      await run();
      return;
    }
    pressed.dataset.sure = "true";
    pressed.textContent = t("keeper.sure");
    setTimeout(() => {
      delete pressed.dataset.sure;
      pressed.textContent = t("keeper.ban");
    }, SURE_MS);
  };
}
