// The budget: the best configuration that it buys, the other way around of the target.

import { bootstrap, contenders, hasNoSeeds } from "./bootstrap.js";
import { duration, money } from "./format.js";
import { bestWithin, topAt } from "./frontier.js";
import { lineKey, pointOf, pointsOfSeeds } from "./groups.js";

/** @import { Bargain, Budget, Group, Shown, ShownGroup, State } from "../types.d.ts" */

// Seconds of each unit of time; a price is in dollars.
const UNIT_SECONDS = new Map([
  ["s", 1],
  ["min", 60],
  ["h", 3600],
]);
export const DOLLARS = "usd";
export const UNITS = [...UNIT_SECONDS.keys(), DOLLARS];

/**
 * "10min", "1.5h" or "10usd" as an amount on an axis; null for any other text.
 * @param {string} text
 * @returns {Budget | null}
 */
export function parseBudget(text) {
  const [, number, unit] = /^(\d+\.?\d*|\.\d+)([a-z]+)$/.exec(text) ?? [];
  if (!UNITS.includes(unit) || !(Number(number) > 0)) return null;
  const seconds = UNIT_SECONDS.get(unit);
  const amount = Number(number) * (seconds ?? 1);
  return { axis: seconds === undefined ? "cost" : "time", amount, number: Number(number), unit };
}

/**
 * An amount on the axis of a budget, as text.
 * @param {Budget["axis"]} axis
 * @param {number} amount
 */
export function amountText(axis, amount) {
  return axis === "cost" ? money(amount) : duration(amount);
}

/**
 * Lowest and highest time or cost that is shown; null if none is known.
 * @param {Shown} shown
 * @param {Budget["axis"]} axis
 * @returns {[low: number, high: number] | null}
 */
export function amountRange(shown, axis) {
  const amounts = shown.groups.map((group) => pointOf(group, axis).cost).filter((amount) => amount > 0);
  if (amounts.length === 0) return null;
  return [amounts.reduce((a, b) => Math.min(a, b)), amounts.reduce((a, b) => Math.max(a, b))];
}

/**
 * A budget to begin with, as text: in the middle of what is shown, as one digit of a unit.
 * @param {State} state
 * @param {Shown} shown
 */
export function firstBudget(state, shown) {
  const axis = state.x === "cost" && amountRange(shown, "cost") ? "cost" : "time";
  const [low, high] = amountRange(shown, axis) ?? [600, 600];
  const middle = Math.sqrt(low * high);
  if (axis === "cost") return `${Number(middle.toPrecision(1))}${DOLLARS}`;
  const [unit, seconds] = [...UNIT_SECONDS].findLast(([, seconds]) => middle >= seconds) ?? ["s", 1];
  return `${Number((middle / seconds).toPrecision(1))}${unit}`;
}

/**
 * The best for a budget, for each protocol that is shown.
 * @param {Shown} shown
 * @param {Budget} budget
 * @returns {Bargain[]}
 */
export function bargainsFor(shown, budget) {
  return shown.protocols.map((protocol) => {
    const groups = shown.groups.filter((group) => group.first.protocol === protocol);
    return bargainOf(groups, protocol, budget);
  });
}

/**
 * @param {readonly ShownGroup[]} groups
 * @param {string} protocol
 * @param {Budget} budget
 * @returns {Bargain}
 */
function bargainOf(groups, protocol, budget) {
  const index = bestWithin(
    groups.map((group) => pointOf(group, budget.axis)),
    budget.amount,
  );
  if (index < 0) return { protocol, groups, best: null, interval: null, between: null };
  const best = groups[index];
  const interval = bootstrap([pointsOfSeeds(best, budget.axis)], ([mean]) => mean.top1);
  return { protocol, groups, best, interval, between: betweenLengths(groups, best, budget) };
}

/**
 * Interpolate between two lengths of one recipe on one machine, never between two machines.
 * @param {readonly Group[]} groups
 * @param {Group} best
 * @param {Budget} budget
 * @returns {Bargain["between"]}
 */
function betweenLengths(groups, best, { axis, amount }) {
  const key = JSON.stringify(lineKey(best.first));
  const line = groups.filter((group) => JSON.stringify(lineKey(group.first)) === key);
  const top1 = topAt(
    line.map((group) => pointOf(group, axis)),
    amount,
  );
  if (top1 === null || top1 === best.top1.mean) return null;
  const seeds = contenders(line.map((group) => pointsOfSeeds(group, axis)));
  return { top1, interval: bootstrap(seeds, (means) => topAt(means, amount)), single: hasNoSeeds(seeds) };
}
