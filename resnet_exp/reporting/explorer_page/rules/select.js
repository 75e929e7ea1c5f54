// From all runs and the state to what is shown: groups with their means, ratios to the baseline, and an order.

import { compareWithBaseline } from "./baseline.js";
import { columnOf } from "./columns.js";
import { isLetThrough } from "./filters.js";
import { paretoFront } from "./frontier.js";
import { collectBy, groupRuns, pointOf, singleRuns } from "./groups.js";

/** @import { Group, Page, Run, Shown, ShownGroup, State } from "../types.d.ts" */

/**
 * @param {Page} page
 * @param {State} state
 * @returns {Shown}
 */
export function select(page, state) {
  const main = mainProtocol(page, state.dataset);
  const usual = main === undefined ? [] : [main];
  const protocols = state.protocol.length > 0 ? state.protocol : usual;
  const runs = page.runs.filter(
    (run) => run.dataset === state.dataset && isLetThrough({ ...state, protocol: protocols }, run),
  );
  const found = withSeeds(page, state, runs);
  const onFronts = new Set(sharedFronts(found).flatMap(groupsOnFront));
  const comparisons = compareWithBaseline(page, state, found);
  const groups = found.map((group, index) => ({ ...group, ...comparisons[index], onFront: onFronts.has(group) }));
  return { main, protocols, groups: sorted(state, groups), runs: found.reduce((sum, group) => sum + group.n, 0) };
}

/**
 * The protocol that most runs of a dataset have, own ones before published ones: only these share the main front.
 * @param {Page} page
 * @param {string} dataset
 * @returns {string | undefined}
 */
function mainProtocol(page, dataset) {
  const runs = page.runs.filter((run) => run.dataset === dataset);
  const found = [...collectBy(runs, (run) => run.protocol).values()];
  const own = (/** @type {Run[]} */ members) => members.filter((run) => !run.published).length;
  found.sort((a, b) => own(b) - own(a) || b.length - a.length || (a[0].protocol < b[0].protocol ? -1 : 1));
  return found[0]?.[0].protocol;
}

/**
 * Groups with as many seeds as the state asks for; of single runs, those whose configuration has as many.
 * @param {Page} page
 * @param {State} state
 * @param {readonly Run[]} runs
 * @returns {Group[]}
 */
function withSeeds(page, state, runs) {
  const groups = groupRuns(page, state, runs);
  const wanted = groups.filter((group) => state.seeds === "all" || (state.seeds === "several") === group.n > 1);
  if (state.show === "means") return wanted;
  return singleRuns(
    page,
    state,
    wanted.flatMap((group) => group.runs),
  );
}

/**
 * The groups that share a front: evaluated in the same way, own ones apart from published ones, whose clocks differ.
 * @template {Group} Shared
 * @param {readonly Shared[]} groups
 * @returns {Shared[][]}
 */
export function sharedFronts(groups) {
  return [...collectBy(groups, (group) => [group.first.published, group.first.protocol]).values()];
}

/**
 * The groups that are on their front, by rising cost on the axis of the chart.
 * @template {Group} Shared
 * @param {readonly Shared[]} groups
 * @returns {Shared[]}
 */
export function groupsOnFront(groups) {
  return paretoFront(groups.map((group) => pointOf(group, "x"))).map((index) => groups[index]);
}

/**
 * Sort by the column of the state; missing values come last, in either order.
 * @param {State} state
 * @param {readonly ShownGroup[]} groups
 * @returns {ShownGroup[]}
 */
function sorted(state, groups) {
  const column = columnOf(state.sortBy);
  const sign = (column.down ? -1 : 1) * (state.order === "reversed" ? -1 : 1);
  const rows = groups.map((group) => ({ group, value: column.value(group) ?? "" }));
  rows.sort(
    (a, b) =>
      Number(a.value === "") - Number(b.value === "") ||
      sign * (a.value < b.value ? -1 : Number(a.value > b.value)) ||
      b.group.top1.mean - a.group.top1.mean,
  );
  return rows.map((row) => row.group);
}
