// The answers: a card for the cheapest and the fastest way to a target, or what a budget buys.

import { answersTo, fractionOf, targetOf, topRange } from "../rules/answer.js";
import { parseBudget } from "../rules/budget.js";
import { nameOf } from "../rules/describe.js";
import { duration, money, percent, percentText, shortPercent } from "../rules/format.js";
import { counts } from "../rules/frontier.js";
import { pointOf } from "../rules/groups.js";
import { drawBudget } from "./budget.js";
import { byId, inputById, make, refill } from "./dom.js";
import { priceText } from "./prices.js";

/** @import { Answer, ShownGroup, View } from "../types.d.ts" */

const KINDS = {
  cost: { word: "Cheapest", show: money },
  time: { word: "Fastest", show: duration },
};

/** @param {View} view */
export function drawAnswer(view) {
  const { state, shown } = view;
  const budget = parseBudget(state.budget ?? "");
  drawQuestion(budget !== null);
  if (budget !== null) {
    drawBudget(view, budget);
    return;
  }
  const range = topRange(shown);
  const target = targetOf(state, shown);
  drawSlider(range, target);
  byId("no-target").hidden = target === null;
  const cards = range === null || target === null ? [] : answersTo(shown, fractionOf(target));
  const hint = range ? "Choose a top-1 to see the cheapest and the fastest way there." : "Nothing is shown.";
  const drawn = cards.map((answer) => cardOf(view, answer, fractionOf(Number(target))));
  refill(byId("answer"), ...(drawn.length > 0 ? drawn : [make("p", {}, hint)]));
}

/** @param {boolean} budget whether a budget is given, and not a top-1 */
function drawQuestion(budget) {
  byId("target-title").textContent = budget ? "What does a budget buy?" : "What does a top-1 cost?";
  inputById("ask-budget").checked = budget;
  inputById("ask-target").checked = !budget;
  byId("aim-budget").hidden = !budget;
  byId("aim-target").hidden = budget;
  if (budget) byId("target-note").hidden = true;
}

/**
 * @param {[low: number, high: number] | null} range
 * @param {number | null} target
 */
function drawSlider(range, target) {
  for (const id of ["target", "target-number"]) {
    const input = inputById(id);
    input.disabled = range === null;
    if (range) {
      const [low, high] = range;
      Object.assign(input, { min: Math.floor(10 * low) / 10, max: Math.ceil(10 * high) / 10, step: 0.1 });
    }
    // Do not overwrite a number that the user is typing.
    if (input.dataset.typing === undefined) input.value = String(target ?? range?.[1].toFixed(1) ?? "");
  }
}

/**
 * @param {View} view
 * @param {Answer} answer
 * @param {number} top1 a fraction
 */
function cardOf(view, answer, top1) {
  const { best, axis, protocol } = answer;
  const { word, show } = KINDS[axis];
  const where = view.shown.protocols.length > 1 ? `, evaluated at ${protocol}` : "";
  const title = make("h3", {}, `${word} to ${shortPercent(top1)} %${where}`);
  if (best === null) return make("div", { class: "card" }, title, make("p", {}, nobodyText(answer, top1)));
  const open = () => view.update({ selected: best.key }, "details");
  const attributes = { type: "button", class: "link", "data-focus": `answer ${word} ${protocol}`, onclick: open };
  const link = make("button", attributes, `${nameOf(best)} on ${best.first.hardware}`);
  return make(
    "div",
    { class: "card" },
    title,
    make("p", { class: "big" }, show(answer.cost)),
    make("p", {}, link, ` ${reachedText(answer, best, top1)}`),
    make("p", { class: "small" }, `${measuredText(view, answer, best)} ${betweenText(answer, top1)}`.trim()),
  );
}

/**
 * @param {Answer} answer
 * @param {ShownGroup} best
 * @param {number} top1
 */
function reachedText({ reached }, best, top1) {
  const mean = `${percentText(best.top1)} %`;
  if (reached === best.n) return `reached ${mean}.`;
  return `reached ${mean} on average; ${reached} of its ${best.n} seeds reached ${shortPercent(top1)} %.`;
}

/**
 * Why there is no answer.
 * @param {Answer} answer
 * @param {number} top1
 */
function nobodyText({ axis, groups }, top1) {
  const known = groups.filter((group) => counts(pointOf(group, axis)));
  if (known.length === 0) {
    const hint = axis === "cost" ? " Its machine needs a price: give one under Prices." : "";
    return `No run shown has a known ${axis}.${hint}`;
  }
  const best = known.reduce((a, b) => (b.top1.mean > a.top1.mean ? b : a));
  const where = `${nameOf(best)} on ${best.first.hardware} with ${percent(best.top1.mean)} %`;
  return `No run with a known ${axis} reaches ${shortPercent(top1)} %. The best is ${where}.`;
}

/**
 * Details of the measured value: number of runs, interval, source, price.
 * @param {View} view
 * @param {Answer} answer
 * @param {ShownGroup} best
 */
function measuredText({ page, state }, { axis, interval }, best) {
  const run = best.first;
  const ends = interval?.map(KINDS[axis].show) ?? [];
  const unknown = best.seeds.some((seed) => !Number.isFinite(seed[axis]));
  const parts = [
    best.n === 1 ? "One run, which gives no interval" : `${best.n} runs`,
    ends[0] !== ends[1] ? `95 % interval over seeds ${ends[0]} to ${ends[1]}` : "",
    best.n > 1 && unknown ? `not all have a known ${axis}` : "",
    run.published ? "published" : "",
    axis === "cost" ? priceText(page, state, run) : "",
    axis === "time" && run.clock ? `time covers: ${run.clock}` : "",
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

/**
 * The interpolated time or cost of exactly the target.
 * @param {Answer} answer
 * @param {number} top1
 */
function betweenText({ axis, between }, top1) {
  if (between === null) return "";
  const { show } = KINDS[axis];
  const why = between.single
    ? "each length has one seed"
    : "too many draws of the seeds do not reach it, or reach more";
  const range = between.interval
    ? `, 95 % interval ${show(between.interval[0])} to ${show(between.interval[1])}`
    : `, without an interval: ${why}`;
  return `Between its lengths, ${shortPercent(top1)} % would take about ${show(between.cost)}${range}.`;
}
