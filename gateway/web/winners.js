/** Who won, as the room is told: masked names, and their shares. */

import { money, t } from "./i18n.js";

/** Whom nobody knows by a name is a guest. */
export const known = (name) => (name.replaceAll("*", "") ? name : t("draw.nameless"));

/** The first winners of a draw, with their shares. */
export const winners = (draw) =>
  draw.top.map((one) => (one.amount ? `${known(one.name)} ${money(one.amount)}` : known(one.name))).join("、");
