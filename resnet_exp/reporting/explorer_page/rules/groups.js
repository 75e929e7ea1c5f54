// Groups of runs that differ only in the seed, and what groups have in common.

import { spread } from "./frontier.js";
import { costOf } from "./price.js";

/** @import { Axis, Group, GroupAxis, Page, Point, Run, Seed, Spread, State } from "../types.d.ts" */

/**
 * Collect values by a key, in the order in which keys first come.
 * @template Value
 * @param {Iterable<Value>} values
 * @param {(value: Value) => unknown} keyOf keys that JSON writes alike are the same
 * @returns {Map<string, Value[]>}
 */
export function collectBy(values, keyOf) {
  /** @type {Map<string, Value[]>} */
  const found = new Map();
  for (const value of values) {
    const key = JSON.stringify(keyOf(value));
    const members = found.get(key);
    if (members) members.push(value);
    else found.set(key, [value]);
  }
  return found;
}

/**
 * Runs that differ in it share no frontier.
 * @param {Run} run
 */
export function frontierKey(run) {
  return [run.dataset, run.protocol];
}

/**
 * Speed-ups compare runs that agree in all of it.
 * @param {Run} run
 */
export function hardwareKey(run) {
  return [run.hardware, run.gpu, run.devices, run.nodes, run.devices > 0 ? null : run.cpus];
}

/**
 * Groups with the same key differ only in length: interpolation is valid only between these.
 * @param {Run} run
 */
export function lineKey(run) {
  return [frontierKey(run), hardwareKey(run), run.recipe, run.model, run.published, run.clock];
}

/**
 * Whether an id is that of a run or of its group.
 * @param {string | null} id
 * @param {Run} run
 */
export function isNamed(id, run) {
  return id !== null && (run.run_id === id || run.group === id);
}

/**
 * Whether a group is the selected one.
 * @param {State} state
 * @param {Group} group
 */
export function isSelected(state, group) {
  return state.selected === group.key || group.runs.some((run) => isNamed(state.selected, run));
}

/** @param {Run} run */
function groupName(run) {
  return run.group ?? run.run_id;
}

/**
 * Runs that agree in it are seeds of one configuration.
 * @param {Run} run
 */
export function groupKey(run) {
  return [groupName(run), frontierKey(run)];
}

/**
 * @param {Page} page
 * @param {State} state
 * @param {Iterable<Run>} runs
 * @returns {Group[]}
 */
export function groupRuns(page, state, runs) {
  return groupBy(page, state, runs, groupName);
}

/**
 * Groups of one run each.
 * @param {Page} page
 * @param {State} state
 * @param {Iterable<Run>} runs
 * @returns {Group[]}
 */
export function singleRuns(page, state, runs) {
  return groupBy(page, state, runs, (run) => run.run_id);
}

/**
 * @param {Page} page
 * @param {State} state
 * @param {Iterable<Run>} runs
 * @param {(run: Run) => string} keyOf
 * @returns {Group[]}
 */
function groupBy(page, state, runs, keyOf) {
  const members = collectBy(runs, (run) => [keyOf(run), frontierKey(run)]);
  return [...members.values()].map((found) => summarize(page, state, keyOf(found[0]), found));
}

/**
 * @param {Page} page
 * @param {State} state
 * @param {string} key
 * @param {readonly Run[]} runs
 * @returns {Group}
 */
function summarize(page, state, key, runs) {
  const seeds = runs.map((run) => seedOf(page, state, run));
  return {
    key,
    first: runs[0],
    runs,
    seeds,
    n: runs.length,
    // Every run has a top-1.
    top1: /** @type {Spread} */ (spread(seeds.map((seed) => seed.top1))),
    time: spreadOf(seeds, "time"),
    cost: spreadOf(seeds, "cost"),
    x: spreadOf(seeds, "x"),
  };
}

/**
 * @param {Page} page
 * @param {State} state
 * @param {Run} run
 * @returns {Seed}
 */
function seedOf(page, state, run) {
  const cost = costOf(page, state, run);
  return { run, top1: run.top1, time: run.train_seconds ?? NaN, cost, x: valueOn(state.x, run, cost) };
}

/**
 * @param {Axis} axis
 * @param {Run} run
 * @param {number} cost
 */
function valueOn(axis, run, cost) {
  if (axis === "cost") return cost;
  return { time: run.train_seconds, epochs: run.epochs, energy: run.energy_kwh }[axis] ?? NaN;
}

/**
 * @param {readonly Seed[]} seeds
 * @param {GroupAxis} axis
 */
function spreadOf(seeds, axis) {
  return spread(seeds.map((seed) => seed[axis]).filter(Number.isFinite));
}

/**
 * Mean top-1 and mean cost on an axis.
 * @param {Group} group
 * @param {GroupAxis} axis
 * @returns {Point}
 */
export function pointOf(group, axis) {
  return { top1: group.top1.mean, cost: group[axis]?.mean ?? NaN };
}

/**
 * One point per seed.
 * @param {Group} group
 * @param {GroupAxis} axis
 * @returns {Point[]}
 */
export function pointsOfSeeds(group, axis) {
  return group.seeds.map((seed) => ({ top1: seed.top1, cost: seed[axis] }));
}
