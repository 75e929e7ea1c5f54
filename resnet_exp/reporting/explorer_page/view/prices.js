// What an hour of each machine costs: on demand, spot or as recorded, each with its day, and boxes for own prices.

import { money } from "../rules/format.js";
import { distinct } from "../rules/page.js";
import { hourlyPrice, priceOrigin } from "../rules/price.js";
import { CHOICES } from "../rules/state.js";
import { choice, chosenCount, folded, labeled } from "./controls.js";
import { byId, make, refill } from "./dom.js";

/** @import { Page, Price, Run, State, View } from "../types.d.ts" */

/** @param {View} view */
export function drawPrices(view) {
  const { page, state, update } = view;
  // A redraw would take the box away from under the user's fingers.
  if (document.activeElement?.matches("#prices input")) return;
  const hardware = distinct(page.runs.filter((run) => run.dataset === state.dataset).map((run) => run.hardware));
  const rows = hardware.map((name) => priceRow(view, name));
  const undo = { type: "button", "data-focus": "reset prices", onclick: () => update({ own: new Map() }) };
  if (state.own.size > 0) rows.push(make("button", undo, "Undo own prices"));
  refill(
    byId("prices"),
    labeled("Prices", choice("prices", CHOICES.prices, state, update)),
    folded("prices", `Price of an hour${chosenCount(state.own.size)}`, rows),
  );
}

/**
 * One machine: its price, where that is from, and a box for another one.
 * @param {View} view
 * @param {string} hardware
 * @returns {HTMLElement}
 */
function priceRow({ page, state, update }, hardware) {
  const priced = page.runs.find((run) => run.hardware === hardware && run.usd_per_node_hour !== undefined);
  const box = make("input", {
    type: "number",
    min: 0,
    step: "any",
    inputmode: "decimal",
    name: `price ${hardware}`,
    "data-focus": `price ${hardware}`,
    "aria-label": `price of an hour of ${hardware}, in dollars`,
    placeholder: "none",
    value: hourlyPrice(page, state, priced ?? { hardware }) ?? "",
    class: state.own.has(hardware) ? "own" : "",
    // With each key, and this column stays as it is: a redraw when the box is left would take the click that leaves it.
    oninput: ({ value, classList }) => {
      const price = Number(value);
      classList.toggle("own", price > 0);
      update((now) => ({ own: withPrice(now.own, hardware, price) }));
    },
  });
  const dollars = make("span", { class: "dollars" }, "$", box, "/h");
  return make(
    "div",
    { class: "price" },
    make("label", {}, make("span", { class: "name" }, hardware), dollars),
    make("p", { class: "small" }, listedText(page.prices.get(hardware), priced)),
  );
}

/**
 * @param {State["own"]} prices
 * @param {string} hardware
 * @param {number} price
 */
function withPrice(prices, hardware, price) {
  const own = new Map(prices);
  own.delete(hardware);
  return price > 0 ? own.set(hardware, price) : own;
}

/**
 * @param {Price | undefined} price
 * @param {Run | undefined} run
 */
function listedText(price, run) {
  const from = (/** @type {string | null} */ source) => (source ? ` (${source})` : "");
  /** @type {string[]} */
  const listed = [];
  if (price?.usd_per_node_hour) {
    listed.push(`${money(price.usd_per_node_hour)} on demand, ${price.date}${from(price.source)}`);
  }
  if (price?.spot_usd_per_node_hour) {
    listed.push(`${money(price.spot_usd_per_node_hour)} spot, ${price.spot_date}${from(price.spot_source)}`);
  }
  if (run?.usd_per_node_hour) listed.push(`${money(run.usd_per_node_hour)} recorded, ${run.price_date ?? "undated"}`);
  return listed.join("; ") || "no price is known";
}

/**
 * The price of an hour that a cost rests on, and its day.
 * @param {Page} page
 * @param {State} state
 * @param {Run} run
 */
export function priceText(page, state, run) {
  const price = hourlyPrice(page, state, run);
  if (price === undefined) return "";
  const node = run.nodes > 1 ? " a node" : "";
  return `at ${money(price)} an hour${node} (${priceOrigin(page, state, run)})`;
}
