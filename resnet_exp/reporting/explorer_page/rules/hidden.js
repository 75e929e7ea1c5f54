// The runs of the dataset that are not shown, and which filters hide them.

import { FILTERS } from "./filters.js";
import { collectBy, groupKey } from "./groups.js";

/** @import { Hidden, Page, Run, Shown, State } from "../types.d.ts" */

/**
 * Of the runs of a configuration: the filters alone may leave too few or too many of them.
 * @type {Hidden["filters"][number]}
 */
const SEEDS = {
  name: "Seeds",
  text: (state) => (state.seeds === "single" ? "one only" : "several only"),
  open: () => ({ seeds: "all" }),
};

/**
 * What hides runs: a set of filters for each, those of fewest filters first, then those that hide most.
 * @param {Page} page
 * @param {State} state
 * @param {Shown} shown
 * @returns {Hidden[]}
 */
export function hiddenRuns(page, state, shown) {
  const seen = new Set(shown.groups.flatMap((group) => group.runs));
  const ofDataset = page.runs.filter((run) => run.dataset === state.dataset);
  const now = { ...state, protocol: shown.protocols };
  const miscounted = state.seeds === "all" ? new Set() : miscountedRuns(ofDataset, state.seeds === "single");
  const hiding = (/** @type {Run} */ run) => {
    const filters = FILTERS.filter((filter) => !filter.passes(now, run));
    return miscounted.has(run) || filters.length === 0 ? [...filters, SEEDS] : filters;
  };
  const hidden = ofDataset.filter((run) => !seen.has(run)).map((run) => ({ run, filters: hiding(run) }));
  const sets = [...collectBy(hidden, ({ filters }) => filters.map((filter) => filter.name)).values()];
  sets.sort((a, b) => a[0].filters.length - b[0].filters.length || b.length - a.length);
  return sets.map((members) => {
    const { filters } = members[0];
    const runs = members.map(({ run }) => run);
    return { filters, runs, change: Object.assign({}, ...filters.map((filter) => filter.open(now, runs))) };
  });
}

/**
 * The runs whose configuration has several seeds where one is asked for, or one where several are.
 * @param {readonly Run[]} runs
 * @param {boolean} single
 */
function miscountedRuns(runs, single) {
  const groups = [...collectBy(runs, groupKey).values()];
  return new Set(groups.filter((members) => (members.length === 1) !== single).flat());
}
