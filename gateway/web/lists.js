/** Lists that go on: a page of one, the next when somebody asks for it; and whole ones, for a choice among all of it. */

import { h } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, t } from "./i18n.js";

addStrings({ "list.more": ["显示更多", "Show more"] });

/** What a choice offers at the most: one among more is looked for by other means. */
const CHOICES_MAX = 2000;

const behind = (path, after) => (after ? `${path}${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(after)}` : path);

/**
 * The rows of a list, framed, and below them a button for the next page while there is one.
 * @param {any} api
 * @param {string} path the list's, with its `limit`
 * @param {{items: any[], next: string|null}} page its first page, with at least one item
 * @param {(item: any) => HTMLElement} draw
 * @param {(rows: HTMLElement[]) => HTMLElement} frame
 * @param {(answer: any) => {items: any[], next: string|null}} [read] a page of what the server answers
 */
export function listed(api, path, page, draw, frame, read = (answer) => answer) {
  const rows = page.items.map(draw);
  const framed = frame(rows);
  const place = rows[0].parentElement;
  let next = page.next;
  const more = async () => {
    const found = read(await api.get(behind(path, next)));
    place.append(...found.items.map(draw));
    next = found.next;
    button.hidden = !next;
  };
  const button = doer(t("list.more"), more, { "data-testid": "list-more" });
  button.hidden = !next;
  return [framed, button];
}

/** All items of a list, page after page. */
export async function everyItem(api, path) {
  const items = [];
  let next = "";
  do {
    const page = await api.get(behind(path, next));
    items.push(...page.items);
    next = page.next;
  } while (next && items.length < CHOICES_MAX);
  return items;
}
