// What the lines and the symbols of the chart mean. A click on a series leaves it alone in the chart, another brings all back.

import { collectBy } from "../rules/groups.js";
import { seriesOf } from "../rules/series.js";
import { byId, make, refill } from "./dom.js";
import { lineSample, swatch } from "./series.js";
import { chartedOf } from "./traces.js";

/** @import { Look, Trace, View } from "../types.d.ts" */
/** @import { Pen } from "./traces.js" */

/**
 * @param {Pen} pen
 * @param {readonly Trace[]} lines
 */
export function drawLegend({ view, look }, lines) {
  const { state, shown } = view;
  const fronts = lines.flatMap(({ meta }) => {
    if (meta.kind !== "line" || !meta.whole) return [];
    return make("li", {}, lineSample(meta.color, meta.dash, 2.5), make("span", {}, meta.name));
  });
  const series = [...collectBy(chartedOf(shown), (group) => look(seriesOf(state, group.first)).key).values()];
  const looks = series.map((groups) => ({
    look: look(seriesOf(state, groups[0].first)),
    hollow: groups.every((group) => group.n === 1),
  }));
  looks.sort((a, b) => a.look.place - b.look.place);
  const items = looks.map((each) => seriesItem(view, each.look, each.hollow, looks.length > 1));
  refill(byId("legend"), ...fronts, ...items);
}

/**
 * @param {View} view
 * @param {Look} look
 * @param {boolean} hollow
 * @param {boolean} several whether there is another series to leave out
 */
function seriesItem({ state, update }, look, hollow, several) {
  const line = look.dash === null || state.compare === "none" ? null : lineSample(look.color, look.dash, 1.6);
  const signs = [swatch(look, hollow), line, make("span", {}, look.label)];
  if (!several) return make("li", {}, ...signs);
  const only = state.only === look.key;
  const attributes = {
    type: "button",
    class: "series",
    "aria-pressed": String(only),
    title: only ? "Show all series again" : "Show only this series in the chart",
    "data-focus": `series ${look.key}`,
    onclick: () => update({ only: only ? null : look.key }),
  };
  return make("li", {}, make("button", attributes, ...signs));
}
