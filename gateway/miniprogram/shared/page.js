/** What every page outside of the room does alike: come in, load, say what went wrong, and act once at a time. */

import { explain, speaker, wordsOf } from "./speak.js";
import { SHARED } from "./texts.js";
import { visitOf } from "./visit.js";

/** @typedef {import("./visit.js").Visit} Visit */
/** @typedef {import("./visit.js").Query} Query */
/**
 * What a page finds on `this` beside its own.
 * @typedef {{data: Record<string, any>, query: Query, visit: Visit, t: import("./speak.js").Speak,
 *   setData: (values: Record<string, any>) => void, again: () => Promise<void>,
 *   act: (work: () => Promise<unknown>, said?: string) => Promise<boolean>,
 *   complain: (error: any) => void, go: (page: string, values?: Record<string, string>) => void}} Members
 */
/**
 * What a page gives: `load` resolves to the values to show.
 * @typedef {{load: () => Promise<Record<string, any>>}} Own
 */

/**
 * Register a page of the shop.
 * @template {Own & Record<string, any>} T
 * @param {import("./speak.js").Texts} texts the page's own
 * @param {T & ThisType<T & Members>} own
 */
export function shopPage(texts, own) {
  const all = { ...SHARED, ...texts };
  const t = speaker(all);
  const words = wordsOf(all);
  Page({
    t,

    /** @param {Query} query */
    async onLoad(query) {
      Object.assign(this, { query, visit: visitOf(query) });
      wx.setNavigationBarTitle({ title: t("title") });
      await this.again();
    },

    /** Load and show; whatever goes wrong stands on the page with a button to try again. */
    async again() {
      try {
        await this.visit.ready();
        this.setData({ ...(await this.load()), ready: true, problem: "" });
      } catch (error) {
        this.setData({ ready: true, problem: explain(t, error) });
      }
    },

    async onPullDownRefresh() {
      await this.again();
      wx.stopPullDownRefresh();
    },

    /**
     * Do what a tap asks for, and load anew; a second tap meanwhile is nothing.
     * @param {() => Promise<unknown>} work
     * @param {string} [said] a text's key, told when it is done
     * @returns {Promise<boolean>} whether it was done
     */
    async act(work, said) {
      if (this.data.busy) return false;
      this.setData({ busy: true });
      try {
        await work();
        if (said) wx.showToast({ title: t(said), icon: "none" });
        await this.again();
        return true;
      } catch (error) {
        this.complain(error);
        return false;
      } finally {
        this.setData({ busy: false });
      }
    },

    /** @param {any} error */
    complain(error) {
      if (error?.code === "cancelled") return;
      wx.showToast({ title: explain(t, error), icon: "none" });
      if (error instanceof TypeError) console.error(error);
    },

    /**
     * Open another page of this visit.
     * @param {string} page such as "/shop/orders/orders"
     * @param {Record<string, string>} [values]
     */
    go(page, values = {}) {
      wx.navigateTo({ url: this.visit.address(page, values) });
    },

    ...own,
    data: { words, ready: false, busy: false, problem: "", ...own.data },
  });
}

