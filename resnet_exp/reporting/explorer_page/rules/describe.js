// Runs and groups as text.

import { counted, shortNumber } from "./format.js";

/** @import { Group, Mark, Run } from "../types.d.ts" */

/** @type {readonly { name: string, text: string, has: (run: Run) => boolean }[]} */
const RUN_MARKS = [
  { name: "resumed", text: "interrupted, then continued from a checkpoint", has: (run) => run.resumed > 0 },
  { name: "mixed commits", text: "trained by more than one version of the code", has: (run) => run.commits.length > 1 },
  { name: "uncommitted", text: "trained by code with uncommitted changes", has: (run) => run.dirty },
  { name: "published", text: "by others, as stated by the source", has: (run) => run.published },
];

/**
 * Caveats of a group.
 * @param {Group} group
 * @returns {Mark[]}
 */
export function marksOf(group) {
  const found = RUN_MARKS.map(({ name, text, has }) => ({ name, text, count: group.runs.filter(has).length }));
  const commits = new Set(group.runs.map((run) => run.commits.join(" "))).size;
  const prices = new Set(group.runs.map((run) => run.usd_per_node_hour)).size;
  const text = "the code changed from one seed to the next";
  found.push({ name: `seeds of ${commits} commits`, text, count: commits > 1 ? group.n : 0 });
  found.push({ name: `${prices} prices`, text: "recorded at different prices", count: prices > 1 ? group.n : 0 });
  return found.filter((mark) => mark.count > 0);
}

/** @param {Group} group */
export function marksText(group) {
  return marksOf(group)
    .map((mark) => mark.name)
    .join(", ");
}

/** @param {Group} group */
export function nameOf(group) {
  const run = group.first;
  return [run.recipe, run.model, run.ssr === undefined ? "" : `ssr=${ssrText(run)}`].filter(Boolean).join(" ");
}

/**
 * @param {Run} run
 * @returns {string | undefined}
 */
export function ssrText(run) {
  return run.ssr === undefined ? undefined : shortNumber(run.ssr);
}

/** @param {Group} group */
export function seedsText(group) {
  return group.n === 1 ? "one seed" : counted(group.n, "seed");
}

/**
 * How top-1 was measured, with the size that the crop was cut from.
 * @param {Run} run
 */
export function evaluatedText(run) {
  return run.eval_crop && run.eval_resize ? `${run.protocol} of ${run.eval_resize}` : run.protocol;
}
