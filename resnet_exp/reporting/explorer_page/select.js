// From all runs and the state to what is shown: groups of seeds with their means, ratios to the baseline, and an order.

/** The page's data with what is looked up often. */
function prepare(content, curves, configs) {
  const runs = rowsOf(content.columns, curves);
  const values = {};
  for (const name of ["dataset", "model", "cloud", "hardware", "recipe", "data", "protocol"]) {
    values[name] = [...new Set(runs.map((run) => run[name]).filter(Boolean))].sort();
  }
  values.algorithms = [...new Set(runs.flatMap((run) => run.algorithms))].sort();
  return {
    ...content, runs, values, configs,
    byId: new Map(runs.map((run) => [run.run_id, run])),
    groupIds: new Set(runs.map((run) => run.group)),
    recipesOn: new Map(runs.map((run) => [`${run.recipe}${ON}${run.hardware}`, { recipe: run.recipe, hardware: run.hardware }])),
  };
}

/** Runs from columns; what is empty is left undefined. Curves are milliseconds and thousandths of a percent, by turns. */
function rowsOf(columns, curves) {
  const names = Object.keys(columns);
  return columns.run_id.map((_, index) => {
    const run = { curve: [], tta: "", clock: "" };
    for (const name of names) {
      const value = columns[name][index];
      if (value !== null && value !== "") run[name] = value;
    }
    const numbers = curves[index];
    for (let place = 0; place < numbers.length; place += 2) run.curve.push([numbers[place] / 1e3, numbers[place + 1] / 1e5]);
    return run;
  });
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
  return price === undefined || run.train_seconds === undefined ? NaN : (run.train_seconds / 3600) * run.nodes * price;
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

/** Groups with as many seeds as the state asks for; of single runs, those whose configuration has as many. */
function withSeeds(page, state, runs) {
  const groups = groupRuns(page, state, runs, false);
  const wanted = groups.filter((group) => state.seeds === "all" || (state.seeds === "several") === group.n > 1);
  return state.show === "means" ? wanted : groupRuns(page, state, wanted.flatMap((group) => group.runs), true);
}

/** The groups that share a front: evaluated in one way, own ones apart from published ones, whose clocks differ. */
function fronts(groups) {
  const found = new Map();
  for (const group of groups) {
    const key = JSON.stringify([group.first.published, group.first.protocol]);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(group);
  }
  return [...found.values()];
}

/** By the column that the state asks for; what has no value comes last, in either order. */
function sortGroups(state, groups) {
  const column = COLUMNS.find(({ key }) => key === state.sortBy);
  const sign = (column.down ? -1 : 1) * (state.order === "reversed" ? -1 : 1);
  const places = new Map(groups.map((group) => [group, column.value(group)]));
  const empty = (value) => value === undefined || value === null || value === "" || Number.isNaN(value);
  groups.sort((a, b) => {
    const [left, right] = [places.get(a), places.get(b)];
    if (empty(left) || empty(right)) return empty(left) - empty(right) || b.top1.mean - a.top1.mean;
    return sign * (left < right ? -1 : left > right ? 1 : 0) || b.top1.mean - a.top1.mean;
  });
}

/** Everything that the chart, the table and the answer show. */
function select(page, state) {
  const main = mainProtocol(page, state.dataset);
  const protocols = state.protocol.length > 0 ? state.protocol : [main];
  const groups = withSeeds(page, state, page.runs.filter((run) => isShown(state, protocols, run)));
  compareWithBaseline(page, state, groups);
  for (const its of fronts(groups)) {
    const front = new Set(paretoFront(its.map((group) => pointOf(group, "x"))));
    its.forEach((group, index) => { group.onFront = front.has(index); });
  }
  sortGroups(state, groups);
  return { main, protocols, groups, runs: groups.reduce((total, group) => total + group.n, 0) };
}
