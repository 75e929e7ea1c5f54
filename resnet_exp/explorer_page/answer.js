// The answer to "what does this top-1 take?".

/** The sentence that answers a target: the cheapest and the fastest that reach it, and what lies on the frontier. */
function drawAnswer(page, state, shown, update) {
  const box = byId("answer");
  const range = topRange(shown);
  for (const id of ["target", "target-number"]) {
    const input = byId(id);
    if (range) Object.assign(input, { min: range[0].toFixed(1), max: range[1].toFixed(1), step: 0.1, disabled: false });
    else input.disabled = true;
    if (input !== document.activeElement) input.value = state.target ?? (range ? range[1].toFixed(1) : "");
  }
  if (state.target === null) return box.replaceChildren("Choose a top-1 to see the cheapest and the fastest way there.");
  const lines = shown.protocols.flatMap((protocol) => answerFor(page, state, shown, protocol, update));
  return box.replaceChildren(...lines);
}

function topRange(shown) {
  const values = shown.groups.map((group) => 100 * group.top1.mean);
  return values.length ? [Math.min(...values), Math.max(...values)] : null;
}

function answerFor(page, state, shown, protocol, update) {
  // 76.6 / 100 is not quite 0.766.
  const target = Number((state.target / 100).toPrecision(12));
  const groups = shown.groups.filter((group) => group.first.protocol === protocol);
  return [["Cheapest", "cost", money], ["Fastest", "time", duration]].map(([word, name, show]) => {
    const points = groups.map((group) => pointOf(group, name));
    const best = cheapestReaching(points, target);
    const where = shown.protocols.length > 1 ? ` (${protocol})` : "";
    if (best < 0) return make("p", {}, `${word}${where}: no run with a known ${name} reaches ${state.target} %.`);
    const group = groups[best];
    const text = `${show(points[best].cost)}, ${nameOf(group)} on ${group.first.hardware}, ${percent(group.top1.mean)} %`;
    return make("p", {}, make("strong", {}, `${word}${where}: `),
      make("button", { type: "button", class: "link", onclick: () => update({ selected: group.key }) }, text),
      ` ${[measured(page, state, group, name, show), interpolated(groups, group, target, name, show)].filter(Boolean).join(" ")}`);
  });
}

/** What the measured value is: of how many runs, how sure, by whom, at which price. */
function measured(page, state, group, name, show) {
  const run = group.first;
  const interval = bootstrap([group.seeds.map((seed) => ({ top1: seed.top1, cost: seed[name] }))], ([mean]) => mean.cost);
  const parts = [group.n === 1 ? "one run" : `${group.n} runs`, run.published ? "published" : null];
  if (interval) parts.push(`95 % interval ${show(interval[0])} to ${show(interval[1])}`);
  if (name === "cost") parts.push(priceText(page, state, run));
  if (name === "time" && run.clock) parts.push(`time covers: ${run.clock}`);
  return `(${parts.filter(Boolean).join("; ")}).`;
}

/** Between two lengths of one recipe on one machine there is more to say; between two machines there is not. */
function interpolated(groups, best, target, name, show) {
  const like = (run) => JSON.stringify([run.recipe, run.model, run.published, run.clock, hardwareKey(run)]);
  const line = groups.filter((group) => like(group.first) === like(best.first));
  const cost = costAt(line.map((group) => pointOf(group, name)), target);
  if (cost === null || line.length < 2 || best.top1.mean === target) return "";
  const seeds = line.map((group) => group.seeds.map((seed) => ({ top1: seed.top1, cost: seed[name] })));
  const interval = bootstrap(seeds, (means) => costAt(means, target));
  const range = interval ? `, 95 % interval ${show(interval[0])} to ${show(interval[1])}` : ", without an interval: too few seeds";
  return `Between its lengths, ${wholePercent(target)} % would take about ${show(cost)}${range}.`;
}

function wholePercent(fraction) {
  return String(Number((100 * fraction).toPrecision(6)));
}

/** The price of an hour that a cost rests on, and its day. */
function priceText(page, state, run) {
  const used = hourly(page, state, run);
  if (used === undefined || used === null) return "";
  const price = get(page.prices, run.hardware) || {};
  const own = get(state.own, run.hardware) !== undefined;
  const recorded = state.prices === "recorded" || price.usd_per_node_hour === undefined || price.usd_per_node_hour === null;
  const day = own ? "your price" : state.prices === "spot" ? `spot, ${price.spot_date}` : recorded ? `recorded, ${run.price_date}` : price.date;
  return `at ${money(used)} an hour${run.nodes > 1 ? " a node" : ""} (${day})`;
}
