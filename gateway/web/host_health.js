/** The line under the host's preview: what arrives, who watches how, and what the host could do better. */

import { h, put } from "./dom.js";
import { knows, t } from "./i18n.js";

const WAYS = { flv: "FLV", ws_flv: "WS-FLV", mp4: "MP4", rtmp: "RTMP", hls: "HLS", whep: "WebRTC" };

/**
 * @param {HTMLElement} place
 * @param {{live: boolean, width?: number, height?: number, video?: string, health?: any, players?: Record<string, number>}|null} streams
 *   the answer of /rooms/ROOM/streams
 */
export function drawHealth(place, streams) {
  const health = streams?.health;
  place.hidden = !streams?.live || !health?.protocol;
  if (place.hidden) return;
  const advice = health.advice.map((one) =>
    h("li", { data: { level: one.level, code: one.code } }, sentence(one)),
  );
  put(
    place,
    h("p.health-figures.num", { "data-testid": "health-figures" }, figures(streams).map((text) => h("span", {}, text))),
    h(
      "ul.advice",
      { "data-testid": "advice" },
      advice.length ? advice : h("li", { data: { level: "good" } }, t(health.fps === null ? "health.wait" : "health.good")),
    ),
  );
}

/** The server's English sentence where the page has none of its own yet. */
function sentence({ code, values, text }) {
  const key = `health.${code}`;
  return knows(key) ? t(key, values) : text;
}

function figures({ width, height, video, health, players }) {
  const codec = { avc1: "H.264", hvc1: "HEVC", hev1: "HEVC", av01: "AV1", vp09: "VP9", vp08: "VP8" };
  const out = [health.protocol.toUpperCase()];
  if (video) out.push(`${codec[video.slice(0, 4)] || video} ${width || "—"}×${height || "—"}`);
  if (health.fps !== null) {
    out.push(t("health.fps", { fps: Math.round(health.fps) }));
    out.push(`${((health.video_bps + health.audio_bps) / 1e6).toFixed(1)} Mbps`);
  }
  if (health.gop_ms !== null) out.push(t("health.gop", { seconds: (health.gop_ms / 1000).toFixed(1) }));
  if (health.rtt_ms !== null) out.push(t("health.rtt", { rtt: health.rtt_ms }));
  if (health.packets_dropped) out.push(t("health.dropped", { n: health.packets_dropped }));
  const watching = Object.entries(players || {}).filter(([, count]) => count);
  if (watching.length) out.push(watching.map(([way, count]) => `${WAYS[way] || way} ${count}`).join(" · "));
  return out;
}
