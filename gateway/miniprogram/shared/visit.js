/**
 * Who uses the mini-program, and by whose share they came: one token, one API and one link for all of its pages.
 *
 * The room page begins a visit; what is opened from there goes on with it, and a page that is opened by itself (from a
 * card, a message, a code) begins its own.
 */

import { BASE, ROOM } from "../config.js";
import { Api, ApiError, newKey, wxPlatform } from "../lib/siyu.js";

/** Where the phone remembers its name: it spares a viewer a new one at each visit and is no identity. */
const DEVICE_KEY = "siyu-device";
/** An address without a host is the server's. */
const ABSOLUTE = /^[a-z]+:/i;

/** @typedef {Record<string, string|undefined>} Query */

/** @type {Visit|null} */
let current = null;

/**
 * The visit that a page belongs to.
 * @param {Query} query of a card: room and s; of a code: scene
 * @returns {Visit}
 */
export function visitOf(query) {
  const scene = query.s || decodeURIComponent(query.scene || "");
  const room = query.room || current?.room || ROOM;
  if (!current || current.room !== room || (scene && scene !== current.scene)) current = new Visit(room, scene);
  return current;
}

export class Visit {
  /**
   * @param {string} room
   * @param {string} scene the token of the link by which this person came, empty without one
   */
  constructor(room, scene) {
    this.room = room;
    this.scene = scene;
    this.platform = wxPlatform(wx, BASE);
    this.api = new Api(null, this.platform);
    /** The masked number that this person has shown, empty when none is known. */
    this.phone = "";
    /** Whether WeChat said who this is: else it is a guest with a device's name. */
    this.known = false;
    /** A share link of one's own, a child of the one this person came by. */
    this.link = "";
    /** Holds that an order was made of, on whatever page. @type {Set<string>} */
    this.ordered = new Set();
    /** What goods are to be made to, until they are ordered, by SKU. @type {Map<string, Record<string, string>>} */
    this.wishes = new Map();
    /** @type {Set<(token: string) => void>} */
    this.listeners = new Set();
    /** @type {Promise<string>|null} */
    this.entering = null;
  }

  /** A token is there; rejects with ApiError when the door is closed. */
  async ready() {
    if (!this.api.token) await this.enter();
  }

  /**
   * Come in anew; two who ask at once wait for the same answer.
   * @returns {Promise<string>} a fresh token
   */
  enter() {
    this.entering ??= this.ask().finally(() => {
      this.entering = null;
    });
    return this.entering;
  }

  async ask() {
    try {
      return await this.signIn();
    } catch (error) {
      // The show goes on for who cannot be told by WeChat; a server that is not there is another matter.
      if (error instanceof ApiError && (error.status === 0 || error.code === "no_room")) throw error;
      return this.asGuest();
    }
  }

  /** @returns {Promise<string>} */
  async asGuest() {
    const guest = await this.api.post("/auth/guest", { ...this.coming(), device: device() });
    return this.came(guest);
  }

  /**
   * Come in as who WeChat says this is.
   * @param {string} [phoneCode] of a button with `open-type="getPhoneNumber"`
   * @returns {Promise<string>} the token; rejects with ApiError, or Error when `wx.login` fails
   */
  async signIn(phoneCode) {
    const code = await wechatCode();
    const phone = phoneCode ? { phone_code: phoneCode } : {};
    const answer = await this.api.post("/auth/wechat", { ...this.coming(), code, ...phone });
    this.known = true;
    this.phone = answer.phone || "";
    return this.came(answer);
  }

  /** Who was forgotten is a stranger from now on: nothing of them stays on the phone. */
  async leave() {
    wx.clearStorageSync();
    this.phone = "";
    this.known = false;
    this.link = "";
    await this.enter();
  }

  coming() {
    return { room: this.room, scene: this.scene || undefined };
  }

  /**
   * @param {{token: string}} answer
   * @returns {string}
   */
  came({ token }) {
    this.api.token = token;
    for (const listener of this.listeners) listener(token);
    return token;
  }

  /**
   * Hear of each new token: who is connected by the old one has to know.
   * @param {(token: string) => void} listener
   * @returns {() => void} stops that
   */
  onToken(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Make the share link once. A token that lapsed or was mistyped has no children; one can still share, as a first. */
  async mintLink() {
    if (this.link) return;
    const link = { room: this.room, channel: "weapp" };
    try {
      const parent = this.scene ? { parent: this.scene } : {};
      this.link = (await this.api.post("/links", { ...link, ...parent })).token;
    } catch (error) {
      if (!this.scene) throw error;
      this.link = (await this.api.post("/links", link)).token;
    }
  }

  /**
   * Where a page of this visit is, for `wx.navigateTo`.
   * @param {string} page such as "/shop/orders/orders"
   * @param {Record<string, string>} [values]
   * @returns {string}
   */
  address(page, values = {}) {
    const pairs = Object.entries({ room: this.room, ...values });
    return `${page}?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
  }

  /**
   * Where a card leads that this person shares: the same page, by their own link (before there is one, by the one they came by).
   * @param {string} page
   * @param {Record<string, string>} [values]
   * @returns {string}
   */
  card(page, values = {}) {
    const token = this.link || this.scene;
    return this.address(page, { ...(token && { s: token }), ...values });
  }
}

/** @returns {string} */
function device() {
  let known = wx.getStorageSync(DEVICE_KEY);
  if (!known) {
    known = newKey();
    wx.setStorageSync(DEVICE_KEY, known);
  }
  return known;
}

/** @returns {Promise<string>} a code that is good once and for five minutes */
function wechatCode() {
  return new Promise((resolve, reject) => {
    wx.login({ success: ({ code }) => resolve(code), fail: (failure) => reject(new Error(failure.errMsg)) });
  });
}

/**
 * A picture's whole address: to a mini-program one without a host lies in its own package.
 * @param {string|null|undefined} address
 * @returns {string}
 */
export function asset(address) {
  return !address || ABSOLUTE.test(address) ? address || "" : BASE + address;
}
