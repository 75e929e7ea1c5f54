// The question "what does a budget buy": its slider, number and unit, and a card for each answer.

import { amountRange, amountText, bargainsFor, firstBudget, parseBudget, UNITS } from "../rules/budget.js";
import { nameOf } from "../rules/describe.js";
import { percent, percentText } from "../rules/format.js";
import { counts } from "../rules/frontier.js";
import { pointOf } from "../rules/groups.js";
import { byId, inputById, make, refill, selectById } from "./dom.js";
import { priceText } from "./prices.js";

/** @import { Aiming, Bargain, Budget, Shown, ShownGroup, View } from "../types.d.ts" */

// Steps of the slider, whose scale is logarithmic.
const STEPS_OF_SLIDER = 200;

/**
 * @param {View} view
 * @param {Budget} budget
 */
export function drawBudget(view, budget) {
  const { shown } = view;
  const slider = inputById("budget");
  const range = amountRange(shown, budget.axis);
  slider.disabled = range === null;
  if (range) slider.value = String(STEPS_OF_SLIDER * shareOf(budget.amount, range));
  slider.setAttribute("aria-valuetext", amountText(budget.axis, budget.amount));
  const box = inputById("budget-number");
  if (box.dataset.typing === undefined) box.value = String(budget.number);
  selectById("budget-unit").value = budget.unit;
  const cards = bargainsFor(shown, budget).map((bargain) => bargainCard(view, bargain, budget));
  refill(byId("answer"), ...(cards.length > 0 ? cards : [make("p", {}, "Nothing is shown.")]));
}

/**
 * Where an amount is on the slider, from 0 to 1.
 * @param {number} amount
 * @param {[low: number, high: number]} range
 */
function shareOf(amount, [low, high]) {
  return low === high ? 1 : Math.min(1, Math.max(0, Math.log(amount / low) / Math.log(high / low)));
}

/**
 * @param {View} view
 * @param {Bargain} bargain
 * @param {Budget} budget
 */
function bargainCard(view, bargain, budget) {
  const { best, protocol } = bargain;
  const where = view.shown.protocols.length > 1 ? `, evaluated at ${protocol}` : "";
  const title = make("h3", {}, `Best for ${amountText(budget.axis, budget.amount)}${where}`);
  if (best === null) return make("div", { class: "card" }, title, make("p", {}, nothingText(bargain, budget)));
  const open = () => view.update({ selected: best.key }, "details");
  const attributes = { type: "button", class: "link", "data-focus": `answer best ${protocol}`, onclick: open };
  const link = make("button", attributes, `${nameOf(best)} on ${best.first.hardware}`);
  const took = amountText(budget.axis, pointOf(best, budget.axis).cost);
  return make(
    "div",
    { class: "card" },
    title,
    make("p", { class: "big" }, `${percentText(best.top1)} %`),
    make("p", {}, link, ` ${budget.axis === "cost" ? "cost" : "took"} ${took}.`),
    make(
      "p",
      { class: "small" },
      `${seedText(view, bargain, best, budget)} ${interpolatedText(bargain, budget)}`.trim(),
    ),
  );
}

/**
 * Why there is no answer.
 * @param {Bargain} bargain
 * @param {Budget} budget
 */
function nothingText({ groups }, { axis, amount }) {
  const known = groups.map((group) => ({ group, point: pointOf(group, axis) })).filter(({ point }) => counts(point));
  if (known.length === 0) {
    const hint = axis === "cost" ? " Its machine needs a price: give one under Prices." : "";
    return `No run shown has a known ${axis}.${hint}`;
  }
  const least = known.reduce((a, b) => (b.point.cost < a.point.cost ? b : a));
  const what = `${nameOf(least.group)} on ${least.group.first.hardware}`;
  const how = axis === "cost" ? "cheapest" : "fastest";
  return `No run fits ${amountText(axis, amount)}. The ${how} is ${what} with ${amountText(axis, least.point.cost)}.`;
}

/**
 * Number of runs, interval, source, price.
 * @param {View} view
 * @param {Bargain} bargain
 * @param {ShownGroup} best
 * @param {Budget} budget
 */
function seedText({ page, state }, { interval }, best, { axis }) {
  const run = best.first;
  const ends = interval?.map((end) => percent(end)) ?? [];
  const parts = [
    best.n === 1 ? "One run, which gives no interval" : `${best.n} runs`,
    ends[0] !== ends[1] ? `95 % interval over seeds ${ends[0]} % to ${ends[1]} %` : "",
    run.published ? "published" : "",
    axis === "cost" ? priceText(page, state, run) : "",
    axis === "time" && run.clock ? `time covers: ${run.clock}` : "",
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

/**
 * The interpolated top-1 for just the budget.
 * @param {Bargain} bargain
 * @param {Budget} budget
 */
function interpolatedText({ between }, { axis, amount }) {
  if (between === null) return "";
  const why = between.single ? "each length has one seed" : "too many draws of the seeds take more, or less";
  const range = between.interval
    ? `, 95 % interval ${percent(between.interval[0])} % to ${percent(between.interval[1])} %`
    : `, without an interval: ${why}`;
  return `Between its lengths, ${amountText(axis, amount)} would reach about ${percent(between.top1)} %${range}.`;
}

/** @param {Aiming} explorer */
export function listenToBudget(explorer) {
  const slider = inputById("budget");
  const box = inputById("budget-number");
  const unit = selectById("budget-unit");
  unit.append(...UNITS.map((name) => make("option", { value: name }, name === "usd" ? "$" : name)));
  slider.max = String(STEPS_OF_SLIDER);
  let frame = 0;
  slider.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() =>
      explorer.slide({ ...explorer.view.state, budget: slid(explorer.view, slider) }),
    );
  });
  slider.addEventListener("change", () => explorer.view.update({ budget: slid(explorer.view, slider) }));
  box.addEventListener("input", () => {
    box.dataset.typing = "yes";
  });
  for (const end of ["change", "blur"]) box.addEventListener(end, () => delete box.dataset.typing);
  const take = () => {
    const text = `${box.value}${unit.value}`;
    if (parseBudget(text)) explorer.view.update({ budget: text });
    else box.value = String(parseBudget(explorer.view.state.budget ?? "")?.number ?? "");
  };
  box.addEventListener("change", take);
  unit.addEventListener("change", take);
  for (const asked of ["target", "budget"]) {
    inputById(`ask-${asked}`).addEventListener("change", () => explorer.view.update(questionOf(asked, explorer.view)));
  }
}

/**
 * @param {string} asked
 * @param {View} view
 */
function questionOf(asked, { state, shown }) {
  return { budget: asked === "budget" ? firstBudget(state, shown) : null };
}

/**
 * The budget at a place of the slider, with two digits in the unit that is chosen.
 * @param {{ state: { budget: string | null }, shown: Shown }} view
 * @param {HTMLInputElement} slider
 */
function slid({ state, shown }, slider) {
  const budget = parseBudget(state.budget ?? "");
  const range = budget && amountRange(shown, budget.axis);
  if (!budget || !range) return state.budget;
  const [low, high] = range;
  const amount = low * (high / low) ** (Number(slider.value) / STEPS_OF_SLIDER);
  // At the end, all that is shown must fit.
  const number = (amount * budget.number) / budget.amount;
  const rounded = Number(number.toPrecision(2));
  const last = Number(slider.value) === STEPS_OF_SLIDER;
  return `${last && rounded < number ? roundedUp(number) : rounded}${budget.unit}`;
}

/** @param {number} number */
function roundedUp(number) {
  const digit = 10 ** (Math.floor(Math.log10(number)) - 1);
  return Number((Math.ceil(number / digit) * digit).toPrecision(2));
}
