// What the filters hide, and a button for each that shows it.

import { counted } from "../rules/format.js";
import { hiddenRuns } from "../rules/hidden.js";
import { byId, make, refill } from "./dom.js";

/** @import { Hidden, View } from "../types.d.ts" */

// Sets of several filters, when nothing is shown; more than these help nobody to choose.
const MAX_SETS = 4;

/** @param {View} view */
export function drawHidden(view) {
  const { page, state, shown, update } = view;
  const sets = hiddenRuns(page, state, shown);
  const nothing = shown.groups.length === 0;
  const named = sets.filter(({ filters }, place) => filters.length === 1 || (nothing && place < MAX_SETS));
  const rest = sets.filter((each) => !named.includes(each)).reduce((sum, { runs }) => sum + runs.length, 0);
  const items = named.map((hidden) => hiddenItem(view, hidden, () => update(hidden.change)));
  if (rest > 0) items.push(make("li", {}, `${counted(rest, "run")} hidden by several filters`));
  byId("empty").hidden = !nothing;
  refill(byId("hidden-runs"), ...items);
}

/**
 * @param {View} view
 * @param {Hidden} hidden
 * @param {() => void} onclick
 */
function hiddenItem({ state, shown }, { filters, runs }, onclick) {
  const now = { ...state, protocol: shown.protocols };
  const names = filters.map((filter) => `${filter.name} (${filter.text(now)})`).join(" and ");
  const hide = filters.length === 1 ? "hides" : "hide";
  const count = counted(runs.length, "run");
  const attributes = {
    type: "button",
    class: "link",
    "data-focus": `open ${names}`,
    "aria-label": `Show the ${count} that ${names} ${hide}`,
    onclick,
  };
  return make("li", {}, `${names} ${hide} ${count} `, make("button", attributes, "Show"));
}
