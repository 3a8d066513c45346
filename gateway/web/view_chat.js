/** The chat list: lines with name and role, notices, "new messages" when the reader has scrolled up. */

import { h, put } from "./dom.js";
import { t } from "./i18n.js";
import { keepsOrder } from "./keeping.js";

/** Elements kept in the list. */
const ELEMENTS_MAX = 200;
/** Nearer to the end than this counts as reading along, pixels. */
const NEAR_END_PX = 48;

/** Shows the lines of a RoomStore. */
export class ChatView {
  /**
   * @param {{store: import("./store.js").RoomStore, list: HTMLElement, more: HTMLElement,
   *   actions?: (line: any) => Node|null}} options `actions` adds controls to a line (the host's mute button)
   */
  constructor({ store, list, more, actions }) {
    this.store = store;
    this.list = list;
    this.more = more;
    this.actions = actions || (() => null);
    this.waiting = [];
    store.on("lines", () => this.redraw());
    store.on("line", (line) => this.add(line));
    store.on("recall", (offset) => this.recall(offset));
    list.addEventListener("scroll", () => this.nearEnd() && (more.hidden = true), { passive: true });
    more.addEventListener("click", () => this.toEnd());
  }

  redraw() {
    put(this.list, ...this.store.lines.map((line) => this.draw(line)));
    this.toEnd();
  }

  /** Lines of one frame are drawn together in the next animation frame. */
  add(line) {
    if (!this.waiting.length) setTimeout(() => this.flush(), 30);
    this.waiting.push(line);
  }

  flush() {
    const along = this.nearEnd();
    this.list.append(...this.waiting.map((line) => this.draw(line)));
    const own = this.waiting.some((line) => line.from?.person === this.store.you.person);
    this.waiting = [];
    while (this.list.childElementCount > ELEMENTS_MAX) this.list.firstElementChild.remove();
    if (along || own) this.toEnd();
    else this.more.hidden = false;
  }

  /** Staff took a line back: off the screen with it, also when it still waits to be drawn. */
  recall(offset) {
    this.waiting = this.waiting.filter((line) => line.o !== offset);
    this.list.querySelector(`[data-offset="${Number(offset)}"]`)?.remove();
  }

  nearEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.list;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.more.hidden = true;
  }

  draw(line) {
    if (line.t === "notice") {
      return h("li.line.notice", {}, h("span.badge", {}, t("chat.notice")), h("span.text", {}, line.text));
    }
    const from = line.from || {};
    const own = from.person === this.store.you.person;
    return h(
      "li.line",
      { "data-testid": "chat-line", data: { role: from.role || "viewer", own: String(own), offset: String(line.o ?? "") } },
      keepsOrder(from.role) && h("span.badge", {}, t(`role.${from.role}`)),
      h(
        "span.name",
        { data: { hue: hue(from.person || from.name || "") } },
        own ? `${from.name} (${t("chat.you")})` : from.name,
      ),
      h("span.text", {}, line.text),
      this.actions(line),
    );
  }
}

/** A steady colour for a person's name: 0–5. */
function hue(person) {
  return String([...person].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7) % 6);
}
