// Top-1 of a configuration while it trained.

import { counted } from "../rules/format.js";
import { make, plain } from "./dom.js";
import { currentTheme } from "./series.js";

/** @import { Group, Run } from "../types.d.ts" */

// Most curves in one plot: more cannot be told apart.
const MAX_CURVES = 12;
const COLORS = ["--mild", "--hot", "--more-1", "--medium", "--more-2", "--more-3"];

/**
 * @param {HTMLElement} element
 * @param {Group} group
 */
export function drawCurves(element, group) {
  const runs = group.runs.filter((run) => run.curve.length > 0).slice(0, MAX_CURVES);
  if (runs.length === 0) return;
  const all = group.runs.filter((run) => run.curve.length > 0).length;
  const of = runs.length === 1 ? "the run" : counted(runs.length, "run");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `top-1 against training time of ${of}`);
  const longest = Math.max(...runs.flatMap((run) => run.curve.map(([seconds]) => seconds)));
  const [divide, unit] = longest < 300 ? [1, "s"] : [60, "min"];
  const traces = runs.map((run) => traceOf(run, divide));
  Plotly.newPlot(element, traces, layoutIn(element, unit, runs.length > 1), { displayModeBar: false });
  if (all > runs.length) element.after(make("p", { class: "small" }, `The first ${runs.length} of ${all} runs.`));
}

/**
 * @param {Run} run
 * @param {number} divide
 */
function traceOf(run, divide) {
  return {
    type: "scatter",
    mode: "lines+markers",
    marker: { size: 4 },
    name: plain(run.seed === undefined ? run.run_id : `seed ${run.seed}`),
    x: run.curve.map(([seconds]) => seconds / divide),
    y: run.curve.map(([, top1]) => 100 * top1),
    hovertemplate: "%{y:.2f} %, %{x:.3g}<extra></extra>",
  };
}

/**
 * @param {HTMLElement} element
 * @param {string} unit
 * @param {boolean} showlegend
 */
function layoutIn(element, unit, showlegend) {
  const theme = currentTheme();
  const axis = { gridcolor: theme.grid, zeroline: false, automargin: true };
  return {
    height: 230,
    width: element.clientWidth,
    margin: { l: 50, r: 10, t: 10, b: 40 },
    paper_bgcolor: theme.paper,
    plot_bgcolor: theme.paper,
    font: { color: theme.ink, size: 12 },
    colorway: COLORS.map(theme.value),
    xaxis: { ...axis, title: { text: `training time (${unit})` } },
    yaxis: { ...axis, title: { text: "top-1 (%)" } },
    showlegend,
  };
}
