/** One visit to a room: who came, by whose share; the hub; the moment of each card in the picture. */

import { Api, hostMediaMs, MediaSchedule, newKey, SiyuHub, wxPlatform } from "../../lib/siyu.js";
import { RoomStore } from "../../lib/store.js";
import { Basket } from "./basket.js";
import { Ballot } from "./poll.js";

/** Where the phone remembers its name: it spares a viewer a new one at each visit and is no identity. */
const DEVICE_KEY = "siyu-device";
/** What lies between the host's camera and a phone beside the player's own buffer. */
const PATH_MS = 300;
/** What the host says waits for its frame; sales and coupons are a race and wait for nobody's picture. */
const AT_THE_FRAME = new Set(["pin", "unpin"]);

export class Show {
  /**
   * @param {{wx: any, base: string, room: string, scene: string, changed: () => void}} options `changed` is called
   *   when something is to be drawn: for a frame once
   */
  constructor({ wx, base, room, scene, changed }) {
    this.wx = wx;
    this.room = room;
    this.scene = scene;
    this.changed = changed;
    this.platform = wxPlatform(wx, base);
    this.api = new Api(null, this.platform);
    this.store = new RoomStore();
    /** How much the player has buffered (ms), null while it shows nothing. @type {number|null} */
    this.bufferedMs = null;
    this.frames = new MediaSchedule(() => this.shownMediaMs());
    /** A share link of one's own, a child of the one this person came by. */
    this.link = "";
    this.flv = "";
    this.hub = new SiyuHub({ room, token: "", renew: () => this.enter(), platform: this.platform });
    this.basket = new Basket({ hub: this.hub, api: this.api, changed });
    this.ballot = new Ballot({ wx, hub: this.hub, changed });
    this.hub.on("*", (event) => this.take(event));
    this.hub.on("frame", changed);
    /** The close code after which the hub does not come back, 0 while it does. */
    this.endCode = 0;
    this.hub.on("state", ({ state, code }) => {
      this.endCode = state === "closed" ? code : 0;
      changed();
    });
  }

  /** Come in and stay; rejects with ApiError when the door is closed. */
  async open() {
    this.hub.token = await this.enter();
    const found = await this.api.get(`/rooms/${encodeURIComponent(this.room)}`);
    this.flv = found.play.flv;
    this.hub.connect();
    await this.mintLink();
  }

  /** @returns {Promise<string>} a fresh token */
  async enter() {
    const body = { room: this.room, device: this.device(), scene: this.scene || undefined };
    const guest = await this.api.post("/auth/guest", body);
    this.api.token = guest.token;
    return guest.token;
  }

  device() {
    let device = this.wx.getStorageSync(DEVICE_KEY);
    if (!device) {
      device = newKey();
      this.wx.setStorageSync(DEVICE_KEY, device);
    }
    return device;
  }

  /** A token that lapsed or was mistyped has no children; one can still share, as the first of a line. */
  async mintLink() {
    const link = { room: this.room, channel: "weapp" };
    try {
      const parent = this.scene ? { parent: this.scene } : {};
      this.link = (await this.api.post("/links", { ...link, ...parent })).token;
    } catch (error) {
      if (!this.scene) throw error;
      this.link = (await this.api.post("/links", link)).token;
    }
  }

  /** @param {any} event */
  take(event) {
    const apply = () => {
      this.store.apply(event);
      this.changed();
    };
    if (AT_THE_FRAME.has(event.t)) this.frames.at(event.media_ms, apply);
    else this.store.apply(event);
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
    const touched = this.hub.command("touch", sku ? { kind, sku, ...(this.scene && { token: this.scene }) } : { kind });
    touched.catch((error) => console.info("touch:", error.message));
  }

  close() {
    this.hub.close();
  }
}
