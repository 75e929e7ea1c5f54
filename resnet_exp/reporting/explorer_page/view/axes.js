// Axes of the chart: their titles, units, and ticks at numbers that people use.

import { isNarrow } from "./dom.js";

/** @import { Axis, Shown, State } from "../types.d.ts" */

/** @type {Record<Axis, string>} */
const TITLES = { time: "training time", cost: "cost of training ($)", epochs: "epochs", energy: "energy (kWh)" };
// Ticks of times, in seconds: 1 s to 10 days.
const TIMES = [
  1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 36_000, 72_000, 172_800, 432_000, 864_000,
];
// Fewer ticks are not enough to read the axis; more do not fit on a phone.
const FEW = 3;
const MANY = 5;

/** @param {State} state */
export function axisName(state) {
  return TITLES[state.x];
}

/**
 * What the axis divides by, so that its numbers are neither long nor small, and its title with the unit.
 * @param {State} state
 * @param {Shown} shown
 * @returns {{ divide: number, title: string }}
 */
export function axisOf(state, shown) {
  const title = TITLES[state.x];
  if (state.x !== "time" || state.scale === "log") return { divide: 1, title };
  const longest = Math.max(0, ...valuesOn(shown));
  if (longest < 300) return { divide: 1, title: `${title} (s)` };
  return longest < 6 * 3600 ? { divide: 60, title: `${title} (min)` } : { divide: 3600, title: `${title} (h)` };
}

/** @param {Shown} shown */
function valuesOn(shown) {
  return shown.groups.flatMap((group) => (group.x ? [group.x.mean] : []));
}

/**
 * The part of a logarithmic axis that has ticks: that of all values, with some room.
 * @param {Shown} shown
 * @returns {[low: number, high: number]}
 */
export function wholeRange(shown) {
  const values = valuesOn(shown).filter((value) => value > 0);
  return [Math.min(...values) / 1.3, Math.max(...values) * 1.3];
}

/**
 * Ticks of a part of a logarithmic axis: 1, 2, 5, 10 ... (of times 10 s, 30 s, 2 min ...), or evenly spaced ones if its ends
 * are close together.
 * @param {State} state
 * @param {[low: number, high: number]} range
 */
export function logTicks(state, [low, high]) {
  const inside = (/** @type {number[]} */ ticks) => ticks.filter((tick) => tick >= low && tick <= high);
  const usual = inside(state.x === "time" && high < 1e6 ? TIMES : decades(low, high));
  const ticks = usual.length < FEW ? inside(even(low, high, unitOf(state, high))) : usual;
  const step = isNarrow() ? Math.ceil(ticks.length / MANY) : 1;
  const shownTicks = ticks.filter((_, index) => index % step === 0);
  return { tickmode: "array", tickvals: shownTicks, ticktext: shownTicks.map((tick) => tickText(state, tick)) };
}

/**
 * What evenly spaced ticks are multiples of.
 * @param {State} state
 * @param {number} high
 */
function unitOf(state, high) {
  if (state.x !== "time" || high < 180) return 1;
  return high < 7200 ? 60 : 3600;
}

/**
 * @param {State} state
 * @param {number} tick
 */
function tickText(state, tick) {
  if (state.x !== "time") return threeDigits(tick);
  if (tick < 120) return `${threeDigits(tick)} s`;
  return tick < 3600 ? `${threeDigits(tick / 60)} min` : `${threeDigits(tick / 3600)} h`;
}

/** @param {number} value */
function threeDigits(value) {
  return String(Number(value.toPrecision(3)));
}

/**
 * @param {number} low
 * @param {number} high
 */
function decades(low, high) {
  /** @type {number[]} */
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
  }
  return ticks;
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} unit
 */
function even(low, high, unit) {
  const rough = (high - low) / unit / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough) ?? rough);
  /** @type {number[]} */
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}
