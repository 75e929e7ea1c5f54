// What is shown, kept in the address: "#sortBy=costSameQuality&model=resnet50&recipe=mild". The names of the first MosaicML
// Explorer mean what they meant there, so that its links still work, with "?" or with "#".

const CHOICES = {
  sortBy: ["accuracy", "time", "cost", "timeSameQuality", "costSameQuality"],
  compare: ["recipe", "hardware", "model", "data", "none"],
  x: ["time", "cost", "epochs", "energy"],
  scale: ["log", "linear"],
  seeds: ["all", "several"],
  published: ["on", "off"],
  show: ["means", "runs"],
  prices: ["today", "spot", "recorded"],
};
const DEFAULTS = {
  sortBy: "accuracy", compare: "recipe", x: "time", scale: "log", seeds: "all", published: "on", show: "means",
  prices: "today", dataset: null, model: "all", cloud: "all", hardware: "all", recipe: [], protocol: [], algorithms: {},
  baseline: "baseline", own: {}, target: null, selected: null,
};
const PRICE = "price.";
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
  words.forEach((value, name) => readWord(state, name, value, page, problems));
  if (!state.dataset) state.dataset = defaultDataset(page, state, /mosaicml_|r50_optimized_/.test(words));
  const bare = [...words.keys()].length === 0;
  if (bare && page.runs.every((run) => run.published)) Object.assign(state, { target: 76.6, sortBy: "cost" });
  return { state, problems };
}

function readWord(state, name, value, page, problems) {
  const known = (values, what = name) => {
    if (values.includes(value)) return true;
    problems.push(`${what}=${value} is not among ${values.slice(0, 8).join(", ") || "the runs"}${values.length > 8 ? ", ..." : ""}`);
    return false;
  };
  if (Object.hasOwn(CHOICES, name)) {
    if (known(CHOICES[name])) state[name] = value;
  } else if (name === "recipe") {
    value = value.replace(OLD_RECIPE, "");
    if (OWN_RECIPES.includes(value) || known(page.values.recipe)) state.recipe.push(value);
  } else if (name === "algorithms") {
    const algorithm = value.replace(/^-/, "");
    if (value === "all") return;
    if (page.values.algorithms.includes(algorithm)) state.algorithms[algorithm] = value === algorithm ? "with" : "without";
    else problems.push(`algorithms=${value} is in no run`);
  } else if (name === "protocol") {
    if (known(page.values.protocol)) state.protocol.push(value);
  } else if (["model", "cloud", "hardware"].includes(name)) {
    if (known(["all", ...page.values[name]])) state[name] = value;
  } else if (name === "dataset") {
    if (known(page.values.dataset)) state.dataset = value;
  } else if (name === "baseline") {
    value = get(OLD_BASELINES, value) || value.replace(OLD_RECIPE, "");
    if (page.values.recipe.includes(value) || page.byId.has(value) || page.groupIds.has(value)) state.baseline = value;
    else problems.push(`baseline=${value} is no recipe and no run of this page`);
  } else if (name === "selected") {
    if (page.byId.has(value) || page.groupIds.has(value)) state.selected = value;
    else problems.push(`selected=${value} is no run of this page`);
  } else if (name === "target") {
    const target = Number(value);
    if (target > 0 && target < 100) state.target = target;
    else problems.push(`target=${value} is no percentage between 0 and 100`);
    if (target > 0 && target < 1) problems.push(`target=${value} is taken as ${value} %; 76.6 % is target=76.6`);
  } else if (name.startsWith(PRICE)) {
    if (Number(value) > 0) state.own[name.slice(PRICE.length)] = Number(value);
    else problems.push(`${name}=${value} is no price above 0`);
  } else {
    problems.push(`${name}=${value} is unknown`);
  }
}

/** Links of the first Explorer are of its page /imagenet. */
function defaultDataset(page, state, old) {
  if (old && page.values.dataset.includes("imagenet")) return "imagenet";
  const chosen = page.byId.get(state.selected) || page.runs.find((run) => matchesNames(run, state));
  const first = page.runs.find((run) => !run.published) || page.runs[0];
  const named = state.selected || state.model !== "all" || state.recipe.length > 0 || state.cloud !== "all";
  return ((named && chosen) || first || { dataset: "" }).dataset;
}

function matchesNames(run, state) {
  return (state.model === "all" || run.model === state.model) && (state.cloud === "all" || run.cloud === state.cloud)
    && (state.recipe.length === 0 || state.recipe.includes(run.recipe));
}

/** The address of a state, without what is as it would be anyway. */
function writeState(state) {
  const words = new URLSearchParams();
  for (const name of ["dataset", "sortBy", "model", "cloud", "hardware", "baseline", "compare", "x", "scale", "seeds",
    "published", "show", "prices", "target", "selected"]) {
    if (state[name] !== null && state[name] !== DEFAULTS[name]) words.append(name, state[name]);
  }
  for (const [name, how] of Object.entries(state.algorithms)) words.append("algorithms", how === "with" ? name : `-${name}`);
  for (const recipe of state.recipe) words.append("recipe", recipe);
  for (const protocol of state.protocol) words.append("protocol", protocol);
  for (const [name, price] of Object.entries(state.own)) words.append(`${PRICE}${name}`, price);
  // Without the question mark of a link of old, whose words would come back.
  return `${location.pathname}#${words}`;
}
