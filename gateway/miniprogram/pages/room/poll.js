/** The poll in sight, and what this phone voted: a phone that comes back knows it still. */

import { clock } from "../../shared/speak.js";

/** Where the phone remembers its vote in the poll that it voted in last. */
const VOTE_KEY = "siyu-vote";
/** How long a poll that has ended stays in sight. */
const LINGER_MS = 12000;

export class Ballot {
  /** @param {{wx: any, hub: any, changed: () => void}} options */
  constructor({ wx, hub, changed }) {
    this.wx = wx;
    this.hub = hub;
    this.changed = changed;
    /** @type {{poll?: string, option?: number}} */
    this.mine = wx.getStorageSync(VOTE_KEY) || {};
    this.asking = false;
    /** The poll that was seen open here: one that was over before is no news. */
    this.seen = "";
    this.endedAt = 0;
  }

  /**
   * @param {any} poll
   * @param {number} option
   */
  async vote(poll, option) {
    this.asking = true;
    try {
      await this.hub.command("poll.vote", { poll: poll.poll, option });
    } catch (error) {
      // The answer to the first tap was lost: it counts all the same.
      if (/** @type {any} */ (error).code !== "already") throw error;
    } finally {
      this.asking = false;
    }
    this.mine = { poll: poll.poll, option };
    this.wx.setStorageSync(VOTE_KEY, this.mine);
    this.changed();
  }

  /**
   * @param {any} poll of the room, null when there was none
   * @param {number} now the server's time
   * @param {import("../../shared/speak.js").Speak} t
   */
  view(poll, now, t) {
    if (!poll) return null;
    if (poll.state === "open") [this.seen, this.endedAt] = [poll.poll, 0];
    if (this.seen !== poll.poll) return null;
    if (poll.state === "ended") this.endedAt ||= now;
    if (this.endedAt && now > this.endedAt + LINGER_MS) return null;
    const all = poll.votes.reduce((/** @type {number} */ sum, /** @type {number} */ votes) => sum + votes, 0);
    const left = poll.state === "open" && poll.ends ? poll.ends - now : 0;
    const over = poll.state !== "open" || Boolean(poll.ends && left <= 0);
    const voted = this.mine.poll === poll.poll;
    return {
      poll: poll.poll,
      title: poll.title,
      state: poll.state,
      total: t("votes", { n: all }),
      time: left > 0 ? clock(left) : "",
      can: !over && !voted && !this.asking,
      options: poll.options.map((/** @type {string} */ text, /** @type {number} */ index) => ({
        text,
        index,
        mine: voted && this.mine.option === index,
        share: all ? Math.round((100 * poll.votes[index]) / all) : 0,
        shown: over || voted,
      })),
    };
  }
}
