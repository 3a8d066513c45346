/** The groups that I am in, and rules that have changed since I said yes. */

import { h, put, toast } from "./dom.js";
import { addStrings, explain, t } from "./i18n.js";

addStrings({
  "groups.mine": ["我的群", "My groups"],
  "groups.changed": ["群规有更新", "its rules have changed"],
  "groups.leader": ["带头人", "leader"],
});

/**
 * A part of a sheet; empty for who is in no group.
 * @param {import("./api.js").Api} api
 */
export function myGroups(api) {
  const place = h("div", { "data-testid": "my-groups" });
  const row = (one) =>
    h(
      "a.mine-order",
      { href: `/g/${encodeURIComponent(one.community)}`, "data-testid": "my-group" },
      h("strong", {}, one.name),
      one.role === "leader" && h("span.chip", {}, t("groups.leader")),
      one.accepted < one.rules_version && h("span.faint", {}, t("groups.changed")),
    );
  api
    .get("/me/communities")
    .then((found) => found.length && put(place, h("h3", {}, t("groups.mine")), found.map(row)))
    .catch((error) => toast(explain(error), "error"));
  return place;
}
