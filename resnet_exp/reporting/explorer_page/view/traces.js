// What the chart draws: one trace of points for each series, one line for each frontier, one dashed line for each series.

import { evaluatedText, marksOf, nameOf, seedsText } from "../rules/describe.js";
import { duration, money, percentText } from "../rules/format.js";
import { collectBy, isSelected } from "../rules/groups.js";
import { groupsOnFront, sharedFronts } from "../rules/select.js";
import { seriesOf } from "../rules/series.js";
import { plain } from "./dom.js";

/** @import { Look, Shown, ShownGroup, Theme, Trace, View } from "../types.d.ts" */

/**
 * What all traces of a picture are drawn with.
 * @typedef {object} Pen
 * @property {View} view
 * @property {Theme} theme
 * @property {(series: string) => Look} look
 * @property {number} divide what the axis divides by
 */

/** @typedef {ShownGroup & { x: NonNullable<ShownGroup["x"]> }} ChartedGroup */

/**
 * The groups that have a place on the axis.
 * @param {Shown} shown
 */
export function chartedOf(shown) {
  return /** @type {ChartedGroup[]} */ (shown.groups.filter((group) => group.x !== null && group.x.mean > 0));
}

/**
 * The groups with a point in the chart: those of the only series, if the user chose one that is there.
 * @param {View} view
 * @param {(series: string) => Look} look
 */
export function drawnOf({ state, shown }, look) {
  const charted = chartedOf(shown);
  const only = charted.filter((group) => look(seriesOf(state, group.first)).key === state.only);
  return only.length > 0 ? only : charted;
}

/**
 * The points: one trace for each series, with others for published runs and for those of another protocol.
 * @param {Pen} pen
 * @returns {Trace[]}
 */
export function marksTraces(pen) {
  const series = collectBy(drawnOf(pen.view, pen.look), (group) => marksName(pen, group));
  return [...series.values()].map((groups) => marksTrace(pen, marksName(pen, groups[0]), groups));
}

/**
 * @param {Pen} pen
 * @param {ShownGroup} group
 */
function marksName({ view, look }, { first }) {
  const protocol = first.protocol === view.shown.main ? "" : first.protocol;
  const { label } = look(seriesOf(view.state, first));
  return [label, first.published ? "published" : "", protocol].filter(Boolean).join(", ");
}

/**
 * @param {Pen} pen
 * @param {string} name
 * @param {readonly ChartedGroup[]} groups
 * @returns {Trace}
 */
function marksTrace({ view, look, divide }, name, groups) {
  const { first } = groups[0];
  const series = look(seriesOf(view.state, first));
  const { color, symbol } = series;
  const other = first.protocol === view.shown.main ? "" : "-dot";
  return {
    meta: { kind: "marks", look: series, hollow: groups.every((group) => group.n === 1) },
    type: "scatter",
    mode: "markers",
    name: plain(name),
    ...placesOf(groups, divide),
    customdata: groups.map((group) => group.key),
    hovertext: groups.map(hoverText),
    hoverinfo: "text",
    opacity: first.published ? 0.85 : 1,
    error_x: errorBars(
      color,
      groups.map((group) => group.x.sem),
      1 / divide,
    ),
    error_y: errorBars(
      color,
      groups.map((group) => group.top1.sem),
      100,
    ),
    marker: {
      color,
      line: { width: 1.8, color },
      size: 10,
      symbol: groups.map((group) => `${symbol}${group.n === 1 ? "-open" : ""}${other}`),
    },
  };
}

/**
 * @param {readonly ChartedGroup[]} groups
 * @param {number} divide
 */
function placesOf(groups, divide) {
  return { x: groups.map((group) => group.x.mean / divide), y: groups.map((group) => 100 * group.top1.mean) };
}

/**
 * @param {string} color
 * @param {(number | null)[]} errors
 * @param {number} scale
 */
function errorBars(color, errors, scale) {
  const array = errors.map((error) => (error === null ? undefined : error * scale));
  return { array, color, thickness: 1.2, width: 3 };
}

/** @param {ShownGroup} group */
function hoverText(group) {
  return [
    `<b>${plain(nameOf(group))}</b>`,
    plain(group.first.hardware),
    `${percentText(group.top1)} % top-1, ${seedsText(group)}`,
    `${group.time ? duration(group.time.mean) : "time not known"}, ${group.cost ? money(group.cost.mean) : "price not known"}`,
    `evaluated at ${plain(evaluatedText(group.first))}`,
    ...marksOf(group).map((mark) => mark.name),
  ].join("<br>");
}

/**
 * The frontiers, each with a line for each of its series.
 * @param {Pen} pen
 * @returns {Trace[]}
 */
export function lineTraces(pen) {
  const whole = sharedFronts(chartedOf(pen.view.shown)).map((groups) => frontTrace(pen, groups));
  const series = sharedFronts(drawnOf(pen.view, pen.look)).flatMap((groups) => seriesTraces(pen, groups));
  return [...whole, ...series].filter((trace) => trace.x.length > 1);
}

/**
 * @param {Pen} pen
 * @param {readonly ChartedGroup[]} groups
 * @returns {Trace}
 */
function frontTrace(pen, groups) {
  const { theme, view } = pen;
  const { protocol, published } = groups[0].first;
  const several = view.shown.protocols.length > 1;
  const name = `frontier${published ? " of published runs" : ""}${several ? `, ${protocol}` : ""}`;
  const dash = protocol === view.shown.main ? "solid" : "dash";
  const color = published ? theme.value("--other") : theme.ink;
  return lineTrace(pen, groups, { kind: "line", name, color, dash, whole: true }, published ? 1.5 : 2.5);
}

/**
 * @param {Pen} pen
 * @param {readonly ChartedGroup[]} groups
 * @returns {Trace[]}
 */
function seriesTraces(pen, groups) {
  const { state } = pen.view;
  if (state.compare === "none") return [];
  return [...collectBy(groups, (group) => seriesOf(state, group.first)).values()].flatMap((members) => {
    const { label, color, dash } = pen.look(seriesOf(state, members[0].first));
    if (dash === null) return [];
    return lineTrace(pen, members, { kind: "line", name: label, color, dash, whole: false }, 1.4);
  });
}

/**
 * @param {Pen} pen
 * @param {readonly ChartedGroup[]} groups
 * @param {Extract<Trace["meta"], { kind: "line" }>} meta
 * @param {number} width
 * @returns {Trace}
 */
function lineTrace(pen, groups, meta, width) {
  return {
    meta,
    type: "scatter",
    mode: "lines",
    hoverinfo: "skip",
    name: plain(meta.name),
    line: { color: meta.color, width, dash: meta.dash },
    ...placesOf(groupsOnFront(groups), pen.divide),
  };
}

/**
 * A ring around the selected point.
 * @param {Pen} pen
 * @returns {Trace}
 */
export function ringTrace({ view, theme, divide }) {
  const selected = chartedOf(view.shown).filter((group) => isSelected(view.state, group));
  return {
    meta: { kind: "ring" },
    type: "scatter",
    mode: "markers",
    hoverinfo: "skip",
    name: "selected",
    ...placesOf(selected, divide),
    marker: { symbol: "circle-open", size: 22, color: theme.ink, line: { width: 2, color: theme.ink } },
  };
}
