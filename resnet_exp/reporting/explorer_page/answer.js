// The target: the cheapest and the fastest configuration that reach a top-1, and what the frontier says between its points.

// The top-1 that MosaicML's recipes are known for.
const KNOWN_TARGETS = { imagenet: 76.6 };

/** Lowest and highest top-1 that is shown, in percent; null if nothing is. */
function topRange(shown) {
  if (shown.groups.length === 0) return null;
  const tops = shown.groups.map((group) => 100 * group.top1.mean);
  return [tops.reduce((a, b) => Math.min(a, b)), tops.reduce((a, b) => Math.max(a, b))];
}

/** The target in percent: what was asked for, else a known one, else what the best of the shown reaches. */
function targetOf(state, shown) {
  if (state.target === NO_TARGET) return null;
  if (state.target !== null) return state.target;
  const range = topRange(shown);
  if (range === null) return null;
  const known = get(KNOWN_TARGETS, state.dataset);
  if (known >= range[0] && known <= range[1]) return known;
  return Math.max(Math.floor(range[1]), Math.floor(10 * range[0]) / 10);
}

function drawAnswer(page, state, shown, update) {
  const range = topRange(shown);
  const target = targetOf(state, shown);
  for (const id of ["target", "target-number"]) {
    const input = byId(id);
    input.disabled = range === null;
    if (range) Object.assign(input, { min: Math.floor(10 * range[0]) / 10, max: Math.ceil(10 * range[1]) / 10, step: 0.1 });
    if (input !== document.activeElement || id === "target") input.value = target ?? (range ? range[1].toFixed(1) : "");
  }
  byId("no-target").hidden = target === null;
  const nothing = make("p", {}, range ? "Choose a top-1 to see the cheapest and the fastest way there." : "Nothing is shown.");
  refill(byId("answer"), ...(target === null || range === null ? [nothing]
    : shown.protocols.flatMap((protocol) => answersFor(page, state, shown, protocol, target, update))));
}

function answersFor(page, state, shown, protocol, target, update) {
  const groups = shown.groups.filter((group) => group.first.protocol === protocol);
  const where = shown.protocols.length > 1 ? `, evaluated at ${protocol}` : "";
  // 76.6 / 100 is not quite 0.766.
  const top1 = Number((target / 100).toPrecision(12));
  return [["Cheapest", "cost", money], ["Fastest", "time", duration]].map(([word, axis, show]) => {
    const points = groups.map((group) => pointOf(group, axis));
    const best = cheapestReaching(points, top1);
    const title = make("h3", {}, `${word} to ${shortPercent(top1)} %${where}`);
    if (best < 0) return make("div", { class: "card" }, title, make("p", {}, nobodyText(groups, points, top1, axis)));
    const group = groups[best];
    return make("div", { class: "card" }, title,
      make("p", { class: "big" }, show(points[best].cost)),
      make("p", {}, make("button", {
        type: "button", class: "link", "data-focus": `answer ${word} ${protocol}`, onclick: () => update({ selected: group.key }, "details"),
      }, `${nameOf(group)} on ${group.first.hardware}`), ` reached ${percent(group.top1.mean)}${plusMinus(group.top1.sem, percent)} %.`),
      make("p", { class: "small" }, [measured(page, state, group, axis, show), interpolated(groups, group, top1, axis, show)].join(" ")));
  });
}

function nobodyText(groups, points, top1, axis) {
  const known = groups.filter((_, index) => counts(points[index]));
  if (known.length === 0) return `No run shown has a known ${axis}.${axis === "cost" ? " Its machine needs a price: give one under Prices." : ""}`;
  const best = known.reduce((a, b) => (b.top1.mean > a.top1.mean ? b : a));
  return `No run with a known ${axis} reaches ${shortPercent(top1)} %. The best is ${nameOf(best)} on ${best.first.hardware} with ${percent(best.top1.mean)} %.`;
}

/** What the measured value is: of how many runs, how sure, by whom, at which price. */
function measured(page, state, group, axis, show) {
  const run = group.first;
  const interval = bootstrap([group.seeds.map((seed) => ({ top1: seed.top1, cost: seed[axis] }))], ([mean]) => mean.cost);
  const parts = [
    group.n === 1 ? "One run, which gives no interval" : `${group.n} runs`,
    interval && show(interval[0]) !== show(interval[1]) ? `95 % interval over seeds ${show(interval[0])} to ${show(interval[1])}` : null,
    run.published ? "published" : null,
    axis === "cost" ? priceText(page, state, run) : null,
    axis === "time" && run.clock ? `time covers: ${run.clock}` : null,
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

/** Between two lengths of one recipe on one machine there is more to say; between two machines there is not. */
function interpolated(groups, best, top1, axis, show) {
  const like = (run) => JSON.stringify([run.recipe, run.model, run.published, run.clock, hardwareKey(run)]);
  const line = groups.filter((group) => like(group.first) === like(best.first));
  const cost = costAt(line.map((group) => pointOf(group, axis)), top1);
  if (cost === null || line.length < 2 || best.top1.mean === top1) return "";
  const seeds = contenders(line.map((group) => group.seeds.map((seed) => ({ top1: seed.top1, cost: seed[axis] }))));
  const interval = bootstrap(seeds, (means) => costAt(means, top1));
  const range = interval ? `, 95 % interval ${show(interval[0])} to ${show(interval[1])}` : ", without an interval: too few seeds";
  return `Between its lengths, ${shortPercent(top1)} % would take about ${show(cost)}${range}.`;
}

function shortPercent(fraction) {
  return String(Number((100 * fraction).toPrecision(6)));
}
