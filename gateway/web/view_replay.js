/** Recorded shows (回放): a list with their pictures, and one of them playing, in a sheet. */

import { h, icon, picture, put, sheet } from "./dom.js";
import { clock, explain, t, when } from "./i18n.js";
import { ReplayPlayer } from "./player_replay.js";

/** A show of a few seconds is somebody trying the camera. */
const SHOW_MS_MIN = 3000;
const LISTED_MAX = 50;

/**
 * @param {import("./api.js").Api} api
 * @param {string} room
 * @returns {Promise<any[]>} the room's shows that have ended, newest first
 */
export async function readShows(api, room) {
  const answer = await api.get(`/rooms/${encodeURIComponent(room)}/shows?limit=${LISTED_MAX}`);
  return answer.items.filter((show) => show.ended && show.length_ms >= SHOW_MS_MIN);
}

/**
 * @param {{shows: any[], token: string|null, first?: string|null, onClose?: () => void}} options `token` goes into the
 *   addresses where playback wants one; `first` is the show to begin with
 */
export function openReplays({ shows, token, first = null, onClose }) {
  let player = null;
  const query = token ? `?${new URLSearchParams({ token })}` : "";
  const opened = sheet({
    title: t("replay.title"),
    testid: "replay-sheet",
    className: "replays",
    closeLabel: t("common.close"),
    onClose: () => {
      player?.stop();
      onClose?.();
    },
  });
  const stage = h("div.replay-stage");
  const list = h("ol.replay-list", {}, shows.map(row));
  put(opened.body, stage, list);

  function row(show) {
    const cover = picture(show.thumbnail && pathOf(show.thumbnail) + query, t("replay.title"));
    const button = h(
      "button.replay",
      { type: "button", "data-testid": "replay", data: { show: show.show }, on: { click: () => play(show) } },
      h("span.replay-cover", {}, cover, icon("play")),
      h("span.replay-text", {}, h("strong", {}, when(show.started)), h("span.faint.num", {}, clock(show.length_ms))),
    );
    return h("li", {}, button);
  }

  function play(show) {
    player?.stop();
    for (const other of list.querySelectorAll(".replay")) {
      other.setAttribute("aria-current", String(other.dataset.show === show.show));
    }
    const video = h("video.clip", { controls: true, playsinline: true, "data-testid": "replay-video" });
    put(stage, video);
    player = new ReplayPlayer({
      video,
      url: pathOf(show.url) + query,
      onError: (error) => put(stage, h("p.form-problem", { role: "alert" }, explain(error))),
    });
    player.start();
    stage.scrollIntoView({ block: "nearest" });
  }

  const wanted = shows.find((show) => show.show === first) || (shows.length === 1 ? shows[0] : null);
  if (wanted) play(wanted);
}

/** The same server by which the page came, whatever name the API gives it. */
function pathOf(address) {
  const { pathname, search } = new URL(address, location.href);
  return pathname + search;
}
