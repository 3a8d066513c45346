/** The host's explanation of a product once more, cut from the recording. */

import { h, put, sheet } from "./dom.js";
import { t } from "./i18n.js";

const CLIP_ID = /\/clips\/([^/.]+)\.mp4/;

/** @returns {string|undefined} the id of a card's clip */
export const clipOf = (card) => card.clip.match(CLIP_ID)?.[1];

/**
 * Play a card's clip; the live sound rests meanwhile.
 * @param {{title: string, clip: string}} card
 * @param {HTMLMediaElement} live
 * @param {string|null} token where watching needs one
 */
export function openClip(card, live, token) {
  const muted = live.muted;
  live.muted = true;
  const clip = sheet({
    title: card.title,
    testid: "clip-sheet",
    closeLabel: t("common.close"),
    onClose: () => (live.muted = muted),
  });
  const query = token ? `?${new URLSearchParams({ token })}` : "";
  const attributes = { src: card.clip + query, controls: true, autoplay: true, playsinline: true };
  put(clip.body, h("video.clip", { ...attributes, "data-testid": "clip-video" }));
}
