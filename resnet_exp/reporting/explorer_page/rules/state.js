// What the user chose, kept in the address: "#sortBy=costSameQuality&model=resnet50&recipe=mild". The names of the first
// MosaicML Explorer mean what they meant there, so that its links still work, with "?" or with "#".

import { isBaseline } from "./baseline.js";
import { parseBudget } from "./budget.js";
import { COLUMNS } from "./columns.js";
import { ALGORITHM_SIGNS } from "./filters.js";
import { isNamed } from "./groups.js";
import { isPrice } from "./price.js";
import { COMPARED, OTHERS, OWN_RECIPES, seriesOf } from "./series.js";

/** @import { AlgorithmUse, Page, Run, State } from "../types.d.ts" */

/**
 * Puts one value of the address into a state; returns what is wrong with it, if anything is.
 * @typedef {(state: State, value: string, page: Page) => string | undefined} Reader
 */

export const CHOICES = /** @type {const} */ ({
  sortBy: ["accuracy", "time", "cost", "timeSameQuality", "costSameQuality"],
  order: ["usual", "reversed"],
  compare: ["recipe", "hardware", "model", "data", "none"],
  x: ["time", "cost", "epochs", "energy"],
  scale: ["log", "linear"],
  seeds: ["all", "several", "single"],
  published: ["on", "off"],
  show: ["means", "runs"],
  prices: ["today", "spot", "recorded"],
});

/**
 * What is of one dataset may be in no run of another.
 * @satisfies {Partial<State>}
 */
export const NO_FILTERS = {
  model: "all",
  cloud: "all",
  hardware: "all",
  recipe: [],
  protocol: [],
  algorithms: new Map(),
  target: null,
  budget: null,
  selected: null,
  only: null,
};

/** @type {Readonly<State>} */
export const DEFAULTS = {
  sortBy: "accuracy",
  order: "usual",
  compare: "recipe",
  x: "time",
  scale: "log",
  seeds: "all",
  published: "on",
  show: "means",
  prices: "today",
  dataset: "",
  baseline: "baseline",
  own: new Map(),
  ...NO_FILTERS,
};

export const NO_TARGET = "none";
const PRICE = "price.";
// The Explorer called its recipes mosaicml_mild and so on. It had one baseline per cluster, of which only the names are
// known; these are the closest published runs.
const OLD_RECIPE = /^mosaicml_(?=(hot|medium|mild|baseline)$)/;
const OLD_BASELINES = new Map([
  ["r50_optimized_p4d", "mosaicml-vanilla-2022"],
  ["r50_optimized_mosaicml", "mosaicml-resnet50-card-2022"],
]);

/** @type {ReadonlyMap<string, Reader>} */
const READERS = new Map([
  [
    "sortBy",
    choiceReader(
      "sortBy",
      COLUMNS.map((column) => column.key),
    ),
  ],
  ["order", choiceReader("order")],
  ["compare", choiceReader("compare")],
  ["x", choiceReader("x")],
  ["scale", choiceReader("scale")],
  ["seeds", choiceReader("seeds")],
  ["published", choiceReader("published")],
  ["show", choiceReader("show")],
  ["prices", choiceReader("prices")],
  ["dataset", valueReader("dataset")],
  ["model", valueReader("model", "all")],
  ["cloud", valueReader("cloud", "all")],
  ["hardware", valueReader("hardware", "all")],
  ["recipe", readRecipe],
  ["protocol", readProtocol],
  ["algorithms", readAlgorithm],
  ["baseline", readBaseline],
  ["selected", readSelected],
  ["only", readOnly],
  ["target", readTarget],
  ["budget", readBudget],
]);

/**
 * Read the address. Returns the state, and a message for each part that is invalid.
 * @param {{ search: string, hash: string }} address
 * @param {Page} page
 * @returns {{ state: State, problems: string[] }}
 */
export function readState(address, page) {
  const words = [...new URLSearchParams(address.search), ...new URLSearchParams(address.hash.replace(/^#[?]?/, ""))];
  /** @type {State} */
  const state = { ...DEFAULTS };
  const problems = words.map(([name, value]) => readWord(state, name, value, page));
  const old = words.some(([, value]) => /^(mosaicml_|r50_optimized_)/.test(value));
  if (state.dataset === "") state.dataset = defaultDataset(page, state, old);
  if (words.length === 0 && page.runs.every((run) => run.published)) state.sortBy = "cost";
  return { state, problems: problems.filter((problem) => problem !== undefined) };
}

/**
 * @param {State} state
 * @param {string} name
 * @param {string} value
 * @param {Page} page
 */
function readWord(state, name, value, page) {
  const read = READERS.get(name);
  if (read) return read(state, value, page);
  return name.startsWith(PRICE) ? readPrice(state, name, value) : `${name}=${value} is unknown`;
}

/**
 * @param {string} name
 * @param {string} value
 * @param {readonly string[]} values
 */
function unknown(name, value, values) {
  const some = values.slice(0, 8).join(", ") || "the runs";
  return `${name}=${value} is not among ${some}${values.length > 8 ? ", ..." : ""}`;
}

/**
 * @param {keyof typeof CHOICES} name
 * @param {readonly string[]} accepted
 * @returns {Reader}
 */
function choiceReader(name, accepted = CHOICES[name]) {
  return (state, value) => {
    if (!accepted.includes(value)) return unknown(name, value, CHOICES[name]);
    Object.assign(state, { [name]: value });
  };
}

/**
 * @param {"dataset" | "model" | "cloud" | "hardware"} name
 * @param {string[]} others
 * @returns {Reader}
 */
function valueReader(name, ...others) {
  return (state, value, page) => {
    const values = [...others, ...page.values[name]];
    if (!values.includes(value)) return unknown(name, value, values);
    state[name] = value;
  };
}

/** @type {Reader} */
function readRecipe(state, value, page) {
  const recipe = value.replace(OLD_RECIPE, "");
  if (value === "all") return undefined;
  if (![...page.values.recipe, ...OWN_RECIPES].includes(recipe)) return unknown("recipe", value, page.values.recipe);
  if (!state.recipe.includes(recipe)) state.recipe = [...state.recipe, recipe];
}

/** @type {Reader} */
function readProtocol(state, value, page) {
  if (value === "all") return undefined;
  if (!page.values.protocol.includes(value)) return unknown("protocol", value, page.values.protocol);
  if (!state.protocol.includes(value)) state.protocol = [...state.protocol, value];
}

/** @type {Reader} */
function readAlgorithm(state, value, page) {
  const [, sign, algorithm] = /^([-?]?)(.*)$/s.exec(value) ?? [];
  if (value === "all") return undefined;
  if (!page.values.algorithms.includes(algorithm)) return `algorithms=${value} is in no run`;
  const uses = /** @type {AlgorithmUse[]} */ (Object.keys(ALGORITHM_SIGNS));
  const use = uses.find((each) => ALGORITHM_SIGNS[each] === sign) ?? "with";
  state.algorithms = new Map(state.algorithms).set(algorithm, use);
}

/** @type {Reader} */
function readBaseline(state, value, page) {
  const baseline = OLD_BASELINES.get(value) ?? value.replace(OLD_RECIPE, "");
  if (!isBaseline(page, baseline)) return `baseline=${value} is neither a recipe nor a run of this page`;
  state.baseline = baseline;
}

/** @type {Reader} */
function readSelected(state, value, page) {
  if (!page.runIds.has(value) && !page.groupIds.has(value)) return `selected=${value} is not a run of this page`;
  state.selected = value;
}

/** @type {Reader} */
function readOnly(state, value, page) {
  const series = COMPARED.flatMap((compare) => page.runs.map((run) => seriesOf({ compare }, run)));
  if (value !== OTHERS && !series.includes(value)) return `only=${value} is not a series of this page`;
  state.only = value;
}

/** @type {Reader} */
function readTarget(state, value) {
  const target = value === NO_TARGET ? NO_TARGET : parseTarget(value);
  if (target === null) return `target=${value} is not a percentage between 0 and 100`;
  state.target = target;
  if (target !== NO_TARGET && target !== Number(value)) return `target=${value} is taken as ${target} %`;
}

/** @type {Reader} */
function readBudget(state, value) {
  if (parseBudget(value) === null) return `budget=${value} is not a time or price; use 10min, 2h or 10usd`;
  state.budget = value;
}

/**
 * A percentage between 0 and 100, both excluded; null for any other text. Below 1 it is meant as a fraction: nobody aims at
 * a top-1 of less than 1 %.
 * @param {string} text
 */
export function parseTarget(text) {
  const target = Number(text);
  if (!(target > 0 && target < 100)) return null;
  return target < 1 ? Number((100 * target).toPrecision(12)) : target;
}

/**
 * @param {State} state
 * @param {string} name
 * @param {string} value
 */
function readPrice(state, name, value) {
  if (!isPrice(Number(value))) return `${name}=${value} is not a price above 0`;
  state.own = new Map(state.own).set(name.slice(PRICE.length), Number(value));
}

/**
 * The dataset of what the address names, else that of the own runs. Links of the first Explorer are of its ImageNet page.
 * @param {Page} page
 * @param {State} state
 * @param {boolean} old whether the address is of the first Explorer
 */
function defaultDataset(page, state, old) {
  if (old && page.values.dataset.includes("imagenet")) return "imagenet";
  const named = state.selected !== null || state.model !== "all" || state.recipe.length > 0 || state.cloud !== "all";
  const chosen = page.runs.find((run) => isNamed(state.selected, run)) ?? page.runs.find((run) => hasNames(state, run));
  const first = page.runs.find((run) => !run.published) ?? page.runs[0];
  return ((named && chosen) || first || { dataset: "" }).dataset;
}

/**
 * @param {State} state
 * @param {Run} run
 */
function hasNames(state, run) {
  return (
    (state.model === "all" || run.model === state.model) &&
    (state.cloud === "all" || run.cloud === state.cloud) &&
    (state.recipe.length === 0 || state.recipe.includes(run.recipe))
  );
}

/**
 * The address of a state, without default values, and without the part after "?", which it replaces.
 * @param {State} state
 * @param {string} path
 */
export function writeState(state, path) {
  const { recipe, protocol, algorithms, own, ...single } = state;
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(single)) {
    if (value !== null && value !== DEFAULTS[/** @type {keyof State} */ (name)]) words.append(name, String(value));
  }
  for (const [name, how] of algorithms) words.append("algorithms", `${ALGORITHM_SIGNS[how]}${name}`);
  for (const name of recipe) words.append("recipe", name);
  for (const name of protocol) words.append("protocol", name);
  for (const [name, price] of own) words.append(`${PRICE}${name}`, String(price));
  return `${path}#${words}`;
}
