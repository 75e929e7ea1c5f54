// One configuration: its facts, its curve, its configuration, and the command that repeats it.

function factsOf(page, state, group) {
  const run = group.first;
  const mean = (value) => spread(group.runs.map(value).filter(Number.isFinite))?.mean;
  const [top5, speed] = [mean((each) => each.top5), mean((each) => each.images_per_second)];
  const waiting = mean((each) => each.data_wait_seconds / each.train_seconds);
  const cost = group.cost ? `${money(group.cost.mean)}${plusMinus(group.cost.sem, money)} ${priceText(page, state, run)}` : DASH;
  const gpus = run.devices ? `${run.devices}x ${run.gpu || "GPU"}` : run.gpu;
  const facts = [
    ["Top-1", `${percent(group.top1.mean)}${plusMinus(group.top1.sem, percent)} %, n = ${group.n}`],
    ["Top-5", top5 === undefined ? null : `${percent(top5)} %`],
    ["Training time", `${durationText(group.time)}${run.clock ? ` (covers: ${run.clock})` : ""}`],
    ["Cost", cost],
    ["Same GPUs elsewhere", elsewhereText(page, run, group)],
    ["Published cost", run.published_cost_usd === undefined ? null
      : `${money(run.published_cost_usd)}${run.usd_per_node_hour === undefined ? "" : ` at ${money(run.usd_per_node_hour)} an hour of ${run.price_date}`}`],
    ["Against the baseline", `${againstText(group)} (${baselineText(page, state.baseline)})`],
    ["Recipe", run.recipe], ["ssr", ssrText(run)], ["Epochs", run.epochs], ["Model", run.model], ["Dataset", run.dataset],
    ["Data format", run.data], ["Algorithms", run.algorithms.join(", ")],
    ["Hardware", [run.hardware, gpus, run.nodes > 1 ? `${run.nodes} nodes` : null, run.cpus ? `${run.cpus} CPUs` : null, run.cloud]
      .filter(Boolean).join(", ")],
    ["Evaluated at", `${evaluatedText(run)}${run.eval_resize ? " px" : ""}`],
    ["Speed", speed === undefined ? null : `${Math.round(speed).toLocaleString("en-US")} images/s`],
    ["Waiting for data", waiting === undefined ? null : `${percent(waiting, 1)} % of the time`],
    ["Energy", run.energy_kwh === undefined ? null : `${run.energy_kwh} kWh`],
    ["Seeds", group.runs.map((each) => each.seed).filter((seed) => seed !== undefined).join(", ")],
    ["Commit", [...new Set(group.runs.flatMap((each) => each.commits))].join(", ")], ["Sweep", run.sweep], ["Source", run.source], ["Folder", run.path],
  ];
  return facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
}

/** What the same time would cost on other machines with as many GPUs of the same kind. */
function elsewhereText(page, run, group) {
  if (group.time === null || !run.gpu) return null;
  const hours = (group.time.mean / 3600) * run.nodes;
  const found = Object.values(page.prices).filter((price) => price.gpu === run.gpu && price.devices === run.devices)
    .flatMap((price) => [[price.usd_per_node_hour, price.name, price.date], [price.spot_usd_per_node_hour, `${price.name} spot`, price.spot_date]])
    .filter(([dollars, name]) => dollars && name !== run.hardware).sort((a, b) => a[0] - b[0]);
  return found.map(([dollars, name, date]) => `${money(hours * dollars)} ${name} (${date})`).join(", ");
}

function againstText(group) {
  if (group.speedUp === null && group.saving === null) return "no comparison at the same top-1";
  return `${ratioText(group.speedUp)} as fast, ${savingText(group.saving)} saved, at the same top-1`;
}

function warningsOf(group) {
  return marksOfGroup(group).map(([mark, text, count]) => make("li", {}, make("strong", {}, mark),
    `: ${group.n === 1 ? "" : `${count} of ${group.n} runs `}${text}`));
}

/** Each seed of a configuration, in the order of the runs. */
function seedsOf(group) {
  if (group.n === 1) return null;
  const cells = (tag, values) => values.map((value) => make(tag, tag === "th" ? { scope: "col" } : {}, String(value)));
  const rows = group.seeds.map(({ run, top1, time, cost }) => make("tr", {},
    ...cells("td", [run.seed ?? DASH, percent(top1), duration(time), money(cost), run.run_id])));
  return make("section", {}, make("h3", {}, `The ${group.n} runs`), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "runs" },
    make("table", {}, make("thead", {}, make("tr", {}, ...cells("th", ["Seed", "Top-1 (%)", "Time", "Cost", "Run"]))), make("tbody", {}, ...rows))));
}

function drawCurves(element, group) {
  const colors = theme();
  const curves = group.runs.filter((run) => run.curve.length > 0).slice(0, 20);
  if (curves.length === 0) return;
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `top-1 against training time of ${curves.length === 1 ? "the run" : `${curves.length} runs`}`);
  const longest = Math.max(...curves.flatMap((run) => run.curve.map(([seconds]) => seconds)));
  const divide = longest < 300 ? 1 : 60;
  const axis = { gridcolor: colors.grid, zeroline: false, automargin: true };
  Plotly.newPlot(element, curves.map((run) => ({
    type: "scatter", mode: "lines+markers", marker: { size: 4 }, name: plain(run.seed === undefined ? run.run_id : `seed ${run.seed}`),
    x: run.curve.map(([seconds]) => seconds / divide), y: run.curve.map(([, top1]) => 100 * top1),
    hovertemplate: "%{y:.2f} %, %{x:.3g}<extra></extra>",
  })), {
    height: 230, width: element.clientWidth, margin: { l: 50, r: 10, t: 10, b: 40 }, paper_bgcolor: colors.paper, plot_bgcolor: colors.paper,
    font: { color: colors.ink, size: 12 },
    colorway: ["--mild", "--hot", "--more-1", "--medium", "--more-2", "--more-3"].map(colors.value),
    xaxis: { ...axis, title: { text: `training time (${divide === 1 ? "s" : "min"})` } },
    yaxis: { ...axis, title: { text: "top-1 (%)" } }, showlegend: curves.length > 1,
  }, { displayModeBar: false });
}

function drawDetails(page, state, shown) {
  const panel = byId("details");
  const group = state.selected === null ? undefined
    : shown.groups.find((each) => isSelected(state, each)) || hiddenGroup(page, state);
  panel.hidden = group === undefined;
  if (group === undefined) return;
  const facts = factsOf(page, state, group).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  const curve = make("div", { class: "curve" });
  const command = group.first.command;
  const config = get(page.configs, group.first.run_id);
  byId("details-title").textContent = nameOf(group);
  byId("details-body").replaceChildren(...[
    group.n === 1 ? make("p", { class: "small" }, group.first.run_id) : null,
    shown.groups.includes(group) ? null : make("p", { class: "note" }, "The filters hide this configuration."),
    make("ul", { class: "marks" }, ...warningsOf(group)),
    command ? make("section", {}, make("h3", {}, "Repeat it ", copyButton(command, "command")), make("pre", { class: "wrap" }, command)) : null,
    make("dl", {}, ...facts), curve, seedsOf(group),
    config ? make("details", {}, make("summary", {}, "Configuration"), copyButton(config, "configuration"), make("pre", {}, config)) : null,
    !config && group.first.path ? make("p", { class: "small" }, `Its configuration is ${group.first.path}/config.yaml`) : null,
  ].filter(Boolean));
  drawCurves(curve, group);
}

/** The selected group when the filters hide it: a link names a run that the page has. */
function hiddenGroup(page, state) {
  const runs = page.runs.filter((run) => [run.run_id, run.group].includes(state.selected));
  if (runs.length === 0) return undefined;
  const [group] = groupRuns(page, state, runs.filter((run) => run.protocol === runs[0].protocol), false);
  compareWithBaseline(page, { ...state, dataset: group.first.dataset }, [group]);
  return group;
}
