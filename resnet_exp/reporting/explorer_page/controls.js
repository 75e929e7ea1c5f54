// The left column: what is shown, compared, and at which prices. Each change goes through update(), which redraws all.

const LABELS = {
  accuracy: "accuracy", time: "time", cost: "cost", timeSameQuality: "time at same quality",
  costSameQuality: "cost at same quality", recipe: "recipe", hardware: "hardware", model: "model", data: "data format",
  none: "nothing", epochs: "epochs", energy: "energy", log: "logarithmic", linear: "linear", all: "all",
  several: "several seeds only", single: "one seed only", on: "shown", off: "hidden", means: "means over seeds", runs: "single runs",
  today: "on demand, today", spot: "spot, today", recorded: "as recorded",
};

function labelled(text, control) {
  return make("label", { class: "field" }, make("span", {}, text), control);
}

function choice(name, values, state, update, labels = LABELS) {
  const all = values.includes(state[name]) ? values : [...values, state[name]];
  const options = all.map((value) => make("option", { value, selected: value === state[name] }, get(labels, value) || value));
  return make("select", {
    name, "data-focus": name, onchange: (event) => update({ [name]: event.target.value }),
  }, ...options);
}

function inDataset(page, state, name) {
  const found = page.runs.filter((run) => run.dataset === state.dataset).map((run) => run[name]);
  return [...new Set(found.filter(Boolean))].sort();
}

function checks(title, name, values, chosen, update) {
  const boxes = values.map((value) => make("label", { class: "check" },
    make("input", {
      type: "checkbox", name, value, "data-focus": `${name} ${value}`, checked: chosen.includes(value),
      onchange: (event) => update({
        [name]: event.target.checked ? [...chosen, value] : chosen.filter((each) => each !== value),
      }),
    }), make("span", {}, value)));
  return make("fieldset", {}, make("legend", {}, title), make("div", { class: "checks" }, ...boxes));
}

function algorithmChoices(page, state, update) {
  const names = [...new Set(page.runs.filter((run) => run.dataset === state.dataset).flatMap((run) => run.algorithms))].sort();
  const rows = names.map((name) => labelled(name, make("select", {
    name: `algorithm ${name}`, "data-focus": `algorithm ${name}`,
    onchange: (event) => {
      const algorithms = { ...state.algorithms };
      if (event.target.value === "all") delete algorithms[name];
      else algorithms[name] = event.target.value;
      update({ algorithms });
    },
  }, ...["all", "with", "without"].map((how) => make("option", {
    value: how, selected: (get(state.algorithms, name) || "all") === how,
  }, how === "all" ? "with or without" : how)))));
  return folded("algorithms", `Algorithms${chosenCount(Object.keys(state.algorithms).length)}`, rows);
}

function chosenCount(count) {
  return count ? ` (${count} chosen)` : "";
}

const opened = new Set();

function folded(key, title, rows) {
  // On the click, for the event "toggle" may come after the next redraw.
  const remember = () => opened.delete(key) || opened.add(key);
  return make("details", { open: opened.has(key) }, make("summary", { "data-focus": `fold ${key}`, onclick: remember }, title), ...rows);
}

/** Own recipes first, and those that an address names although no run has them. */
function recipesOf(page, state) {
  const found = new Set([...inDataset(page, state, "recipe"), ...state.recipe]);
  return [...OWN_RECIPES.filter((recipe) => found.delete(recipe)), ...found];
}

// What is of one dataset may be in no run of another.
const NO_FILTERS = { model: "all", cloud: "all", hardware: "all", recipe: [], protocol: [], algorithms: {}, target: null, selected: null };

/** The first Explorer's orders, and the column that was clicked if it is another. */
function sortChoice(state, update) {
  const labels = Object.fromEntries(COLUMNS.map((column) => [column.key, get(LABELS, column.key) || column.title || column.label]));
  return choice("sortBy", CHOICES.sortBy, state, (change) => update({ ...change, order: "usual" }), labels);
}

function drawControls(page, state, shown, update) {
  const energy = page.runs.some((run) => run.energy_kwh !== undefined);
  refill(byId("filters"),
    labelled("Dataset", choice("dataset", page.values.dataset, state, (change) => update({ ...change, ...NO_FILTERS }))),
    labelled("Model", choice("model", ["all", ...inDataset(page, state, "model")], state, update)),
    labelled("Cloud", choice("cloud", ["all", ...inDataset(page, state, "cloud")], state, update)),
    labelled("Hardware", choice("hardware", ["all", ...inDataset(page, state, "hardware")], state, update)),
    checks("Recipe", "recipe", recipesOf(page, state), state.recipe, update),
    checks("Evaluation", "protocol", inDataset(page, state, "protocol"), shown.protocols, update),
    algorithmChoices(page, state, update),
    labelled("Seeds", choice("seeds", CHOICES.seeds, state, update)),
    labelled("Published runs", choice("published", CHOICES.published, state, update)),
    labelled("Show", choice("show", CHOICES.show, state, update)));
  refill(byId("view"),
    labelled("Compare", choice("compare", CHOICES.compare, state, update)),
    labelled("Sort by", sortChoice(state, update)),
    labelled("Baseline", baselineChoice(page, state, update)),
    labelled("Axis", choice("x", CHOICES.x.filter((axis) => axis !== "energy" || energy), state, update)),
    labelled("Scale", choice("scale", CHOICES.scale, state, update)));
}
