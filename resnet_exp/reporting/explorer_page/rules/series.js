// The series that the chart compares: which have a name, and which share one.

import { collectBy } from "./groups.js";

/** @import { Page, Run, Shown, State } from "../types.d.ts" */

/** Recipes of this project, in the order in which they are listed. */
export const OWN_RECIPES = ["baseline", "mild", "medium", "hot"];
/** More cannot be told apart, and their names would take more room than the chart. */
export const MAX_SERIES = 12;

/** What stands for the series without a name of their own. */
export const OTHERS = "others";

/** @type {readonly Exclude<State["compare"], "none">[]} */
export const COMPARED = ["recipe", "hardware", "model", "data"];

/**
 * Which series a run belongs to, by what the user compares.
 * @param {Pick<State, "compare">} state
 * @param {Run} run
 */
export function seriesOf(state, run) {
  return state.compare === "none" ? "runs" : (run[state.compare] ?? "not stated");
}

/**
 * The series with names of their own, and how many of those that are shown have none. The first ones of the dataset keep
 * their places, and thus their looks, whatever is filtered; where filters leave few, later ones get the last places of
 * those that are not shown.
 * @param {Page} page
 * @param {State} state
 * @param {Shown} shown
 * @returns {{ owners: string[], named: string[], others: number }} `owners`: of the places, in the order of `named`
 */
export function namedSeries(page, state, shown) {
  const order = seriesInOrder(page.runs, state);
  const present = new Set(shown.groups.map((group) => seriesOf(state, group.first)));
  const owners = order.slice(0, MAX_SERIES);
  const others = order.slice(MAX_SERIES).filter((name) => present.has(name));
  const named = owners.toReversed().map((name) => (present.has(name) ? name : (others.shift() ?? name)));
  return { owners, named: named.reverse(), others: others.length };
}

/**
 * Our recipes first, then what most own runs have.
 * @param {readonly Run[]} runs
 * @param {State} state
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
