// The baseline of comparisons: a recipe, always on the hardware of the run ("mild"); a recipe on one hardware
// ("mild@p4d.24xlarge"); or one configuration, by its group or by one of its runs.

import { atSameQuality, frontOf } from "./frontier.js";
import { collectBy, frontierKey, groupRuns, hardwareKey, isNamed, pointOf } from "./groups.js";

/** @import { Comparison, Group, Page, Point, RecipeBaseline, Run, State } from "../types.d.ts" */

/**
 * Recipe and hardware that a baseline names; null if it is one configuration or none at all.
 * @param {Page} page
 * @param {string} baseline
 * @returns {RecipeBaseline | null}
 */
function recipeOfBaseline(page, baseline) {
  if (page.values.recipe.includes(baseline)) return { recipe: baseline, hardware: null };
  return page.recipesOn.get(baseline) ?? null;
}

/**
 * Whether anything on the page has that name.
 * @param {Page} page
 * @param {string} baseline
 */
export function isBaseline(page, baseline) {
  return recipeOfBaseline(page, baseline) !== null || page.runIds.has(baseline) || page.groupIds.has(baseline);
}

/**
 * A baseline as text.
 * @param {Page} page
 * @param {string} baseline
 */
export function baselineText(page, baseline) {
  const named = recipeOfBaseline(page, baseline);
  if (named === null) return baseline;
  return named.hardware === null ? `${named.recipe}, on the same hardware` : `${named.recipe} on ${named.hardware}`;
}

/**
 * For each group how many times as much time and money the baseline takes to the same top-1.
 * @param {Page} page
 * @param {State} state
 * @param {readonly Group[]} groups
 * @returns {Comparison[]}
 */
export function compareWithBaseline(page, state, groups) {
  const named = recipeOfBaseline(page, state.baseline);
  const members = page.runs.filter((run) => belongsTo(state.baseline, named, run));
  const peers = collectBy(groupRuns(page, state, members), (group) => peersKey(named, group.first));
  const fronts = new Map([...peers].map(([key, found]) => [key, frontsOf(found)]));
  return groups.map((group) => {
    const front = fronts.get(JSON.stringify(peersKey(named, group.first)));
    if (front === undefined) return { speedUp: null, saving: null };
    return {
      speedUp: atSameQuality(front.time, pointOf(group, "time")),
      saving: atSameQuality(front.cost, pointOf(group, "cost")),
    };
  });
}

/**
 * @param {string} baseline
 * @param {RecipeBaseline | null} named
 * @param {Run} run
 */
function belongsTo(baseline, named, run) {
  if (named === null) return isNamed(baseline, run);
  return run.recipe === named.recipe && (named.hardware === null || run.hardware === named.hardware);
}

/**
 * Runs that agree in it compare. The clocks of published runs cover other things: own runs compare with own ones, unless
 * the user chose one configuration.
 * @param {RecipeBaseline | null} named
 * @param {Run} run
 */
function peersKey(named, run) {
  if (named === null) return [frontierKey(run)];
  return [frontierKey(run), run.model, run.published, named.hardware === null ? hardwareKey(run) : null];
}

/**
 * @param {readonly Group[]} groups
 * @returns {{ time: Point[], cost: Point[] }}
 */
function frontsOf(groups) {
  return {
    time: frontOf(groups.map((group) => pointOf(group, "time"))),
    cost: frontOf(groups.map((group) => pointOf(group, "cost"))),
  };
}
