// What runs are compared with: a recipe, each time on the hardware of the run ("mild"); a recipe on one hardware
// ("mild@p4d.24xlarge"); or one configuration, by its group or by one of its runs.

const ON = "@";

/** Recipe and hardware that a baseline names; null if it is one configuration or none at all. */
function baselineRecipe(page, baseline) {
  if (page.values.recipe.includes(baseline)) return { recipe: baseline, hardware: null };
  return page.recipesOn.get(baseline) || null;
}

function isBaseline(page, baseline) {
  return baselineRecipe(page, baseline) !== null || page.byId.has(baseline) || page.groupIds.has(baseline);
}

function baselineText(page, baseline) {
  const named = baselineRecipe(page, baseline);
  if (named === null) return baseline;
  return named.hardware === null ? `${named.recipe}, on the same hardware` : `${named.recipe} on ${named.hardware}`;
}

function hardwareKey(run) {
  return JSON.stringify([run.hardware, run.gpu, run.devices, run.nodes, run.devices ? null : run.cpus]);
}

/** For each group how many times as much time and money the baseline takes to the same top-1. */
function compareWithBaseline(page, state, groups) {
  const named = baselineRecipe(page, state.baseline);
  const belongs = (run) => (named === null ? run.run_id === state.baseline || run.group === state.baseline
    : run.recipe === named.recipe && (named.hardware === null || run.hardware === named.hardware));
  // Published clocks cover other things: own runs compare with own ones, unless one configuration is chosen.
  const peers = (run) => JSON.stringify([run.dataset, run.protocol,
    ...(named === null ? [] : [run.model, run.published, named.hardware === null ? hardwareKey(run) : null])]);
  const found = new Map();
  for (const group of groupRuns(page, state, page.runs.filter(belongs), false)) {
    const key = peers(group.first);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(group);
  }
  const fronts = new Map([...found].map(([key, members]) => [key, Object.fromEntries(
    ["time", "cost"].map((axis) => [axis, frontOf(members.map((group) => pointOf(group, axis)))]))]));
  for (const group of groups) {
    const front = fronts.get(peers(group.first));
    group.speedUp = front ? ratioTo(front.time, pointOf(group, "time")) : null;
    group.saving = front ? ratioTo(front.cost, pointOf(group, "cost")) : null;
  }
}

function baselineChoice(page, state, update) {
  const timed = page.runs.filter((run) => run.dataset === state.dataset && run.train_seconds !== undefined);
  const option = (value, text = value) => make("option", { value, selected: value === state.baseline }, text);
  const recipes = recipesOf(page, { ...state, recipe: [] });
  const placed = [...new Set(timed.map((run) => `${run.recipe}${ON}${run.hardware}`))].sort();
  const single = [...new Set(timed.map((run) => run.group || run.run_id))].slice(0, 200);
  if (![...recipes, ...placed, ...single].includes(state.baseline)) single.unshift(state.baseline);
  return make("select", {
    name: "baseline", "data-focus": "baseline", onchange: (event) => update({ baseline: event.target.value }),
  },
  make("optgroup", { label: "a recipe, on the same hardware" }, ...recipes.map((recipe) => option(recipe))),
  make("optgroup", { label: "a recipe on one hardware" },
    ...placed.map((value) => option(value, baselineText(page, value)))),
  make("optgroup", { label: "one configuration" }, ...single.map((id) => option(id))));
}
