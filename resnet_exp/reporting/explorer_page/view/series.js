// Colors, symbols and dashes of the series. Each has a symbol that no other has, and neighbors have other dashes: color is
// never the only sign.

import { counted } from "../rules/format.js";
import { MAX_SERIES, namedSeries, OTHERS } from "../rules/series.js";

/** @import { Look, Theme, View } from "../types.d.ts" */

const RECIPE_COLORS = new Map([
  ["baseline", "--ink"],
  ["mild", "--mild"],
  ["medium", "--medium"],
  ["hot", "--hot"],
]);
const MORE_COLORS = ["--more-1", "--more-2", "--more-3"];
const OTHER_COLOR = "--other";
const SPACE = "http://www.w3.org/2000/svg";
// The outlines of the symbols, by their names in Plotly: corners in a box from -1 to 1.
const OUTLINES = new Map([
  ["circle", ring(32)],
  ["square", ring(4, Math.PI / 4)],
  ["diamond", ring(4)],
  ["triangle-up", ring(3)],
  ["triangle-down", ring(3, Math.PI)],
  ["pentagon", ring(5)],
  ["star", ring(10, 0, 0.4)],
  ["cross", cross(0)],
  ["x", cross(Math.PI / 4)],
  ["hexagon", ring(6)],
  ["triangle-left", ring(3, -Math.PI / 2)],
  ["triangle-right", ring(3, Math.PI / 2)],
  ["hexagram", ring(12, 0, 0.58)],
  ["octagon", ring(8, Math.PI / 8)],
  ["diamond-tall", scaled(ring(4), 0.5, 1)],
  ["diamond-wide", scaled(ring(4), 1, 0.5)],
]);
const SYMBOLS = [...OUTLINES.keys()];
// As Plotly names or writes them.
const DASHES = ["dot", "10px,4px", "6px,3px,2px,3px", "4px,4px", "14px,3px", "2px,5px", "12px,3px,2px,3px,2px,3px"];
/** @type {Record<Exclude<View["state"]["compare"], "none">, string>} */
const SERIES_NOUNS = { recipe: "recipe", hardware: "machine", model: "model", data: "data format" };

/** @typedef {[x: number, y: number]} Corner */

/**
 * Corners around the middle, the first at the top (turned by `turn`); every other at `inner` of the radius.
 * @param {number} corners
 * @returns {Corner[]}
 */
function ring(corners, turn = 0, inner = 1) {
  return Array.from({ length: corners }, (_, index) => {
    const angle = turn + (2 * Math.PI * index) / corners;
    const radius = index % 2 ? inner : 1;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

/**
 * @param {number} turn
 * @returns {Corner[]}
 */
function cross(turn) {
  const arm = 0.4;
  const quarter = [
    [arm, -1],
    [arm, -arm],
    [1, -arm],
  ];
  return [0, 1, 2, 3].flatMap((side) => {
    const [sine, cosine] = [Math.sin(turn + (side * Math.PI) / 2), Math.cos(turn + (side * Math.PI) / 2)];
    return quarter.map(([x, y]) => /** @type {Corner} */ ([x * cosine - y * sine, x * sine + y * cosine]));
  });
}

/**
 * @param {Corner[]} corners
 * @param {number} width
 * @param {number} height
 * @returns {Corner[]}
 */
function scaled(corners, width, height) {
  return corners.map(([x, y]) => [x * width, y * height]);
}

/**
 * The page's colors as they are now.
 * @returns {Theme}
 */
export function currentTheme() {
  const css = getComputedStyle(document.documentElement);
  const value = (/** @type {string} */ name) => css.getPropertyValue(name).trim();
  return { value, ink: value("--ink"), muted: value("--muted"), grid: value("--line"), paper: value("--panel") };
}

/**
 * The look of each series, by its name. The first of a dataset look the same whatever is filtered; those that get no
 * name of their own share one look.
 * @param {View} view
 * @param {Theme} theme
 * @returns {(series: string) => Look}
 */
export function looksOf({ page, state, shown }, theme) {
  const { owners, named, others } = namedSeries(page, state, shown);
  const byRecipe = state.compare === "recipe";
  const free = [...(byRecipe ? [] : RECIPE_COLORS.values()), ...MORE_COLORS];
  const looks = new Map(
    owners.map((owner, place) => {
      const fixed = byRecipe ? RECIPE_COLORS.get(owner) : undefined;
      const color = theme.value(fixed ?? free.shift() ?? OTHER_COLOR);
      const label = named[place];
      return [label, { key: label, place, label, color, symbol: SYMBOLS[place], dash: DASHES[place % DASHES.length] }];
    }),
  );
  const label = counted(others, `other ${state.compare === "none" ? "series" : SERIES_NOUNS[state.compare]}`);
  const rest = {
    key: OTHERS,
    place: MAX_SERIES,
    label,
    color: theme.value(OTHER_COLOR),
    symbol: SYMBOLS[MAX_SERIES],
    dash: null,
  };
  return (series) => looks.get(series) ?? rest;
}

/**
 * A symbol as a small picture beside a text that says the same.
 * @param {Look} look
 * @param {boolean} hollow
 */
export function swatch({ color, symbol }, hollow) {
  const picture = document.createElementNS(SPACE, "svg");
  const shape = document.createElementNS(SPACE, "polygon");
  const corners = (OUTLINES.get(symbol) ?? []).map(
    ([x, y]) => `${(6 + 4.6 * x).toFixed(2)},${(6 + 4.6 * y).toFixed(2)}`,
  );
  setAttributes(picture, { viewBox: "0 0 12 12", class: "swatch", "aria-hidden": "true" });
  setAttributes(shape, { points: corners.join(" "), stroke: color, fill: hollow ? "none" : color });
  picture.append(shape);
  return picture;
}

/**
 * A piece of a line of the chart.
 * @param {string} color
 * @param {string} dash as Plotly writes it
 * @param {number} width in pixels
 */
export function lineSample(color, dash, width) {
  const dashes = { solid: "none", dot: "3,3", dash: "9,9" };
  const picture = document.createElementNS(SPACE, "svg");
  const line = document.createElementNS(SPACE, "line");
  const pattern = Object.hasOwn(dashes, dash) ? dashes[/** @type {keyof typeof dashes} */ (dash)] : dash;
  setAttributes(picture, { viewBox: "0 0 32 6", class: "line", "aria-hidden": "true" });
  setAttributes(line, { x1: "0", x2: "32", y1: "3", y2: "3", stroke: color });
  setAttributes(line, { "stroke-width": String(width), "stroke-dasharray": pattern });
  picture.append(line);
  return picture;
}

/**
 * @param {Element} element
 * @param {Record<string, string>} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
