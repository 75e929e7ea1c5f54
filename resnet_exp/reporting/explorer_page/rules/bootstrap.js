// Bootstrap intervals: statistics of seeds, which are resampled.

import { counts, frontOf, Mean } from "./frontier.js";

/** @import { Interval, Point } from "../types.d.ts" */

const RESAMPLES = 1000;
const LEVEL = 0.95;
// Of the resamples, the share for which a statistic may be undefined before its interval is.
const MAX_UNDEFINED = 0.05;

/**
 * Random numbers in [0, 1), the same each time (mulberry32).
 * @returns {() => number}
 */
export function randomNumbers() {
  let state = 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Whether every group has one seed only, so that there is nothing to draw.
 * @param {readonly (readonly Point[])[]} groups a point a seed
 */
export function hasNoSeeds(groups) {
  return groups.every((points) => points.length < 2);
}

/**
 * Percentile interval of a statistic, from drawing the seeds of each group anew, with replacement.
 * @param {readonly (readonly Point[])[]} groups a point a seed
 * @param {(means: Point[]) => number | null} statistic of the groups' mean points
 * @returns {Interval | null} null if no group has two seeds, or the statistic is undefined for more than 5 % of the draws
 */
export function bootstrap(groups, statistic) {
  if (hasNoSeeds(groups)) return null;
  const draw = randomNumbers();
  /** @type {number[]} */
  const values = [];
  for (let round = 0; round < RESAMPLES; round += 1) {
    const value = statistic(groups.map((points) => drawnMean(points, draw)));
    if (value !== null && Number.isFinite(value)) values.push(value);
  }
  if (values.length < (1 - MAX_UNDEFINED) * RESAMPLES) return null;
  values.sort((a, b) => a - b);
  return [quantile(values, (1 - LEVEL) / 2), quantile(values, (1 + LEVEL) / 2)];
}

/**
 * Mean of as many points as there are, drawn with replacement; its cost is that of those that have one.
 * @param {readonly Point[]} points
 * @param {() => number} draw
 * @returns {Point}
 */
export function drawnMean(points, draw) {
  if (points.length < 2) return points[0];
  const mean = { top1: new Mean(), cost: new Mean() };
  for (let drawn = 0; drawn < points.length; drawn += 1) {
    const point = points[Math.floor(draw() * points.length)];
    mean.top1.add(point.top1);
    if (Number.isFinite(point.cost)) mean.cost.add(point.cost);
  }
  return { top1: mean.top1.value, cost: mean.cost.value };
}

/**
 * The groups that can lie on a front in some drawing of their seeds. The others are behind another group even if that
 * draws its worst seeds only and they their best: an interval without them is the same, and takes less time.
 * @param {readonly (readonly Point[])[]} groups
 */
export function contenders(groups) {
  const front = frontOf(groups.map(worstOf));
  return groups.filter((points) => {
    const best = bestOf(points);
    return best !== null && !front.some((point) => point.cost < best.cost && point.top1 > best.top1);
  });
}

/**
 * The worst that a drawing can give; NaN where it can be no point at all, of seeds without a cost.
 * @param {readonly Point[]} points
 * @returns {Point}
 */
function worstOf(points) {
  if (!points.every(counts)) return { top1: NaN, cost: NaN };
  return {
    top1: Math.min(...points.map((point) => point.top1)),
    cost: Math.max(...points.map((point) => point.cost)),
  };
}

/**
 * The best that a drawing can give; null if no seed has a cost.
 * @param {readonly Point[]} points
 * @returns {Point | null}
 */
function bestOf(points) {
  const costs = points.map((point) => point.cost).filter(Number.isFinite);
  return costs.length === 0 ? null : { top1: Math.max(...points.map((point) => point.top1)), cost: Math.min(...costs) };
}

/**
 * @param {readonly number[]} ordered
 * @param {number} share
 */
function quantile(ordered, share) {
  const place = share * (ordered.length - 1);
  const below = Math.floor(place);
  // The level is below 1: there is always one above.
  return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]);
}
