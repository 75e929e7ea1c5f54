// Controls for filters, comparison and sorting. Each change goes through update(), which redraws everything.

import { baselineText } from "../rules/baseline.js";
import { COLUMNS } from "../rules/columns.js";
import { distinct, recipeOn } from "../rules/page.js";
import { OWN_RECIPES } from "../rules/series.js";
import { CHOICES, NO_FILTERS } from "../rules/state.js";
import { byId, make, refill } from "./dom.js";

/** @import { Page, Run, State, Update, View } from "../types.d.ts" */

const LABELS = new Map([
  ["accuracy", "accuracy"],
  ["time", "time"],
  ["cost", "cost"],
  ["timeSameQuality", "time at same quality"],
  ["costSameQuality", "cost at same quality"],
  ["data", "data format"],
  ["none", "nothing"],
  ["log", "logarithmic"],
  ["several", "several seeds only"],
  ["single", "one seed only"],
  ["on", "shown"],
  ["off", "hidden"],
  ["means", "means over seeds"],
  ["runs", "single runs"],
  ["today", "on demand, today"],
  ["spot", "spot, today"],
  ["recorded", "as recorded"],
]);
// Of the configurations that a baseline can be; any other is chosen in the address.
const MAX_BASELINES = 200;

/** @param {View} view */
export function drawControls(view) {
  drawFilters(view);
  drawViewBar(view);
}

/** @param {View} view */
function drawFilters({ page, state, shown, update }) {
  const runs = page.runs.filter((run) => run.dataset === state.dataset);
  const ofRuns = (/** @type {"model" | "cloud" | "hardware"} */ name) =>
    choice(name, ["all", ...distinct(runs.map((run) => run[name]))], state, update);
  const changeDataset = (/** @type {Partial<State>} */ change) => update({ ...change, ...NO_FILTERS });
  refill(
    byId("filters"),
    labeled("Dataset", choice("dataset", page.values.dataset, state, changeDataset)),
    labeled("Model", ofRuns("model")),
    labeled("Cloud", ofRuns("cloud")),
    labeled("Hardware", ofRuns("hardware")),
    checks("Recipe", "recipe", recipesOf(runs, state.recipe), state.recipe, update),
    checks("Evaluation", "protocol", distinct(runs.map((run) => run.protocol)), shown.protocols, update),
    algorithmChoices(distinct(runs.flatMap((run) => run.algorithms ?? [])), state, update),
    labeled("Seeds", choice("seeds", CHOICES.seeds, state, update)),
    labeled("Published runs", choice("published", CHOICES.published, state, update)),
    labeled("Show", choice("show", CHOICES.show, state, update)),
  );
}

/** @param {View} view */
function drawViewBar({ page, state, update }) {
  const energy = page.runs.some((run) => run.energy_kwh !== undefined);
  const axes = CHOICES.x.filter((axis) => axis !== "energy" || energy);
  refill(
    byId("view"),
    labeled(
      "Compare",
      choice("compare", CHOICES.compare, state, (change) => update({ ...change, only: null })),
    ),
    labeled("Sort by", sortChoice(state, update)),
    labeled("Baseline", baselineChoice(page, state, update)),
    labeled("Axis", choice("x", axes, state, update)),
    labeled("Scale", choice("scale", CHOICES.scale, state, update)),
  );
}

/**
 * @param {string} text
 * @param {HTMLElement} control
 */
export function labeled(text, control) {
  return make("label", { class: "field" }, make("span", {}, text), control);
}

/**
 * @param {Exclude<keyof State, "recipe" | "protocol" | "algorithms" | "own" | "target">} name
 * @param {readonly string[]} values
 * @param {State} state
 * @param {(change: Partial<State>) => void} update
 * @param {ReadonlyMap<string, string>} labels
 */
export function choice(name, values, state, update, labels = LABELS) {
  const chosen = String(state[name]);
  const all = values.includes(chosen) ? values : [...values, chosen];
  const options = all.map((value) => make("option", { value, selected: value === chosen }, labels.get(value) ?? value));
  return make(
    "select",
    { name, "data-focus": name, onchange: (select) => update({ [name]: select.value }) },
    ...options,
  );
}

/**
 * The first Explorer's orders, and the column that was clicked if it is another.
 * @param {State} state
 * @param {Update} update
 */
function sortChoice(state, update) {
  const titles = COLUMNS.map(({ key, title, label }) => /** @type {const} */ ([key, label ?? title]));
  const labels = new Map([...titles, ...LABELS]);
  return choice("sortBy", CHOICES.sortBy, state, (change) => update({ ...change, order: "usual" }), labels);
}

/**
 * @param {string} title
 * @param {"recipe" | "protocol"} name
 * @param {readonly string[]} values
 * @param {readonly string[]} chosen
 * @param {Update} update
 */
function checks(title, name, values, chosen, update) {
  const boxes = values.map((value) => {
    const onchange = (/** @type {HTMLInputElement} */ box) =>
      update({ [name]: box.checked ? [...chosen, value] : chosen.filter((each) => each !== value) });
    const checked = chosen.includes(value);
    const attributes = { type: "checkbox", name, value, checked, "data-focus": `${name} ${value}`, onchange };
    return make("label", { class: "check" }, make("input", attributes), make("span", {}, value));
  });
  return make("fieldset", {}, make("legend", {}, title), make("div", { class: "checks" }, ...boxes));
}

/**
 * Our recipes first, and those that an address names although no run has them.
 * @param {readonly Run[]} runs
 * @param {readonly string[]} chosen
 */
function recipesOf(runs, chosen) {
  const found = new Set([...distinct(runs.map((run) => run.recipe)), ...chosen]);
  return [...OWN_RECIPES.filter((recipe) => found.delete(recipe)), ...found];
}

/**
 * @param {readonly string[]} algorithms
 * @param {State} state
 * @param {Update} update
 */
function algorithmChoices(algorithms, state, update) {
  const rows = algorithms.map((name) => labeled(name, algorithmChoice(name, state, update)));
  return folded("algorithms", `Algorithms${chosenCount(state.algorithms.size)}`, rows);
}

/**
 * @param {string} name
 * @param {State} state
 * @param {Update} update
 */
function algorithmChoice(name, state, update) {
  const chosen = state.algorithms.get(name) ?? "all";
  const options = [
    { value: "all", text: "with or without" },
    { value: "with", text: "with" },
    { value: "without", text: "without" },
    { value: "unstated", text: "not stated" },
  ];
  const onchange = (/** @type {HTMLSelectElement} */ { value }) => {
    const algorithms = new Map(state.algorithms);
    if (value === "with" || value === "without" || value === "unstated") algorithms.set(name, value);
    else algorithms.delete(name);
    update({ algorithms });
  };
  return make(
    "select",
    { name: `algorithm ${name}`, "data-focus": `algorithm ${name}`, onchange },
    ...options.map(({ value, text }) => make("option", { value, selected: value === chosen }, text)),
  );
}

/** @param {number} count */
export function chosenCount(count) {
  return count > 0 ? ` (${count} chosen)` : "";
}

/**
 * Keys of the folds that are open.
 * @type {Set<string>}
 */
const opened = new Set();

/**
 * A title that unfolds rows, and keeps its state when everything is redrawn.
 * @param {string} key
 * @param {string} title
 * @param {readonly HTMLElement[]} rows
 */
export function folded(key, title, rows) {
  // On "click", because "toggle" may fire after the next redraw.
  const onclick = () => void (opened.delete(key) || opened.add(key));
  const summary = make("summary", { "data-focus": `fold ${key}`, onclick }, title);
  return make("details", { open: opened.has(key) }, summary, ...rows);
}

/**
 * @param {Page} page
 * @param {State} state
 * @param {Update} update
 */
function baselineChoice(page, state, update) {
  const runs = page.runs.filter((run) => run.dataset === state.dataset);
  const timed = runs.filter((run) => run.train_seconds !== undefined);
  const recipes = recipesOf(runs, []);
  const onHardware = distinct(timed.map(recipeOn));
  const configurations = [...new Set(timed.map((run) => run.group ?? run.run_id))].slice(0, MAX_BASELINES);
  if (![...recipes, ...onHardware, ...configurations].includes(state.baseline)) configurations.unshift(state.baseline);
  const group = (/** @type {string} */ label, /** @type {readonly string[]} */ values, named = false) => {
    const options = values.map((value) =>
      make("option", { value, selected: value === state.baseline }, named ? baselineText(page, value) : value),
    );
    return make("optgroup", { label }, ...options);
  };
  return make(
    "select",
    { name: "baseline", "data-focus": "baseline", onchange: (select) => update({ baseline: select.value }) },
    group("a recipe, on the same hardware", recipes),
    group("a recipe on one hardware", onHardware, true),
    group("one configuration", configurations),
  );
}
