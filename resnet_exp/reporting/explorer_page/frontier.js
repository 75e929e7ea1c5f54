// What resnet_exp/results/frontier.py computes, for prices that change while one looks. tests/reporting/test_explorer.py compares the two.
// A point is {top1, cost}: a fraction, and seconds or dollars or whatever the axis is.
// The files of this folder are one script, in the order of SCRIPTS in explorer.py.
"use strict";

const MAX_UNDEFINED = 0.05;

function counts(point) {
  return Number.isFinite(point.top1) && Number.isFinite(point.cost) && point.cost > 0;
}

function spread(values) {
  const n = values.length;
  if (n === 0) return null;
  const sum = values.reduce((total, value) => total + value, 0);
  const mean = Math.min(Math.max(sum / n, Math.min(...values)), Math.max(...values));
  if (n === 1) return { mean, sem: null, n };
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / (n - 1);
  return { mean, sem: Math.sqrt(variance / n), n };
}

/** Indices of the points on the front, by rising cost; of exact duplicates the first. */
function paretoFront(points) {
  const usable = points.map((_, index) => index).filter((index) => counts(points[index]));
  usable.sort((a, b) => points[a].cost - points[b].cost || points[b].top1 - points[a].top1 || a - b);
  const front = [];
  for (const index of usable) {
    if (front.length === 0 || points[index].top1 > points[front[front.length - 1]].top1) front.push(index);
  }
  return front;
}

function frontOf(points) {
  return paretoFront(points).map((index) => points[index]);
}

/** Cost of a top-1 on the straight lines between neighbours of the front; null outside of it. */
function costAt(points, target) {
  // Without making the front, for a bootstrap asks a thousand times: the neighbours are the cheapest point that reaches the
  // target, and the best of those that are cheaper still.
  let high = null;
  for (const point of points) {
    if (!counts(point) || point.top1 < target) continue;
    if (high === null || point.cost < high.cost || (point.cost === high.cost && point.top1 > high.top1)) high = point;
  }
  if (high === null || high.top1 === target) return high && high.cost;
  let low = null;
  for (const point of points) {
    if (!counts(point) || point.top1 >= target || point.cost >= high.cost) continue;
    if (low === null || point.top1 > low.top1 || (point.top1 === low.top1 && point.cost < low.cost)) low = point;
  }
  return low && low.cost + ((target - low.top1) / (high.top1 - low.top1)) * (high.cost - low.cost);
}

/** Index of the cheapest point that reaches a top-1, measured and not interpolated; -1 if none does. */
function cheapestReaching(points, target) {
  const found = paretoFront(points).find((index) => points[index].top1 >= target);
  return found === undefined ? -1 : found;
}

/** What the baseline costs at the point's top-1, as a multiple of what the point costs. */
function atSameQuality(baseline, point) {
  return ratioTo(frontOf(baseline), point);
}

/** The same to a baseline of which only the front is given. */
function ratioTo(front, point) {
  if (front.length === 0 || !counts(point)) return null;
  const best = front[front.length - 1];
  if (point.top1 > best.top1) return { value: best.cost / point.cost, atLeast: true };
  const cost = costAt(front, point.top1);
  return cost === null ? null : { value: cost / point.cost, atLeast: false };
}

/** Random numbers in [0, 1) that are the same at every call (mulberry32). */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Percentile interval of a statistic, from drawing the seeds of each group anew.
 * groups: arrays of points, one a seed. statistic: of the groups' mean points, a number or null.
 */
function bootstrap(groups, statistic, resamples = 1000, level = 0.95) {
  if (groups.every((points) => points.length < 2)) return null;
  const draw = randomNumbers(0);
  const values = [];
  for (let round = 0; round < resamples; round += 1) {
    const value = statistic(groups.map((points) => (points.length < 2 ? points[0] : drawnMean(points, draw))));
    if (value !== null && Number.isFinite(value)) values.push(value);
  }
  if (values.length === 0 || values.length < (1 - MAX_UNDEFINED) * resamples) return null;
  values.sort((a, b) => a - b);
  return [quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)];
}

/**
 * The groups that can lie on a front in some drawing of their seeds. The others are behind another group even if that draws
 * its worst seeds only and they their best: an interval without them is the same, and soon there.
 */
function contenders(groups) {
  const corners = groups.map((points) => {
    const known = points.filter(counts);
    const [tops, costs] = [known.map((point) => point.top1), known.map((point) => point.cost)];
    return known.length === 0 ? null : {
      // A drawing of seeds without a cost has no point at all: such a group is in nobody's way.
      worst: known.length < points.length ? { top1: NaN, cost: NaN } : { top1: Math.min(...tops), cost: Math.max(...costs) },
      best: { top1: Math.max(...points.map((point) => point.top1)), cost: Math.min(...costs) },
    };
  });
  const front = frontOf(corners.filter(Boolean).map((corner) => corner.worst));
  return groups.filter((_, index) => {
    const corner = corners[index];
    return corner !== null && !front.some((point) => point.cost < corner.best.cost && point.top1 > corner.best.top1);
  });
}

/** Mean of as many points as there are, drawn with replacement; its cost is that of those that have one. */
function drawnMean(points, draw) {
  let [top1, cost, known] = [0, 0, 0];
  for (let drawn = 0; drawn < points.length; drawn += 1) {
    const point = points[Math.floor(draw() * points.length)];
    top1 += point.top1;
    if (Number.isFinite(point.cost)) {
      cost += point.cost;
      known += 1;
    }
  }
  return { top1: top1 / points.length, cost: known ? cost / known : NaN };
}

function quantile(ordered, share) {
  const place = share * (ordered.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (place - below) * (ordered[above] - ordered[below]);
}
