/** Drawings of the board in SVG: a period step by step, who came back week by week, models side by side. */

import { pressable, s } from "./dom.js";

const TIME_HEIGHT = 220;
const TIME_MARGIN = { left: 46, right: 58, top: 14, bottom: 26 };
/** Room for one label below the chart. */
const TIME_LABEL_PX = 54;
/** Lines across the chart, the foot not counted. */
const GRID_LINES = 3;

/** The next round figure: 1, 2 or 5 times a power of ten for each line of the grid. */
export function roundUp(most) {
  const step = Math.max(1, most) / GRID_LINES;
  const power = 10 ** Math.floor(Math.log10(step));
  const round = [1, 2, 5, 10].find((one) => one * power >= step) * power;
  return Math.max(GRID_LINES, round * GRID_LINES);
}

/**
 * A period step by step: people who entered as bars, what was paid as a line.
 * @param {{at: number, entries: number, amount: number}[]} rows one for each hour or day, oldest first
 * @param {number} width pixels to draw into
 * @param {{people: (n: number) => string, money: (fen: number) => string, step: (at: number) => string,
 *          title: string, say: (row: any) => string, open: (row: any) => void}} words
 * @returns {SVGElement}
 */
export function timeline(rows, width, words) {
  const { left, right, top, bottom } = TIME_MARGIN;
  const inner = Math.max(60, width - left - right);
  const high = TIME_HEIGHT - top - bottom;
  const people = roundUp(Math.max(0, ...rows.map((row) => row.entries)));
  const fen = roundUp(Math.max(0, ...rows.map((row) => row.amount)) / 100) * 100;
  const step = inner / Math.max(1, rows.length);
  const bar = Math.min(26, Math.max(2, step * 0.62));
  const x = (index) => left + step * (index + 0.5);
  const foot = top + high;
  const y = (share) => foot - share * high;
  const grid = Array.from({ length: GRID_LINES + 1 }, (_, index) => index / GRID_LINES).map((share) => [
    s("path", { class: share ? "grid-line" : "grid-foot", d: `M${left} ${y(share)}H${left + inner}` }),
    s("text", { class: "grid-people", x: left - 8, y: y(share) + 4, "text-anchor": "end" }, words.people(people * share)),
    s("text", { class: "grid-money", x: left + inner + 8, y: y(share) + 4 }, words.money(fen * share)),
  ]);
  const every = Math.ceil(TIME_LABEL_PX / step);
  const labels = rows.map((row, index) =>
    index % every ? null : s("text", { class: "grid-step", x: x(index), y: foot + 18, "text-anchor": "middle" }, words.step(row.at)),
  );
  const bars = rows.map((row, index) => {
    const tall = (row.entries / people) * high;
    const round = Math.min(3, bar / 2, tall);
    return s("path", {
      class: "time-bar",
      d: `M${x(index) - bar / 2} ${foot}v${-(tall - round)}q0 ${-round} ${round} ${-round}h${bar - 2 * round}q${round} 0 ${round} ${round}v${tall - round}Z`,
    });
  });
  const points = rows.map((row, index) => `${x(index).toFixed(1)} ${y(row.amount / fen).toFixed(1)}`);
  const dots = rows.map((row, index) =>
    row.amount ? s("circle", { class: "time-dot", cx: x(index), cy: y(row.amount / fen), r: step > 14 ? 3.2 : 1.8 }) : null,
  );
  const touch = rows.map((row, index) =>
    s(
      "rect",
      {
        class: "time-touch",
        x: left + step * index,
        y: top,
        width: step,
        height: high,
        "data-testid": "time-step",
        ...pressable(words.say(row), () => words.open(row)),
      },
      s("title", {}, words.say(row)),
    ),
  );
  return s(
    "svg.timeline",
    { viewBox: `0 0 ${width} ${TIME_HEIGHT}`, width, height: TIME_HEIGHT, role: "group", "aria-label": words.title },
    grid,
    labels,
    bars,
    points.length > 1 && s("path", { class: "time-line", d: `M${points.join("L")}` }),
    dots,
    touch,
  );
}

const WEEK_PX = 54;
const WEEK_ROW_PX = 34;
const WEEK_HEAD_PX = 26;
const WEEK_LABEL_PX = 104;

/**
 * Who came back: a row for each week of first orders, a cell for each week after it, the darker the more came.
 * @param {{week: number, persons: number, weeks: {persons: number, amount: number}[]}[]} rows
 * @param {{row: (row: any) => string, column: (later: number) => string, cell: (row: any, later: number) => string,
 *          title: string, open: (row: any, later: number) => void}} words
 * @returns {SVGElement}
 */
export function cohortGrid(rows, words) {
  const columns = Math.max(1, ...rows.map((row) => row.weeks.length));
  const width = WEEK_LABEL_PX + columns * WEEK_PX;
  const height = WEEK_HEAD_PX + rows.length * WEEK_ROW_PX;
  const heads = Array.from({ length: columns }, (_, later) =>
    s(
      "text",
      { class: "week-head", x: WEEK_LABEL_PX + (later + 0.5) * WEEK_PX, y: 16, "text-anchor": "middle" },
      words.column(later),
    ),
  );
  const lines = rows.map((row, index) => {
    const top = WEEK_HEAD_PX + index * WEEK_ROW_PX;
    const cells = row.weeks.map((week, later) => cohortCell(row, week, later, top, words));
    return [s("text", { class: "week-label", x: 0, y: top + 21 }, words.row(row)), cells];
  });
  return s("svg.cohorts", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": words.title }, heads, lines);
}

function cohortCell(row, week, later, top, words) {
  const share = row.persons ? week.persons / row.persons : 0;
  const left = WEEK_LABEL_PX + later * WEEK_PX;
  const cell = s("rect", { class: "week-cell", x: left + 1.5, y: top + 1.5, width: WEEK_PX - 3, height: WEEK_ROW_PX - 3, rx: 7 });
  cell.style.setProperty("--share", share.toFixed(3));
  return s(
    "g",
    {
      class: share > 0.45 ? "week dark" : "week",
      "data-testid": "cohort-cell",
      ...(week.persons ? pressable(words.cell(row, later), () => words.open(row, later)) : {}),
    },
    cell,
    s(
      "text",
      { x: left + WEEK_PX / 2, y: top + 21, "text-anchor": "middle" },
      later ? `${Math.round(share * 100)}%` : String(week.persons),
    ),
    s("title", {}, words.cell(row, later)),
  );
}

const MODEL_BAR_PX = 15;
const MODEL_GAP_PX = 16;
const MODEL_NAME_PX = 24;
const MODEL_VALUE_PX = 96;

/**
 * The same orders under several models: for each issuer one bar a model.
 * @param {{name: string, amounts: number[]}[]} rows
 * @param {number} width pixels to draw into
 * @param {{money: (fen: number) => string, model: (index: number) => string, title: string}} words
 * @returns {SVGElement}
 */
export function sideBySide(rows, width, words) {
  const most = Math.max(1, ...rows.flatMap((row) => row.amounts));
  const room = Math.max(60, width - MODEL_VALUE_PX);
  let top = 0;
  const blocks = rows.map((row) => {
    const name = s("text", { class: "model-name", x: 0, y: top + 16 }, row.name);
    const bars = row.amounts.map((amount, index) => {
      const y = top + MODEL_NAME_PX + index * MODEL_BAR_PX;
      const long = Math.max(amount ? 2 : 0, (amount / most) * room);
      return [
        s("rect", { class: `model-bar model-${index}`, x: 0, y, width: long, height: MODEL_BAR_PX - 4, rx: 3 }, s("title", {}, words.model(index))),
        s("text", { class: "model-value", x: long + 7, y: y + 10 }, words.money(amount)),
      ];
    });
    top += MODEL_NAME_PX + row.amounts.length * MODEL_BAR_PX + MODEL_GAP_PX;
    return [name, bars];
  });
  return s("svg.models-chart", { viewBox: `0 0 ${width} ${top}`, width, height: top, role: "img", "aria-label": words.title }, blocks);
}
