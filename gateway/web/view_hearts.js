/** Floating hearts: one for each own tap, a few for what others add. */

import { icon } from "./dom.js";

/** Hearts on the screen at a time. */
const HEARTS_MAX = 18;
/** Hearts drawn for one change of the total: a count says more than a swarm. */
const BURST_MAX = 4;

/**
 * @param {HTMLElement} place
 * @returns {{tap: () => void, others: (added: number) => void}}
 */
export function hearts(place) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  function float() {
    if (still.matches || place.childElementCount >= HEARTS_MAX || document.hidden) return;
    const heart = icon("heart", "heart");
    heart.dataset.hue = String(Math.floor(Math.random() * 4));
    heart.style.setProperty("--sway", `${Math.round(Math.random() * 50 - 25)}px`);
    heart.style.setProperty("--tilt", `${Math.round(Math.random() * 40 - 20)}deg`);
    heart.addEventListener("animationend", () => heart.remove());
    place.append(heart);
  }

  return {
    tap: float,
    others(added) {
      for (let n = 0; n < Math.min(added, BURST_MAX); n += 1) setTimeout(float, n * 140);
    },
  };
}
