/** My data: what I agreed to, who looked at it, all of it to take away, and to be forgotten. */

import { agreed } from "../../shared/asking.js";
import { shopPage } from "../../shared/page.js";
import { when } from "../../shared/speak.js";
import { PRIVACY } from "../texts.js";

const PURPOSES = ["member", "marketing", "profile"];

shopPage(PRIVACY, {
  async load() {
    const { api } = this.visit;
    const [consents, log] = await Promise.all([api.get("/me/consents"), api.get("/me/privacy-log?limit=20")]);
    const action = (/** @type {string} */ name) => {
      const text = this.t(`action.${name}`);
      return text === `action.${name}` ? name : text;
    };
    return {
      purposes: PURPOSES.map((purpose) => ({ purpose, text: this.t(`purpose.${purpose}`), on: Boolean(consents[purpose]) })),
      log: log.items.map((/** @type {any} */ row) => [when(row.at_ms), action(row.action), row.reason].filter(Boolean).join(" · ")),
    };
  },

  /** @param {{currentTarget: {dataset: {purpose: string}}, detail: {value: boolean}}} event */
  async onTurn({ currentTarget, detail }) {
    const { purpose } = currentTarget.dataset;
    const body = { purpose, granted: detail.value, source: "mini-program" };
    // Refused (a child's consent to marketing, say), the switch goes back to what holds.
    if (!(await this.act(() => this.visit.api.post("/me/consents", body)))) await this.again();
  },

  onContract() {
    wx.openPrivacyContract({ fail: (failure) => this.complain(new Error(failure.errMsg)) });
  },

  async onCopy() {
    await this.act(async () => {
      const data = JSON.stringify(await this.visit.api.get("/me/data"), null, 2);
      wx.setClipboardData({ data });
    });
  },

  async onErase() {
    if (!(await agreed(this.t("erase"), this.t("sure")))) return;
    await this.act(async () => {
      await this.visit.api.delete("/me/data");
      await this.visit.leave();
    }, "erased");
  },
});
