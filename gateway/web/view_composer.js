/** Where a viewer types: a line for all or a question for the host, and who they are here while they may. */

import { $, toast } from "./dom.js";
import { clock, explain, t } from "./i18n.js";

/** What is said of each change of one's rights, and how. @type {Record<import("./keeping.js").Change, [string, string]>} */
const TOLD = {
  appointed: ["keeper.now", "good"],
  dismissed: ["keeper.over", "good"],
  muted: ["chat.muted", "warn"],
  unmuted: ["chat.unmuted", "good"],
};

/** The line at the foot of the viewer page. */
export class Composer {
  /** @param {{hub: () => import("./siyu.js").SiyuHub|null, store: import("./store.js").RoomStore}} room */
  constructor({ hub, store }) {
    this.hub = hub;
    this.store = store;
    /** What is typed next is a question for the host, and no line for all. */
    this.asks = false;
  }

  wire() {
    // Rights that changed while this page was open.
    this.store.on("you", (changes) => changes.forEach((/** @type {import("./keeping.js").Change} */ one) => this.tell(one)));
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.say();
    });
    $("ask").addEventListener("click", () => {
      this.askInstead(!this.asks);
      $("chat-input").focus();
    });
  }

  /** @param {boolean} on */
  askInstead(on) {
    this.asks = on;
    $("ask").setAttribute("aria-pressed", String(on));
    this.draw();
  }

  /** Who may not write sees for how long before they have typed anything. */
  draw() {
    const hub = this.hub();
    const mutedMs = hub ? this.store.mutedMs(hub.now()) : 0;
    const free = t(this.asks ? "ask.hint" : "chat.hint");
    const hint = mutedMs && !this.asks ? t("chat.mutedFor", { time: clock(mutedMs) }) : free;
    if ($("chat-input").placeholder !== hint) $("chat-input").placeholder = hint;
  }

  /** @param {import("./keeping.js").Change} change */
  tell(change) {
    const [said, tone] = TOLD[change];
    toast(t(said), tone);
  }

  async say() {
    const input = $("chat-input");
    const text = input.value.trim();
    const hub = this.hub();
    if (!text || !hub) return;
    input.value = "";
    try {
      await hub.command(this.asks ? "question.ask" : "chat.send", { text });
      if (this.asks) {
        toast(t("ask.sent"), "good");
        this.askInstead(false);
      }
    } catch (error) {
      // Give the words back: nobody likes to type twice.
      if (!input.value) input.value = text;
      if (error.code === "followers_only") toast(explain(error), "warn", { text: t("chat.follow"), run: () => this.followAndSay() });
      else toast(explain(error), "error");
    }
  }

  async followAndSay() {
    try {
      await this.hub()?.command("follow");
      $("composer").requestSubmit();
    } catch (error) {
      toast(explain(error), "error");
    }
  }
}
