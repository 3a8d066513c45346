/** The poll in sight: one vote, then the shares as they grow. */

import { h, put, toast } from "./dom.js";
import { clock, explain, onLanguage, t } from "./i18n.js";
import { recall, remember } from "./memory.js";

/** How long a poll that has ended stays in sight. */
const LINGER_MS = 12000;

/**
 * @param {{place: HTMLElement, store: import("./store.js").RoomStore, hub: import("./siyu.js").SiyuHub, room: string}} options
 */
export function pollCard({ place, store, hub, room }) {
  const stored = `siyu.vote.${room}`;
  let mine = recall("session", stored, {});
  /** Whether this page saw the poll open: one that was over before is no news. */
  let seen = "";
  let timer = 0;

  const vote = async (poll, option) => {
    try {
      await hub.command("poll.vote", { poll: poll.poll, option });
    } catch (error) {
      if (error.code !== "already") {
        toast(explain(error), "error");
        return;
      }
    }
    mine = { [poll.poll]: option };
    remember("session", stored, mine);
    draw();
  };

  const line = (poll, option, index, all, can) => {
    const share = all ? poll.votes[index] / all : 0;
    const button = h(
      "button.poll-option",
      {
        type: "button",
        disabled: !can,
        "data-testid": `vote-${index}`,
        data: { mine: String(mine[poll.poll] === index) },
        on: { click: () => vote(poll, index) },
      },
      h("span", {}, option),
      !can && h("b.num", {}, `${Math.round(share * 100)}%`),
    );
    if (!can) button.style.setProperty("--share", String(share));
    return button;
  };

  function draw() {
    const { poll } = store;
    if (poll?.state === "open") seen = poll.poll;
    clearTimeout(timer);
    if (!poll || seen !== poll.poll) {
      put(place);
      return;
    }
    if (poll.state === "ended") timer = setTimeout(() => ((seen = ""), draw()), LINGER_MS);
    const all = poll.votes.reduce((sum, votes) => sum + votes, 0);
    const left = poll.ends ? poll.ends - hub.now() : 0;
    const over = poll.ends && left <= 0;
    const can = poll.state === "open" && !over && !(poll.poll in mine);
    // Redrawn by the second while it counts down.
    if (poll.state === "open" && left > 0) timer = setTimeout(draw, Math.min(left, 1000));
    put(
      place,
      h(
        "article.poll",
        { "data-testid": "poll-card", data: { state: poll.state } },
        h(
          "div.poll-head",
          {},
          h("strong", {}, poll.title),
          poll.state === "open" && left > 0 && h("span.num", { "data-testid": "poll-left" }, clock(left)),
          h("span.faint.num", {}, t("vote.count", { n: all })),
        ),
        poll.options.map((option, index) => line(poll, option, index, all, can)),
      ),
    );
  }

  store.on("poll", draw);
  onLanguage(draw);
}
