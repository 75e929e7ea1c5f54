// One group: its facts, its curve, its configuration, and the command that reproduces it.

import { baselineText, compareWithBaseline } from "../rules/baseline.js";
import { evaluatedText, marksOf, nameOf, ssrText } from "../rules/describe.js";
import {
  DASH,
  duration,
  durationText,
  money,
  moneyText,
  percent,
  percentText,
  ratioText,
  savingText,
} from "../rules/format.js";
import { spread } from "../rules/frontier.js";
import { groupRuns, isNamed, isSelected } from "../rules/groups.js";
import { costOfTime } from "../rules/price.js";
import { drawCurves } from "./curves.js";
import { byId, make } from "./dom.js";
import { copyButton } from "./export.js";
import { priceText } from "./prices.js";

/** @import { Comparison, Group, Page, Run, View } from "../types.d.ts" */

/** @typedef {Group & Comparison} ComparedGroup */

// What may scroll can be reached with the keyboard.
const READ = { tabindex: 0, role: "region" };

/** @param {View} view */
export function drawDetails(view) {
  const group = selectedGroup(view);
  byId("details").hidden = group === undefined;
  if (group === undefined) return;
  const hidden = !view.shown.groups.some((each) => isSelected(view.state, each));
  const curve = make("div", { class: "curve" });
  const parts = [
    group.n === 1 ? make("p", { class: "small" }, group.first.run_id) : null,
    hidden ? make("p", { class: "note" }, "The filters hide this configuration.") : null,
    make("ul", { class: "marks" }, ...warningsOf(group)),
    commandOf(group.first),
    make("dl", {}, ...factsOf(view, group)),
    curve,
    group.n === 1 ? null : seedsOf(group),
    configOf(view.page, group.first),
  ];
  byId("details-title").textContent = nameOf(group);
  byId("details-body").replaceChildren(...parts.filter((part) => part !== null));
  drawCurves(curve, group);
}

/**
 * The selected group, also when the filters hide it: a link names a run that the page has.
 * @param {View} view
 * @returns {ComparedGroup | undefined}
 */
function selectedGroup({ page, state, shown }) {
  const found = shown.groups.find((group) => isSelected(state, group));
  if (found) return found;
  const runs = page.runs.filter((run) => isNamed(state.selected, run));
  const [group] = groupRuns(page, state, runs);
  return group && { ...group, ...compareWithBaseline(page, state, [group])[0] };
}

/** @param {Group} group */
function warningsOf(group) {
  return marksOf(group).map(({ name, text, count }) => {
    const share = group.n === 1 ? "" : `${count} of ${group.n} runs `;
    return make("li", {}, make("strong", {}, name), `: ${share}${text}`);
  });
}

/** @param {Run} run */
function commandOf({ command }) {
  if (command === undefined) return null;
  const title = make("h3", {}, "Repeat it ", copyButton(command, "command"));
  return make("section", {}, title, make("pre", { class: "wrap", ...READ, "aria-label": "command" }, command));
}

/**
 * @param {Page} page
 * @param {Run} run
 */
function configOf(page, run) {
  const config = page.configs.get(run.run_id);
  if (config !== undefined) {
    const summary = make("summary", {}, "Configuration");
    return make(
      "details",
      {},
      summary,
      copyButton(config, "configuration"),
      make("pre", { ...READ, "aria-label": "configuration" }, config),
    );
  }
  return run.path ? make("p", { class: "small" }, `Its configuration is ${run.path}/config.yaml`) : null;
}

/**
 * Names and values, without those that are not known.
 * @param {View} view
 * @param {ComparedGroup} group
 */
function factsOf(view, group) {
  const facts = [...resultFacts(view, group), ...settingFacts(group), ...originFacts(group)];
  return facts
    .filter(([, value]) => value !== "" && value !== undefined)
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
}

/** @typedef {[name: string, value: string | number | undefined]} Fact */

/**
 * @param {View} view
 * @param {ComparedGroup} group
 * @returns {Fact[]}
 */
function resultFacts({ page, state }, group) {
  const run = group.first;
  const covers = run.clock ? ` (covers: ${run.clock})` : "";
  const baseline = baselineText(page, state.baseline);
  return [
    ["Top-1", `${percentText(group.top1)} %, n = ${group.n}`],
    [
      "Top-5",
      meanText(
        group,
        (each) => each.top5,
        (top5) => `${percent(top5)} %`,
      ),
    ],
    ["Training time", `${durationText(group.time)}${covers}`],
    ["Cost", group.cost ? `${moneyText(group.cost)} ${priceText(page, state, run)}` : DASH],
    ["Same GPUs elsewhere", elsewhereText(page, group)],
    ["Published cost", publishedCostText(run)],
    ["Against the baseline", `${againstText(group)} (${baseline})`],
  ];
}

/**
 * @param {Group} group
 * @returns {Fact[]}
 */
function settingFacts({ first: run }) {
  return [
    ["Recipe", run.recipe],
    ["ssr", ssrText(run)],
    ["Epochs", run.epochs],
    ["Model", run.model],
    ["Dataset", run.dataset],
    ["Data format", run.data],
    ["Algorithms", run.algorithms ? run.algorithms.join(", ") || "none" : "not stated"],
    ["Hardware", hardwareText(run)],
    ["Evaluated at", `${evaluatedText(run)}${run.eval_resize ? " px" : ""}`],
  ];
}

/**
 * @param {Group} group
 * @returns {Fact[]}
 */
function originFacts(group) {
  const run = group.first;
  const waiting = (/** @type {Run} */ each) => (each.data_wait_seconds ?? NaN) / (each.train_seconds ?? NaN);
  const seeds = group.runs.flatMap((each) => each.seed ?? []);
  const commits = new Set(group.runs.flatMap((each) => each.commits));
  return [
    [
      "Speed",
      meanText(
        group,
        (each) => each.images_per_second,
        (speed) => `${Math.round(speed).toLocaleString("en-US")} images/s`,
      ),
    ],
    ["Waiting for data", meanText(group, waiting, (share) => `${percent(share, 1)} % of the time`)],
    ["Energy", run.energy_kwh === undefined ? undefined : `${run.energy_kwh} kWh`],
    ["Seeds", seeds.join(", ")],
    ["Commit", [...commits].join(", ")],
    ["Sweep", run.sweep],
    ["Source", run.source],
    ["Folder", run.path],
  ];
}

/**
 * The mean of a number over the runs that have it.
 * @param {Group} group
 * @param {(run: Run) => number | undefined} numberOf
 * @param {(mean: number) => string} show
 */
function meanText(group, numberOf, show) {
  const values = group.runs.map((run) => numberOf(run) ?? NaN);
  const found = spread(values.filter(Number.isFinite));
  return found === null ? undefined : show(found.mean);
}

/** @param {Run} run */
function hardwareText(run) {
  const gpus = run.devices > 0 ? `${run.devices}x ${run.gpu ?? "GPU"}` : run.gpu;
  const cpus = run.cpus ? `${run.cpus} CPUs` : undefined;
  const nodes = run.nodes > 1 ? `${run.nodes} nodes` : undefined;
  return [run.hardware, gpus, nodes, cpus, run.cloud].filter(Boolean).join(", ");
}

/**
 * What the same time would cost on other machines with as many GPUs of the same kind.
 * @param {Page} page
 * @param {Group} group
 */
function elsewhereText(page, { first: run, time }) {
  if (time === null || run.gpu === undefined) return undefined;
  const offers = [...page.prices.values()]
    .filter((price) => price.gpu === run.gpu && price.devices === run.devices)
    .flatMap((price) => [
      { dollars: price.usd_per_node_hour, name: price.name, date: price.date },
      { dollars: price.spot_usd_per_node_hour, name: `${price.name} spot`, date: price.spot_date },
    ])
    .filter((offer) => offer.dollars && offer.name !== run.hardware)
    .map(({ dollars, name, date }) => ({ cost: costOfTime(time.mean, run.nodes, dollars ?? NaN), name, date }));
  offers.sort((a, b) => a.cost - b.cost);
  return offers.map(({ cost, name, date }) => `${money(cost)} ${name} (${date})`).join(", ");
}

/** @param {Run} run */
function publishedCostText(run) {
  if (run.published_cost_usd === undefined) return undefined;
  const price = run.usd_per_node_hour;
  const at = price === undefined ? "" : ` at ${money(price)} an hour of ${run.price_date}`;
  return `${money(run.published_cost_usd)}${at}`;
}

/** @param {Comparison} comparison */
function againstText({ speedUp, saving }) {
  if (speedUp === null && saving === null) return "no comparison at the same top-1";
  return `${ratioText(speedUp)} as fast, ${savingText(saving)} saved, at the same top-1`;
}

/**
 * Each seed of a configuration, in the order of the runs.
 * @param {Group} group
 */
function seedsOf(group) {
  const head = ["Seed", "Top-1 (%)", "Time", "Cost", "Run"].map((title) => make("th", { scope: "col" }, title));
  const rows = group.seeds.map(({ run, top1, time, cost }) => {
    const cells = [String(run.seed ?? DASH), percent(top1), duration(time), money(cost), run.run_id];
    return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
  });
  const table = make(
    "table",
    { "aria-label": `the ${group.n} runs` },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
  const box = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "rows of the runs" }, table);
  return make("section", {}, make("h3", {}, `The ${group.n} runs`), box);
}
