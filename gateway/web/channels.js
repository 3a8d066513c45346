/** What a channel is called: those that the shop itself makes (groups, advice, helper tasks) by their names. */

import { addStrings, t } from "./i18n.js";

addStrings({
  "channel.advice": ["顾问推荐", "Advice"],
  "channel.help": ["助力海报", "Helper posters"],
  "channel.group": ["群：{name}", "Group: {name}"],
});

const groups = new Map();

/** @param {{community: string, name: string}[]} found */
export function knowGroups(found) {
  for (const one of found) groups.set(`group:${one.community}`, one.name);
}

/** @param {string|null|undefined} channel */
export function channelName(channel) {
  if (groups.has(channel)) return t("channel.group", { name: groups.get(channel) });
  return channel === "advice" || channel === "help" ? t(`channel.${channel}`) : channel || "";
}
