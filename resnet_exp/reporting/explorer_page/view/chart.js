// The chart of the frontier, its legend, and notes on what it leaves out.

import { targetOf } from "../rules/answer.js";
import { parseBudget } from "../rules/budget.js";
import { counted } from "../rules/format.js";
import { isSelected } from "../rules/groups.js";
import { axisName, axisOf, logTicks, wholeRange } from "./axes.js";
import { byId, isNarrow, isPrinting } from "./dom.js";
import { drawLegend } from "./legend.js";
import { currentTheme, looksOf } from "./series.js";
import { chartedOf, drawnOf, lineTraces, marksTraces, ringTrace } from "./traces.js";

/** @import { PlotlyElement, Shown, ShownGroup, State, Theme, View } from "../types.d.ts" */

// On paper: as wide as a page, lying or standing, and below the answers on the first.
const PAPER = { width: 700, height: 290 };
const OPTIONS = { displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

/** @param {View} view */
export function drawChart(view) {
  const { state, shown } = view;
  const chart = byId("chart");
  const theme = currentTheme();
  const pen = { view, theme, look: looksOf(view, theme), divide: axisOf(state, shown).divide };
  const marks = marksTraces(pen);
  const lines = lineTraces(pen);
  byId("without").textContent = withoutText(state, shown);
  chart.hidden = marks.length === 0;
  drawLegend(pen, lines);
  if (marks.length === 0) return;
  Plotly.react(chart, [...lines, ...marks, ringTrace(pen)], layoutOf(state, shown, theme), OPTIONS);
  openOnClick(/** @type {PlotlyElement} */ (chart), view);
  fitTicksToZoom(/** @type {PlotlyElement} */ (chart), view);
}

/**
 * Ticks for what the user zooms to.
 * @param {PlotlyElement} chart
 * @param {View} view
 */
function fitTicksToZoom(chart, { state, shown }) {
  if (state.scale !== "log") return;
  const fit = () => {
    const { autorange, range } = chart.layout.xaxis;
    /** @type {[low: number, high: number]} */
    const part = autorange ? wholeRange(shown) : [10 ** range[0], 10 ** range[1]];
    const { tickvals, ticktext } = logTicks(state, part);
    Plotly.relayout(chart, { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
  };
  if (!chart.layout.xaxis.autorange) fit();
  chart.on("plotly_relayout", (change) => {
    if ("xaxis.range[0]" in change || "xaxis.autorange" in change) fit();
  });
}

/**
 * @param {PlotlyElement} chart
 * @param {View} view
 */
function openOnClick(chart, { update }) {
  chart.removeAllListeners("plotly_click");
  chart.removeAllListeners("plotly_relayout");
  chart.on("plotly_click", ({ points }) => {
    const key = points.map((point) => point.customdata).find((value) => value !== undefined);
    if (key !== undefined) update({ selected: key }, "details");
  });
}

/** Show everything again that the user zoomed away from. */
export function zoomOut() {
  const chart = byId("chart");
  if (!chart.hidden) Plotly.relayout(chart, { "xaxis.autorange": true, "yaxis.autorange": true });
}

/**
 * Only the line of the target or the budget: it follows a finger on the slider.
 * @param {View} view
 */
export function moveTarget({ state, shown }) {
  const chart = byId("chart");
  if (!chart.hidden) Plotly.relayout(chart, { shapes: aimLines(state, shown, currentTheme()) });
}

/**
 * A line at the target; or at the budget, if the axis has its unit.
 * @param {State} state
 * @param {Shown} shown
 * @param {Theme} theme
 */
function aimLines(state, shown, theme) {
  const line = { color: theme.muted, width: 1, dash: "dash" };
  const budget = parseBudget(state.budget ?? "");
  if (budget !== null) {
    const x = budget.amount / axisOf(state, shown).divide;
    return budget.axis === state.x ? [{ type: "line", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line }] : [];
  }
  const target = targetOf(state, shown);
  return target === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: target, y1: target, line }];
}

/**
 * @param {State} state
 * @param {Shown} shown
 * @param {Theme} theme
 */
function layoutOf(state, shown, theme) {
  const axis = { gridcolor: theme.grid, linecolor: theme.grid, zeroline: false, automargin: true };
  return {
    paper_bgcolor: theme.paper,
    plot_bgcolor: theme.paper,
    font: { color: theme.ink, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 52, r: 12, t: 10, b: 46 },
    height: isNarrow() ? 340 : 460,
    width: byId("chart").clientWidth,
    ...(isPrinting() ? PAPER : {}),
    // What the user zoomed to stays until the axis is another.
    uirevision: state.dataset,
    // Moving a finger over the chart must scroll the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hovermode: "closest",
    showlegend: false,
    shapes: aimLines(state, shown, theme),
    xaxis: {
      ...axis,
      uirevision: [state.dataset, axisOf(state, shown).title, state.scale].join(),
      title: { text: axisOf(state, shown).title },
      type: state.scale,
      ...(state.scale === "log" ? logTicks(state, wholeRange(shown)) : { rangemode: "tozero" }),
    },
    yaxis: { ...axis, title: { text: "top-1 (%)" } },
    hoverlabel: { bgcolor: theme.paper, bordercolor: theme.muted, font: { color: theme.ink }, align: "left" },
  };
}

/**
 * What the chart leaves out, and what its times cover.
 * @param {State} state
 * @param {Shown} shown
 */
function withoutText(state, shown) {
  const charted = chartedOf(shown);
  const left = shown.groups.length - charted.length;
  const what = state.x === "cost" ? "price or time" : `known ${axisName(state)}`;
  const clocks = new Set(charted.map((group) => group.first.clock || "not stated"));
  const timed = state.x === "time" || state.x === "cost";
  return [
    left === 1 ? `1 configuration has no ${what} and is only in the table.` : "",
    left > 1 ? `${counted(left, "configuration")} have no ${what} and are only in the table.` : "",
    timed && clocks.size > 1 ? `The times cover different things: ${[...clocks].join("; ")}.` : "",
  ]
    .filter(Boolean)
    .join(" ");
}

/**
 * The next point to the left or to the right of the selected one, for the arrow keys; undefined without any point.
 * @param {View} view
 * @param {number} step 1, -1, or infinite for the ends
 * @returns {ShownGroup | undefined}
 */
export function neighbor(view, step) {
  const { state } = view;
  const along = [...drawnOf(view, looksOf(view, currentTheme()))].sort((a, b) => a.x.mean - b.x.mean);
  const selected = along.findIndex((group) => isSelected(state, group));
  const start = step > 0 ? -1 : along.length;
  const place = selected < 0 ? start : selected;
  return along[Math.min(Math.max(place + step, 0), along.length - 1)];
}
