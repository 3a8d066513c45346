/** Small drawings in SVG: a funnel of counts, a tree of who shared to whom, a room's pulse by the second. */

import { pressable, s } from "./dom.js";

const FUNNEL_ROW_PX = 40;
const FUNNEL_LABEL_PX = 66;
const FUNNEL_RATE_PX = 58;
const TREE_ROW_PX = 46;
const TREE_COLUMN_PX = 190;
/** Nodes drawn; beyond it a tree says nothing to the eye. */
export const TREE_NODES_MAX = 60;

/**
 * A funnel: one band for each step, as wide as its count, tapering into the next.
 * @param {{label: string, count: number}[]} steps
 * @param {number} width pixels to draw into
 * @param {(step: number) => void} open shows who stands behind a band
 * @returns {SVGElement}
 */
export function funnel(steps, width, open) {
  const most = Math.max(1, ...steps.map((step) => step.count));
  const room = Math.max(80, width - FUNNEL_LABEL_PX - FUNNEL_RATE_PX);
  const middle = FUNNEL_LABEL_PX + room / 2;
  const half = (count) => Math.max(2, (count / most) * room) / 2;
  const height = steps.length * FUNNEL_ROW_PX;
  return s(
    "svg.funnel",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "group",
      "aria-label": steps.map((step) => `${step.label} ${step.count}`).join(", "),
    },
    steps.map((step, index) => {
      const top = index * FUNNEL_ROW_PX;
      const upper = half(step.count);
      const lower = half(index + 1 < steps.length ? steps[index + 1].count : step.count);
      const foot = top + FUNNEL_ROW_PX - 4;
      const before = index ? steps[index - 1].count : 0;
      const rate = index && before ? `${Math.round((step.count / before) * 100)}%` : "";
      const inside = upper * 2 > 70;
      return s(
        "g",
        { class: "funnel-step", "data-testid": "funnel-step", ...pressable(`${step.label} ${step.count}`, () => open(index)) },
        s("path", {
          class: `band band-${index}`,
          d: `M${middle - upper} ${top}H${middle + upper}L${middle + lower} ${foot}H${middle - lower}Z`,
        }),
        s("text", { class: "funnel-label", x: 0, y: top + 23 }, step.label),
        s(
          "text",
          {
            class: inside ? "funnel-count in" : "funnel-count",
            x: inside ? middle : middle + upper + 8,
            y: top + 23,
            "text-anchor": inside ? "middle" : "start",
          },
          String(step.count),
        ),
        s("text", { class: "funnel-rate", x: width, y: top + 23, "text-anchor": "end" }, rate),
      );
    }),
  );
}

const PULSE_WIDTH = 300;
const PULSE_HEIGHT = 64;
/** Seconds across the whole width at least: a few of them are no story yet. */
const PULSE_SECONDS_MIN = 60;
/** What of the height the lines said take, at the foot. */
const PULSE_LINES_SHARE = 0.34;

/**
 * A room by the second: viewers as an area, lines said as bars at its foot; it stretches to the width it is given.
 * @param {{viewers: number, lines: number}[]} seconds oldest first
 * @returns {SVGElement}
 */
export function pulse(seconds) {
  const most = Math.max(1, ...seconds.map((one) => one.viewers));
  const loudest = Math.max(4, ...seconds.map((one) => one.lines));
  const step = PULSE_WIDTH / (Math.max(PULSE_SECONDS_MIN, seconds.length) - 1);
  const x = (index) => (PULSE_WIDTH - (seconds.length - 1 - index) * step).toFixed(1);
  const y = (viewers) => (PULSE_HEIGHT - 2 - (viewers / most) * (PULSE_HEIGHT - 6)).toFixed(1);
  const points = seconds.map((one, index) => `${x(index)} ${y(one.viewers)}`);
  const bars = seconds
    .map((one, index) => [x(index), (one.lines / loudest) * PULSE_HEIGHT * PULSE_LINES_SHARE])
    .filter(([, height]) => height > 0)
    .map(([left, height]) => `M${left} ${PULSE_HEIGHT}v-${height.toFixed(1)}`);
  return s(
    "svg.pulse-chart",
    {
      viewBox: `0 0 ${PULSE_WIDTH} ${PULSE_HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": seconds.length ? String(seconds[seconds.length - 1].viewers) : "0",
    },
    points.length > 1 && [
      s("path", { class: "pulse-area", d: `M${x(0)} ${PULSE_HEIGHT}L${points.join("L")}V${PULSE_HEIGHT}Z` }),
      s("path", { class: "pulse-line", d: `M${points.join("L")}` }),
    ],
    s("path", { class: "pulse-bars", d: bars.join("") || "M0 0" }),
  );
}

/**
 * The links to draw: those with the most people first, each with everybody above it.
 * @param {any[]} nodes of the board's `tree`
 * @returns {any[]}
 */
export function chosenNodes(nodes) {
  const byLink = new Map(nodes.map((node) => [node.link, node]));
  const chosen = new Set();
  const ranked = [...nodes].sort(
    (left, right) => right.amount - left.amount || right.entries - left.entries || left.depth - right.depth,
  );
  for (const node of ranked) {
    const chain = [];
    for (let one = node; one && !chosen.has(one.link); one = byLink.get(one.parent)) chain.push(one);
    if (chosen.size + chain.length > TREE_NODES_MAX) break;
    for (const one of chain) chosen.add(one.link);
  }
  return nodes.filter((node) => chosen.has(node.link));
}

/** Give each node a column (its depth) and a row: leaves take rows in turn, a parent sits amid its children. */
function place(nodes) {
  const children = new Map();
  const present = new Set(nodes.map((node) => node.link));
  for (const node of nodes) {
    const parent = present.has(node.parent) ? node.parent : "";
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(node);
  }
  const spots = new Map();
  let row = 0;
  const visit = (node, column) => {
    const below = children.get(node.link) || [];
    const rows = below.map((child) => visit(child, column + 1));
    const own = rows.length ? (rows[0] + rows[rows.length - 1]) / 2 : row++;
    spots.set(node.link, { node, column, row: own, parent: present.has(node.parent) ? node.parent : "" });
    return own;
  };
  const roots = (children.get("") || []).map((node) => visit(node, 1));
  spots.set("", {
    node: null,
    column: 0,
    row: roots.length ? (roots[0] + roots[roots.length - 1]) / 2 : 0,
    parent: null,
  });
  return { spots, rows: Math.max(1, row) };
}

/**
 * The share tree, the shop at its root.
 * @param {any[]} nodes of the board's `tree`, at most TREE_NODES_MAX
 * @param {{shop: string, name: (node: any) => string, detail: (node: any) => string}} words
 * @param {(node: any) => void} open shows what a link brought
 * @returns {SVGElement}
 */
export function shareTree(nodes, words, open) {
  const { spots, rows } = place(nodes);
  const columns = Math.max(...[...spots.values()].map((spot) => spot.column)) + 1;
  const width = columns * TREE_COLUMN_PX - 20;
  const height = rows * TREE_ROW_PX + 10;
  const x = (spot) => 12 + spot.column * TREE_COLUMN_PX - (spot.column ? 90 : 0);
  const y = (spot) => spot.row * TREE_ROW_PX + TREE_ROW_PX / 2 + 4;
  const lines = [];
  const dots = [];
  for (const spot of spots.values()) {
    const parent = spot.parent === null ? null : spots.get(spot.parent);
    if (parent) {
      const bend = (x(spot) + x(parent)) / 2;
      lines.push(
        s("path", {
          class: "twig",
          d: `M${x(parent)} ${y(parent)}C${bend} ${y(parent)} ${bend} ${y(spot)} ${x(spot)} ${y(spot)}`,
        }),
      );
    }
    dots.push(dot(spot, x(spot), y(spot), words, open));
  }
  return s("svg.tree", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": words.shop }, lines, dots);
}

function dot(spot, x, y, words, open) {
  const { node } = spot;
  const earned = node && node.amount > 0;
  const radius = node ? Math.min(11, 5 + Math.sqrt(node.entries || 0)) : 10;
  const label = node ? words.name(node) : words.shop;
  return s(
    "g",
    {
      class: node ? "node" : "node shop",
      "data-link": node?.link || "",
      ...(node ? pressable(`${label} · ${words.detail(node)}`, () => open(node)) : {}),
    },
    s("circle", { class: earned ? "earned" : "", cx: x, cy: y, r: radius }),
    node
      ? s("text", { class: "node-name", x: x + radius + 7, y: y - 5 }, clip(label))
      : s("text", { class: "node-name", x: x - 10, y: y + 28 }, label),
    node && s("text", { class: "node-detail", x: x + radius + 7, y: y + 15 }, clip(words.detail(node), 24)),
    s("title", {}, node ? `${label} · ${words.detail(node)}` : label),
  );
}

function clip(text, most = 16) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
