// The filters of runs. Seeds are counted after them, in groups.

import { distinct } from "./page.js";

/** @import { AlgorithmUse, Filter, Run, State } from "../types.d.ts" */

/** How an address and a text put it before the name of an algorithm. */
export const ALGORITHM_SIGNS = /** @type {const} */ ({ with: "", without: "-", unstated: "?" });
const USES = { with: "with", without: "without", unstated: "not stated:" };

/** @type {readonly Filter[]} */
export const FILTERS = [
  {
    name: "Evaluation",
    passes: (state, run) => state.protocol.includes(run.protocol),
    text: (state) => state.protocol.join(", "),
    open: (state, runs) => ({ protocol: distinct([...state.protocol, ...runs.map((run) => run.protocol)]) }),
  },
  {
    name: "Recipe",
    passes: (state, run) => state.recipe.length === 0 || state.recipe.includes(run.recipe),
    text: (state) => state.recipe.join(", "),
    open: () => ({ recipe: [] }),
  },
  {
    name: "Published runs",
    passes: (state, run) => !run.published || state.published === "on",
    text: () => "hidden",
    open: () => ({ published: "on" }),
  },
  valueFilter("Model", "model"),
  valueFilter("Cloud", "cloud"),
  valueFilter("Hardware", "hardware"),
  {
    name: "Algorithms",
    passes: (state, run) => [...state.algorithms].every(([name, use]) => useOf(run, name) === use),
    text: (state) => [...state.algorithms].map(([name, use]) => `${USES[use]} ${name}`).join(", "),
    open: (state, runs) => ({
      algorithms: new Map([...state.algorithms].filter(([name, use]) => runs.every((run) => useOf(run, name) === use))),
    }),
  },
];

/**
 * @param {string} name
 * @param {"model" | "cloud" | "hardware"} key
 * @returns {Filter}
 */
function valueFilter(name, key) {
  return {
    name,
    passes: (state, run) => state[key] === "all" || run[key] === state[key],
    text: (state) => state[key],
    open: () => ({ [key]: "all" }),
  };
}

/**
 * Whether a run uses an algorithm, as far as is known.
 * @param {Run} run
 * @param {string} algorithm
 * @returns {AlgorithmUse}
 */
function useOf({ algorithms }, algorithm) {
  if (algorithms === undefined) return "unstated";
  return algorithms.includes(algorithm) ? "with" : "without";
}

/**
 * @param {State} state with the protocols that are shown
 * @param {Run} run
 */
export function isLetThrough(state, run) {
  return FILTERS.every((filter) => filter.passes(state, run));
}
