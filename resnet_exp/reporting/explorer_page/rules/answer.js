// The target: the cheapest and the fastest configuration that reach a top-1, and interpolation between lengths.

import { bootstrap, contenders, hasNoSeeds } from "./bootstrap.js";
import { cheapestReaching, costAt } from "./frontier.js";
import { lineKey, pointOf, pointsOfSeeds } from "./groups.js";
import { NO_TARGET } from "./state.js";

/** @import { Answer, Group, Shown, ShownGroup, State } from "../types.d.ts" */

// The top-1 that MosaicML's recipes are known for.
const KNOWN_TARGETS = new Map([["imagenet", 76.6]]);

/**
 * Lowest and highest top-1 that is shown, in percent; null if nothing is.
 * @param {Shown} shown
 * @returns {[low: number, high: number] | null}
 */
export function topRange(shown) {
  if (shown.groups.length === 0) return null;
  const tops = shown.groups.map((group) => 100 * group.top1.mean);
  return [tops.reduce((a, b) => Math.min(a, b)), tops.reduce((a, b) => Math.max(a, b))];
}

/**
 * The target in percent: the user's, else a well-known one, else the best top-1 that is shown.
 * @param {State} state
 * @param {Shown} shown
 * @returns {number | null}
 */
export function targetOf(state, shown) {
  if (state.target === NO_TARGET) return null;
  if (state.target !== null) return state.target;
  const range = topRange(shown);
  if (range === null) return null;
  const [low, high] = range;
  const known = KNOWN_TARGETS.get(state.dataset);
  if (known !== undefined && known >= low && known <= high) return known;
  return Math.max(Math.floor(high), Math.floor(10 * low) / 10);
}

/**
 * A target as a fraction: 76.6 / 100 is not quite 0.766.
 * @param {number} target in percent
 */
export function fractionOf(target) {
  return Number((target / 100).toPrecision(12));
}

/**
 * For each protocol that is shown, the cheapest and the fastest.
 * @param {Shown} shown
 * @param {number} top1 a fraction
 * @returns {Answer[]}
 */
export function answersTo(shown, top1) {
  return shown.protocols.flatMap((protocol) => {
    const groups = shown.groups.filter((group) => group.first.protocol === protocol);
    return [answerOn("cost", groups, protocol, top1), answerOn("time", groups, protocol, top1)];
  });
}

/**
 * @param {Answer["axis"]} axis
 * @param {readonly ShownGroup[]} groups
 * @param {string} protocol
 * @param {number} top1
 * @returns {Answer}
 */
function answerOn(axis, groups, protocol, top1) {
  const points = groups.map((group) => pointOf(group, axis));
  const index = cheapestReaching(points, top1);
  if (index < 0) return { axis, protocol, groups, best: null, reached: 0, cost: NaN, interval: null, between: null };
  const best = groups[index];
  const interval = bootstrap([pointsOfSeeds(best, axis)], ([mean]) => mean.cost);
  return {
    axis,
    protocol,
    groups,
    best,
    reached: best.seeds.filter((seed) => seed.top1 >= top1).length,
    cost: points[index].cost,
    interval,
    between: between(axis, groups, best, top1),
  };
}

/**
 * Interpolate between two lengths of one recipe on one machine, never between two machines.
 * @param {Answer["axis"]} axis
 * @param {readonly Group[]} groups
 * @param {Group} best
 * @param {number} top1
 * @returns {Answer["between"]}
 */
function between(axis, groups, best, top1) {
  const key = JSON.stringify(lineKey(best.first));
  const line = groups.filter((group) => JSON.stringify(lineKey(group.first)) === key);
  const cost = costAt(
    line.map((group) => pointOf(group, axis)),
    top1,
  );
  if (cost === null || best.top1.mean === top1) return null;
  const seeds = contenders(line.map((group) => pointsOfSeeds(group, axis)));
  return { cost, interval: bootstrap(seeds, (means) => costAt(means, top1)), single: hasNoSeeds(seeds) };
}
