/** A visit in its room: the hub, what is known of the room, the moment of each card in the picture. */

import { hostMediaMs, MediaSchedule, SiyuHub } from "../../lib/siyu.js";
import { RoomStore } from "../../lib/store.js";
import { Basket } from "./basket.js";
import { Ballot } from "./poll.js";
import { Wishes } from "./wishes.js";

/** What lies between the host's camera and a phone beside the player's own buffer. */
const PATH_MS = 300;
/** What the host says waits for its frame; sales and coupons are a race and wait for nobody's picture. */
const AT_THE_FRAME = new Set(["pin", "unpin"]);

/** What is said of each change of one's rights. @type {Record<import("../../lib/keeping.js").Change, string>} */
const TOLD = { appointed: "keeperNow", dismissed: "keeperOver", muted: "muted", unmuted: "unmuted" };

export class Show {
  /**
   * @param {import("../../shared/visit.js").Visit} visit
   * @param {() => void} changed called when something is to be drawn: for a frame once
   */
  constructor(visit, changed) {
    this.visit = visit;
    this.changed = changed;
    this.store = new RoomStore();
    /** How much the player has buffered (ms), null while it shows nothing. @type {number|null} */
    this.bufferedMs = null;
    this.frames = new MediaSchedule(() => this.shownMediaMs());
    this.flv = "";
    const { room, platform, api } = visit;
    this.hub = new SiyuHub({ room, token: "", renew: () => this.renew(), platform });
    this.basket = new Basket({ hub: this.hub, api, changed });
    this.wishes = new Wishes({ hub: this.hub, store: this.store, basket: this.basket, changed });
    this.ballot = new Ballot({ wx, hub: this.hub, changed });
    this.store.on("you", (changes) => this.standingChanged(changes));
    this.hub.on("*", (event) => this.take(event));
    this.hub.on("frame", changed);
    /** Whether the hub has asked for a token itself. */
    this.renewing = false;
    /** @type {(() => void)|undefined} */
    this.stopRenewed = undefined;
    /** The close code after which the hub does not come back, 0 while it does. */
    this.endCode = 0;
    this.hub.on("state", ({ state, code }) => {
      this.endCode = state === "closed" ? code : 0;
      changed();
    });
  }

  /** Come in and stay; rejects with ApiError when the door is closed. */
  async open() {
    const { visit, hub } = this;
    await visit.ready();
    hub.token = visit.api.token || "";
    const [found] = await Promise.all([visit.api.get(`/rooms/${encodeURIComponent(visit.room)}`), this.mintLink()]);
    this.flv = found.play.flv;
    hub.connect();
    this.stopRenewed ??= visit.onToken((token) => this.takeToken(token));
    this.welcome();
  }

  /** Before the room is seen, so that whoever shares at once shares by their own link. */
  async mintLink() {
    try {
      await this.visit.mintLink();
    } catch (error) {
      // One can watch without it; what is shared meanwhile leads on by the link that brought this person.
      console.info("share link:", error instanceof Error ? error.message : error);
    }
  }

  /** Coupons that come by themselves on coming in (进店送券); the hub tells of each. */
  welcome() {
    const given = this.visit.api.post(`/rooms/${encodeURIComponent(this.visit.room)}/entry-coupons`);
    given.catch((error) => console.info("entry coupons:", error.message));
  }

  /** The hub's own token has lapsed: it connects by the new one itself. */
  async renew() {
    this.renewing = true;
    try {
      return await this.visit.enter();
    } finally {
      this.renewing = false;
    }
  }

  /** Somebody signed in, on this page or another: the room has to know them, too. @param {string} token */
  takeToken(token) {
    if (!this.renewing) this.hub.useToken(token);
  }

  /** @param {any} event */
  take(event) {
    const apply = () => {
      this.store.apply(event);
      this.changed();
    };
    if (AT_THE_FRAME.has(event.t)) this.frames.at(event.media_ms, apply);
    else this.store.apply(event);
    if (typeof event.a === "number") this.wishes.take(event);
  }

  /**
   * Rights that changed while this person was here: the button bar shows them, and they are told once.
   * @param {import("../../lib/keeping.js").Change[]} changes
   */
  standingChanged(changes) {
    for (const change of changes) this.wishes.tell(TOLD[change], {});
  }

  /** live-player does not tell how far it is: the host's place less what is buffered. */
  shownMediaMs() {
    const host = hostMediaMs(this.store.stream, this.hub.now());
    return host === null || this.bufferedMs === null ? null : host - this.bufferedMs - PATH_MS;
  }

  /**
   * What a person looked at and shared is part of who brought whom; a report that fails costs them nothing.
   * @param {string} kind
   * @param {string} [sku]
   */
  report(kind, sku) {
    const touched = this.hub.command("touch", sku ? { kind, sku, ...(this.visit.scene && { token: this.visit.scene }) } : { kind });
    touched.catch((error) => console.info("touch:", error.message));
  }

  close() {
    this.stopRenewed?.();
    this.hub.close();
  }
}
