// Colors and symbols of the series. The colors are Okabe and Ito's; each series also has a symbol that no other has, so
// that color is never the only sign.

import { collectBy } from "../rules/groups.js";
import { OWN_RECIPES } from "../rules/state.js";

/** @import { Look, Run, Theme, View } from "../types.d.ts" */

const RECIPE_COLORS = new Map([
  ["baseline", "--ink"],
  ["mild", "--mild"],
  ["medium", "--medium"],
  ["hot", "--hot"],
]);
const MORE_COLORS = ["--more-1", "--more-2", "--more-3"];
const OTHER_COLOR = "--other";
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
 * Which series a run belongs to, by what the user compares.
 * @param {View["state"]} state
 * @param {Run} run
 */
export function seriesOf(state, run) {
  return state.compare === "none" ? "runs" : (run[state.compare] ?? "not stated");
}

/**
 * Names of the series of a dataset with their looks; the same whatever is filtered.
 * @param {View} view
 * @param {Theme} theme
 * @returns {(series: string) => Look}
 */
export function looksOf({ page, state }, theme) {
  const byRecipe = state.compare === "recipe";
  const free = [...(byRecipe ? [] : RECIPE_COLORS.values()), ...MORE_COLORS];
  const looks = new Map(
    seriesInOrder(page.runs, state).map((name, index) => {
      const fixed = byRecipe ? RECIPE_COLORS.get(name) : undefined;
      const color = theme.value(fixed ?? free.shift() ?? OTHER_COLOR);
      return [name, { color, symbol: SYMBOLS[index % SYMBOLS.length] }];
    }),
  );
  return (series) => looks.get(series) ?? { color: theme.value(OTHER_COLOR), symbol: SYMBOLS[0] };
}

/**
 * Our recipes first, then what most own runs have.
 * @param {readonly Run[]} runs
 * @param {View["state"]} state
 */
function seriesInOrder(runs, state) {
  const found = collectBy(
    runs.filter((run) => run.dataset === state.dataset),
    (run) => seriesOf(state, run),
  );
  const series = [...found.values()].map((members) => ({
    name: seriesOf(state, members[0]),
    own: members.filter((run) => !run.published).length,
    all: members.length,
  }));
  series.sort(
    (a, b) => placeOf(a.name) - placeOf(b.name) || b.own - a.own || b.all - a.all || (a.name < b.name ? -1 : 1),
  );
  return series.map(({ name }) => name);
}

/** @param {string} recipe */
function placeOf(recipe) {
  const place = OWN_RECIPES.indexOf(recipe);
  return place < 0 ? OWN_RECIPES.length : place;
}

/**
 * A symbol as a small picture beside a text that says the same.
 * @param {Look} look
 * @param {boolean} hollow
 */
export function swatch({ color, symbol }, hollow) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const shape = document.createElementNS(space, "polygon");
  const corners = (OUTLINES.get(symbol) ?? []).map(
    ([x, y]) => `${(6 + 4.6 * x).toFixed(2)},${(6 + 4.6 * y).toFixed(2)}`,
  );
  setAttributes(picture, { viewBox: "0 0 12 12", class: "swatch", "aria-hidden": "true" });
  setAttributes(shape, { points: corners.join(" "), stroke: color, fill: hollow ? "none" : color });
  picture.append(shape);
  return picture;
}

/**
 * @param {Element} element
 * @param {Record<string, string>} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
