// From all runs and the state to what is shown: groups of seeds with their means, ratios to the baseline, and an order.

/** The page's data with what is looked up often. */
function prepare(content) {
  const runs = content.runs.map((run) => ({ algorithms: [], commits: [], tta: "", clock: "", ...run }));
  const values = {};
  for (const name of ["dataset", "model", "cloud", "hardware", "recipe", "data", "protocol"]) {
    values[name] = [...new Set(runs.map((run) => run[name]).filter(Boolean))].sort();
  }
  values.algorithms = [...new Set(runs.flatMap((run) => run.algorithms))].sort();
  return {
    ...content, runs, values,
    byId: new Map(runs.map((run) => [run.run_id, run])),
    groupIds: new Set(runs.map((run) => run.group)),
  };
}

/** Dollars for an hour of a node of a run, by the prices that the state asks for; undefined if there is none. */
function hourly(page, state, run) {
  const own = get(state.own, run.hardware);
  if (own !== undefined) return own;
  const price = get(page.prices, run.hardware) || {};
  if (state.prices === "recorded") return run.usd_per_node_hour;
  if (state.prices === "spot") return price.spot_usd_per_node_hour ?? undefined;
  return price.usd_per_node_hour ?? run.usd_per_node_hour;
}

function costOf(page, state, run) {
  const price = hourly(page, state, run);
  return price === undefined || price === null || run.train_seconds === undefined ? NaN
    : (run.train_seconds / 3600) * run.nodes * price;
}

function valueOn(axis, run, cost) {
  if (axis === "cost") return cost;
  return { time: run.train_seconds, epochs: run.epochs, energy: run.energy_kwh }[axis] ?? NaN;
}

/** The protocol that most runs of a dataset have, own ones before published ones: only these share the main front. */
function mainProtocol(page, dataset) {
  const tally = new Map();
  for (const run of page.runs.filter((each) => each.dataset === dataset)) {
    tally.set(run.protocol, (tally.get(run.protocol) || 0) + (run.published ? 1 : 1e6));
  }
  return [...tally.entries()].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([protocol]) => protocol)[0];
}

function isShown(state, protocols, run) {
  if (run.dataset !== state.dataset || !protocols.includes(run.protocol)) return false;
  if (run.published && state.published === "off") return false;
  for (const name of ["model", "cloud", "hardware"]) {
    if (state[name] !== "all" && run[name] !== state[name]) return false;
  }
  if (state.recipe.length > 0 && !state.recipe.includes(run.recipe)) return false;
  return Object.entries(state.algorithms).every(([name, how]) => run.algorithms.includes(name) === (how === "with"));
}

function groupRuns(page, state, runs, single) {
  const members = new Map();
  for (const run of runs) {
    const key = single ? run.run_id : run.group || run.run_id;
    const whole = JSON.stringify([key, run.dataset, run.protocol]);
    if (!members.has(whole)) members.set(whole, { key, runs: [] });
    members.get(whole).runs.push(run);
  }
  return [...members.values()].map(({ key, runs: found }) => summarize(page, state, key, found));
}

function summarize(page, state, key, runs) {
  const seeds = runs.map((run) => {
    const cost = costOf(page, state, run);
    return { run, top1: run.top1, time: run.train_seconds ?? NaN, cost, x: valueOn(state.x, run, cost) };
  });
  const over = (name) => spread(seeds.map((seed) => seed[name]).filter(Number.isFinite));
  const group = { key, first: runs[0], runs, seeds, n: runs.length, top1: over("top1") };
  for (const name of ["time", "cost", "x"]) group[name] = over(name);
  return group;
}

function pointOf(group, name) {
  return { top1: group.top1.mean, cost: group[name] === null ? NaN : group[name].mean };
}

/** Whether a group is the selected one; an address names it by its group or by one of its runs. */
function isSelected(state, group) {
  return state.selected !== null
    && (group.key === state.selected || group.runs.some((run) => [run.run_id, run.group].includes(state.selected)));
}

function hardwareKey(run) {
  return JSON.stringify([run.hardware, run.gpu, run.devices, run.nodes, run.devices ? null : run.cpus]);
}

/** For each group how many times as much time and money the baseline takes to the same top-1. */
function compareWithBaseline(page, state, groups) {
  const isRecipe = page.values.recipe.includes(state.baseline);
  const named = (run) => (isRecipe ? run.recipe === state.baseline
    : run.run_id === state.baseline || run.group === state.baseline);
  // Published clocks cover other things: own runs compare with own ones, unless one configuration is chosen.
  const peers = (run) => (isRecipe ? JSON.stringify([run.protocol, run.model, run.published, hardwareKey(run)]) : run.protocol);
  const found = new Map();
  const all = page.runs.filter((run) => run.dataset === state.dataset && named(run));
  for (const group of groupRuns(page, state, all, false)) {
    const key = peers(group.first);
    found.set(key, [...(found.get(key) || []), group]);
  }
  for (const group of groups) {
    const baseline = found.get(peers(group.first)) || [];
    for (const [ratio, name] of [["speedUp", "time"], ["saving", "cost"]]) {
      group[ratio] = atSameQuality(baseline.map((each) => pointOf(each, name)), pointOf(group, name));
    }
  }
}

/** The groups that share a front: evaluated in one way, own ones apart from published ones, whose clocks differ. */
function fronts(groups) {
  const found = new Map();
  for (const group of groups) {
    const key = JSON.stringify([group.first.published, group.first.protocol]);
    found.set(key, [...(found.get(key) || []), group]);
  }
  return [...found.values()];
}

const MEASURES = {
  accuracy: (group) => -group.top1.mean,
  time: (group) => (group.time ? group.time.mean : NaN),
  cost: (group) => (group.cost ? group.cost.mean : NaN),
  timeSameQuality: (group) => (group.speedUp ? -group.speedUp.value : NaN),
  costSameQuality: (group) => (group.saving ? -group.saving.value : NaN),
};

/** Everything that the chart, the table and the answer show. */
function select(page, state) {
  const main = mainProtocol(page, state.dataset);
  const protocols = state.protocol.length > 0 ? state.protocol : [main];
  const runs = page.runs.filter((run) => isShown(state, protocols, run));
  let groups = groupRuns(page, state, runs, state.show === "runs");
  if (state.seeds === "several") {
    const several = new Set(groupRuns(page, state, runs, false).filter((group) => group.n > 1).flatMap((group) => group.runs));
    groups = groups.filter((group) => several.has(group.first));
  }
  compareWithBaseline(page, state, groups);
  const measure = MEASURES[state.sortBy];
  const place = (group) => (Number.isFinite(measure(group)) ? measure(group) : Infinity);
  groups.sort((a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)) || b.top1.mean - a.top1.mean);
  for (const its of fronts(groups)) {
    const front = new Set(paretoFront(its.map((group) => pointOf(group, "x"))));
    its.forEach((group, index) => { group.onFront = front.has(index); });
  }
  return { main, protocols, groups, runs: groups.reduce((total, group) => total + group.n, 0) };
}
