// The hourly price of a machine under the user's choice of prices, and the cost of a run.

/** @import { Page, Run, State } from "../types.d.ts" */

/** @typedef {Pick<State, "own" | "prices">} PriceChoice */

const SECONDS_PER_HOUR = 3600;

/**
 * What can be a price of an hour.
 * @param {number} dollars
 */
export function isPrice(dollars) {
  return dollars > 0 && Number.isFinite(dollars);
}

/**
 * Dollars for an hour of a node; undefined if there is no price.
 * @param {Page} page
 * @param {PriceChoice} state
 * @param {Pick<Run, "hardware" | "usd_per_node_hour">} run
 * @returns {number | undefined}
 */
export function hourlyPrice(page, state, run) {
  const price = page.prices.get(run.hardware);
  const own = state.own.get(run.hardware);
  if (own !== undefined) return own;
  if (state.prices === "recorded") return run.usd_per_node_hour;
  if (state.prices === "spot") return price?.spot_usd_per_node_hour ?? undefined;
  return price?.usd_per_node_hour ?? run.usd_per_node_hour;
}

/**
 * Where the price of an hour is from: its day, or the user.
 * @param {Page} page
 * @param {PriceChoice} state
 * @param {Run} run
 */
export function priceOrigin(page, state, run) {
  const price = page.prices.get(run.hardware);
  if (state.own.has(run.hardware)) return "your price";
  if (state.prices === "spot") return `spot, ${price?.spot_date}`;
  if (state.prices === "today" && price && price.usd_per_node_hour !== null) return price.date;
  return `recorded, ${run.price_date ?? "undated"}`;
}

/**
 * Dollars for so many seconds on so many nodes.
 * @param {number} seconds
 * @param {number} nodes
 * @param {number} usdPerNodeHour
 */
export function costOfTime(seconds, nodes, usdPerNodeHour) {
  return (seconds / SECONDS_PER_HOUR) * nodes * usdPerNodeHour;
}

/**
 * Dollars for a run; NaN without a time or a price.
 * @param {Page} page
 * @param {PriceChoice} state
 * @param {Run} run
 */
export function costOf(page, state, run) {
  return costOfTime(run.train_seconds ?? NaN, run.nodes, hourlyPrice(page, state, run) ?? NaN);
}
