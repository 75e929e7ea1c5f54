// What is shown, kept in the address: "#sortBy=costSameQuality&model=resnet50&recipe=mild". The names of the first MosaicML
// Explorer mean what they meant there, so that its links still work, with "?" or with "#".

const CHOICES = {
  sortBy: ["accuracy", "time", "cost", "timeSameQuality", "costSameQuality"],
  order: ["usual", "reversed"],
  compare: ["recipe", "hardware", "model", "data", "none"],
  x: ["time", "cost", "epochs", "energy"],
  scale: ["log", "linear"],
  seeds: ["all", "several", "single"],
  published: ["on", "off"],
  show: ["means", "runs"],
  prices: ["today", "spot", "recorded"],
};
const DEFAULTS = {
  sortBy: "accuracy", order: "usual", compare: "recipe", x: "time", scale: "log", seeds: "all", published: "on",
  show: "means", prices: "today", dataset: null, model: "all", cloud: "all", hardware: "all", recipe: [], protocol: [],
  algorithms: {}, baseline: "baseline", own: {}, target: null, selected: null,
};
const SINGLE = Object.keys(DEFAULTS).filter((name) => !["recipe", "protocol", "algorithms", "own"].includes(name));
const PRICE = "price.";
const NO_TARGET = "none";
// The Explorer's own names: its recipes were called mosaicml_mild and so on; its baselines were one a cluster, of which only
// the names are known, and these are the nearest published runs.
const OWN_RECIPES = ["baseline", "mild", "medium", "hot"];
const OLD_RECIPE = /^mosaicml_(?=(hot|medium|mild|baseline)$)/;
const OLD_BASELINES = {
  r50_optimized_p4d: "mosaicml-vanilla-2022",
  r50_optimized_mosaicml: "mosaicml-resnet50-card-2022",
};

/** Read the address. Returns the state and what could not be understood, in words. */
function readState(address, page) {
  const words = new URLSearchParams(address.search);
  new URLSearchParams(address.hash.replace(/^#[?]?/, "")).forEach((value, name) => words.append(name, value));
  const state = { ...DEFAULTS, recipe: [], protocol: [], algorithms: {}, own: {} };
  const problems = [];
  words.forEach((value, name) => {
    const problem = readWord(state, name, value, page);
    if (problem) problems.push(problem);
  });
  if (!state.dataset) state.dataset = defaultDataset(page, state, /mosaicml_|r50_optimized_/.test(words));
  const bare = [...words.keys()].length === 0;
  if (bare && page.runs.every((run) => run.published)) state.sortBy = "cost";
  return { state, problems };
}

/** Put one word of the address into the state; returns what is wrong with it, if anything is. */
function readWord(state, name, value, page) {
  const reader = get(READERS, name) || (name.startsWith(PRICE) ? readPrice : null);
  if (reader === null) return `${name}=${value} is unknown`;
  return reader(state, value, page, name);
}

function unknown(name, value, values) {
  const some = values.slice(0, 8).join(", ") || "the runs";
  return `${name}=${value} is not among ${some}${values.length > 8 ? ", ..." : ""}`;
}

function readChoice(state, value, page, name) {
  const others = name === "sortBy" ? COLUMNS.map((column) => column.key) : [];
  if (![...CHOICES[name], ...others].includes(value)) return unknown(name, value, CHOICES[name]);
  state[name] = value;
}

function readValue(state, value, page, name) {
  const values = name === "dataset" ? page.values.dataset : ["all", ...page.values[name]];
  if (!values.includes(value)) return unknown(name, value, values);
  state[name] = value;
}

function readRepeated(state, value, page, name) {
  if (value === "all") return undefined;
  const known = name === "recipe" ? value.replace(OLD_RECIPE, "") : value;
  if (!page.values[name].includes(known) && !(name === "recipe" && OWN_RECIPES.includes(known))) {
    return unknown(name, value, page.values[name]);
  }
  if (!state[name].includes(known)) state[name].push(known);
}

function readAlgorithm(state, value, page) {
  const algorithm = value.replace(/^-/, "");
  if (value === "all") return undefined;
  if (!page.values.algorithms.includes(algorithm)) return `algorithms=${value} is in no run`;
  state.algorithms[algorithm] = value === algorithm ? "with" : "without";
}

function readBaseline(state, value, page) {
  const known = get(OLD_BASELINES, value) || value.replace(OLD_RECIPE, "");
  if (!isBaseline(page, known)) return `baseline=${value} is no recipe and no run of this page`;
  state.baseline = known;
}

function readSelected(state, value, page) {
  if (!page.byId.has(value) && !page.groupIds.has(value)) return `selected=${value} is no run of this page`;
  state.selected = value;
}

function readTarget(state, value) {
  const target = value === NO_TARGET ? NO_TARGET : Number(value);
  if (target !== NO_TARGET && !(target > 0 && target < 100)) return `target=${value} is no percentage between 0 and 100`;
  state.target = target;
  if (target < 1) return `target=${value} is taken as ${value} %; 76.6 % is target=76.6`;
}

function readPrice(state, value, page, name) {
  if (!(Number(value) > 0)) return `${name}=${value} is no price above 0`;
  state.own[name.slice(PRICE.length)] = Number(value);
}

const READERS = {
  ...Object.fromEntries(Object.keys(CHOICES).map((name) => [name, readChoice])),
  dataset: readValue, model: readValue, cloud: readValue, hardware: readValue, recipe: readRepeated, protocol: readRepeated,
  algorithms: readAlgorithm, baseline: readBaseline, selected: readSelected, target: readTarget,
};

/** Links of the first Explorer are of its page /imagenet. */
function defaultDataset(page, state, old) {
  if (old && page.values.dataset.includes("imagenet")) return "imagenet";
  const chosen = page.byId.get(state.selected) || page.runs.find((run) => run.group === state.selected)
    || page.runs.find((run) => matchesNames(run, state));
  const first = page.runs.find((run) => !run.published) || page.runs[0];
  const named = state.selected || state.model !== "all" || state.recipe.length > 0 || state.cloud !== "all";
  return ((named && chosen) || first || { dataset: "" }).dataset;
}

function matchesNames(run, state) {
  return (state.model === "all" || run.model === state.model) && (state.cloud === "all" || run.cloud === state.cloud)
    && (state.recipe.length === 0 || state.recipe.includes(run.recipe));
}

/** The address of a state, without what is as it would be anyway, and without what came after "?": it is in here. */
function writeState(state, path) {
  const words = new URLSearchParams();
  for (const name of SINGLE) {
    if (state[name] !== null && state[name] !== DEFAULTS[name]) words.append(name, state[name]);
  }
  for (const [name, how] of Object.entries(state.algorithms)) words.append("algorithms", how === "with" ? name : `-${name}`);
  for (const recipe of state.recipe) words.append("recipe", recipe);
  for (const protocol of state.protocol) words.append("protocol", protocol);
  for (const [name, price] of Object.entries(state.own)) words.append(`${PRICE}${name}`, price);
  return `${path}#${words}`;
}
