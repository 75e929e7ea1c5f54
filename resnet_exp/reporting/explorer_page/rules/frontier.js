// Fronts of top-1 against cost, and what a baseline costs at the same top-1: the rules of the report's frontier.py,
// for prices that change while the user looks. tests/reporting/test_page_rules.py compares the two.

/** @import { Point, Ratio, Spread } from "../types.d.ts" */

/**
 * Whether a point can lie on a front.
 * @param {Point} point
 */
export function counts(point) {
  return Number.isFinite(point.top1) && Number.isFinite(point.cost) && point.cost > 0;
}

/**
 * The mean of the numbers that are added, NaN of none. What additions round off is added in the end (Neumaier), and the
 * mean of equal values is that value: ties between groups stay ties, as in Python.
 */
export class Mean {
  sum = 0;
  lost = 0;
  low = Infinity;
  high = -Infinity;
  count = 0;

  /** @param {number} value */
  add(value) {
    const sum = this.sum + value;
    this.lost += Math.abs(this.sum) >= Math.abs(value) ? this.sum - sum + value : value - sum + this.sum;
    this.sum = sum;
    this.low = Math.min(this.low, value);
    this.high = Math.max(this.high, value);
    this.count += 1;
  }

  get value() {
    return Math.min(Math.max((this.sum + this.lost) / this.count, this.low), this.high);
  }
}

/** @param {readonly number[]} values */
function meanOf(values) {
  const mean = new Mean();
  for (const value of values) mean.add(value);
  return mean.value;
}

/**
 * Mean and standard error of finite numbers; null for none.
 * @param {readonly number[]} values
 * @returns {Spread | null}
 */
export function spread(values) {
  const n = values.length;
  if (n === 0) return null;
  const mean = meanOf(values);
  if (n === 1) return { mean, sem: null, n };
  const variance = (n / (n - 1)) * meanOf(values.map((value) => (value - mean) ** 2));
  return { mean, sem: Math.sqrt(variance / n), n };
}

/**
 * Indices of the points on the front, by rising cost; of points that are equal in both respects the first.
 * @param {readonly Point[]} points
 */
export function paretoFront(points) {
  const usable = [...points.keys()].filter((index) => counts(points[index]));
  // Equal points stay in order.
  usable.sort((a, b) => points[a].cost - points[b].cost || points[b].top1 - points[a].top1);
  let best = -Infinity;
  return usable.filter((index) => {
    const better = points[index].top1 > best;
    if (better) best = points[index].top1;
    return better;
  });
}

/**
 * @param {readonly Point[]} points
 * @returns {Point[]}
 */
export function frontOf(points) {
  return paretoFront(points).map((index) => points[index]);
}

/**
 * Cost of a top-1 on the straight lines between neighbors on the front; null below its lowest and above its highest.
 * @param {readonly Point[]} points
 * @param {number} target
 * @returns {number | null}
 */
export function costAt(points, target) {
  // Without making the front, since a bootstrap asks a thousand times: the neighbors are the cheapest point that reaches
  // the target, and the best of those that are cheaper still.
  /** @type {Point | null} */
  let high = null;
  for (const point of points) {
    if (!counts(point) || point.top1 < target) continue;
    if (high === null || point.cost < high.cost || (point.cost === high.cost && point.top1 > high.top1)) high = point;
  }
  if (high === null) return null;
  if (high.top1 === target) return high.cost;
  /** @type {Point | null} */
  let low = null;
  for (const point of points) {
    if (!counts(point) || point.top1 >= target || point.cost >= high.cost) continue;
    if (low === null || point.top1 > low.top1 || (point.top1 === low.top1 && point.cost < low.cost)) low = point;
  }
  if (low === null) return null;
  return low.cost + ((target - low.top1) / (high.top1 - low.top1)) * (high.cost - low.cost);
}

/**
 * Index of the cheapest point that reaches a top-1, measured and not interpolated; -1 if none does.
 * @param {readonly Point[]} points
 * @param {number} target
 */
export function cheapestReaching(points, target) {
  return paretoFront(points).find((index) => points[index].top1 >= target) ?? -1;
}

/**
 * Index of the best point that costs no more than a budget, measured and not interpolated; -1 if there is none.
 * @param {readonly Point[]} points
 * @param {number} budget
 */
export function bestWithin(points, budget) {
  return paretoFront(points).findLast((index) => points[index].cost <= budget) ?? -1;
}

/**
 * Top-1 for just a cost on the straight lines between neighbors on the front, the inverse of `costAt`; null below its
 * lowest and above its highest cost.
 * @param {readonly Point[]} points
 * @param {number} budget
 * @returns {number | null}
 */
export function topAt(points, budget) {
  const front = frontOf(points);
  const place = front.findIndex((point) => point.cost >= budget);
  if (place < 0) return null;
  const high = front[place];
  if (high.cost === budget) return high.top1;
  if (place === 0) return null;
  const low = front[place - 1];
  return low.top1 + ((budget - low.cost) / (high.cost - low.cost)) * (high.top1 - low.top1);
}

/**
 * What the baseline costs at the top-1 of a point, as a multiple of what the point costs. Above the baseline's highest
 * top-1 this is a lower bound; null below its lowest.
 * @param {readonly Point[]} front of the baseline, from `frontOf`
 * @param {Point} point
 * @returns {Ratio | null}
 */
export function atSameQuality(front, point) {
  const best = front.at(-1);
  if (best === undefined || !counts(point)) return null;
  if (point.top1 > best.top1) return { value: best.cost / point.cost, atLeast: true };
  const cost = costAt(front, point.top1);
  return cost === null ? null : { value: cost / point.cost, atLeast: false };
}
