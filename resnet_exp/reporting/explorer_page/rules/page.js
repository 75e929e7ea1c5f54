// The data of the page, with what is looked up often.

/** @import { Content, CurvePoint, Page, Run, Values } from "../types.d.ts" */

/**
 * @param {Content} content
 * @param {readonly (readonly number[])[]} curves of each run, see `curveOf`
 * @param {Record<string, string>} configs resolved YAML by run id
 * @returns {Page}
 */
export function preparePage(content, curves, configs) {
  const runs = runsOf(content.columns, curves);
  return {
    written: content.written,
    counts: content.counts,
    runs,
    prices: new Map(Object.entries(content.prices)),
    configs: new Map(Object.entries(configs)),
    values: valuesOf(runs),
    runIds: new Set(runs.map((run) => run.run_id)),
    groupIds: new Set(runs.flatMap((run) => run.group ?? [])),
    recipesOn: new Map(runs.map((run) => [recipeOn(run), { recipe: run.recipe, hardware: run.hardware }])),
  };
}

/**
 * A recipe on one hardware, as a baseline is named.
 * @param {Run} run
 */
export function recipeOn(run) {
  return `${run.recipe}@${run.hardware}`;
}

/**
 * The distinct values of the runs, sorted, without unknown ones.
 * @template Value
 * @param {readonly (Value | undefined)[]} values
 */
export function distinct(values) {
  return /** @type {Value[]} */ ([...new Set(values)].filter((value) => value !== undefined)).sort();
}

/**
 * @param {readonly Run[]} runs
 * @returns {Values}
 */
function valuesOf(runs) {
  return {
    dataset: distinct(runs.map((run) => run.dataset)),
    model: distinct(runs.map((run) => run.model)),
    cloud: distinct(runs.map((run) => run.cloud)),
    hardware: distinct(runs.map((run) => run.hardware)),
    recipe: distinct(runs.map((run) => run.recipe)),
    protocol: distinct(runs.map((run) => run.protocol)),
    algorithms: distinct(runs.flatMap((run) => run.algorithms ?? [])),
  };
}

/**
 * Runs from columns; what is empty is left undefined.
 * @param {Record<string, unknown[]>} columns
 * @param {readonly (readonly number[])[]} curves
 * @returns {Run[]}
 */
function runsOf(columns, curves) {
  const names = Object.keys(columns);
  return columns.run_id.map((_, index) => {
    /** @type {Record<string, unknown>} */
    const run = { clock: "", curve: curveOf(curves[index]) };
    for (const name of names) {
      const value = columns[name][index];
      if (value !== null && value !== "") run[name] = value;
    }
    return /** @type {Run} */ (/** @type {unknown} */ (run));
  });
}

/**
 * A curve from milliseconds and thousandths of a percent, in turn.
 * @param {readonly number[]} numbers
 */
function curveOf(numbers) {
  /** @type {CurvePoint[]} */
  const curve = [];
  for (let place = 0; place < numbers.length; place += 2) {
    curve.push([numbers[place] / 1e3, numbers[place + 1] / 1e5]);
  }
  return curve;
}
