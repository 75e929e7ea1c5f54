// What an hour of each machine costs: on demand, spot or as recorded, each with its day, and boxes for own prices.

import { money } from "../rules/format.js";
import { distinct } from "../rules/page.js";
import { hourlyPrice, isPrice, priceOrigin } from "../rules/price.js";
import { CHOICES } from "../rules/state.js";
import { choice, chosenCount, folded, labeled } from "./controls.js";
import { byFocus, byId, make, refill } from "./dom.js";

/** @import { Page, Price, Run, State, View } from "../types.d.ts" */

const UNDO = "reset prices";
// Whether the change is that of a box: a redraw would take it away from under the user's fingers.
let typing = false;

/** @param {View} view */
export function drawPrices(view) {
  const { page, state, update } = view;
  if (typing) return;
  const hardware = distinct(page.runs.filter((run) => run.dataset === state.dataset).map((run) => run.hardware));
  const rows = hardware.map((name) => priceRow(view, name));
  const undo = () => update({ own: new Map() });
  const attributes = { type: "button", "data-focus": UNDO, hidden: state.own.size === 0, onclick: undo };
  rows.push(make("button", attributes, "Undo own prices"));
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
function priceRow(view, hardware) {
  const { page, state } = view;
  const priced = page.runs.find((run) => run.hardware === hardware && run.usd_per_node_hour !== undefined);
  const price = (/** @type {State["own"]} */ own) =>
    hourlyPrice(page, { prices: state.prices, own }, priced ?? { hardware });
  const listed = listedText(page.prices.get(hardware), priced);
  const text = make("p", { class: "small" }, listed);
  const box = priceBox(view, hardware, price, (wrong) => {
    text.textContent = wrong || listed;
  });
  const dollars = make("span", { class: "dollars" }, "$", box, "/h");
  const label = make("label", {}, make("span", { class: "name" }, hardware), dollars);
  return make("div", { class: "price" }, label, text);
}

/**
 * @param {View} view
 * @param {string} hardware
 * @param {(own: State["own"]) => number | undefined} priceUnder the price of an hour, given the user's own ones
 * @param {(wrong: string) => void} say what is wrong with the box, if anything is
 */
function priceBox({ state, update }, hardware, priceUnder, say) {
  let used = priceUnder(state.own);
  return make("input", {
    type: "number",
    min: 0,
    step: "any",
    inputmode: "decimal",
    name: `price ${hardware}`,
    "data-focus": `price ${hardware}`,
    "aria-label": `price of an hour of ${hardware}, in dollars`,
    placeholder: "none",
    value: used ?? "",
    class: state.own.has(hardware) ? "own" : "",
    // With each key, and this column stays as it is: a redraw when the box is left would take the click that leaves it.
    oninput: (box) => {
      const price = Number(box.value);
      const wrong = !isPrice(price) && (box.value !== "" || box.validity.badInput);
      typing = true;
      update(({ own }) => {
        const prices = withPrice(own, hardware, price);
        used = priceUnder(prices);
        byFocus(byId("prices"), UNDO)?.toggleAttribute("hidden", prices.size === 0);
        return { own: prices };
      });
      typing = false;
      box.classList.toggle("own", isPrice(price));
      box.setAttribute("aria-invalid", String(wrong));
      const instead = used === undefined ? "there is no price" : `${money(used)} is used`;
      say(wrong ? `${box.value || "This"} is not a price above 0: ${instead}.` : "");
    },
    onblur: (box) => {
      box.value = String(used ?? "");
      box.setAttribute("aria-invalid", "false");
      say("");
    },
  });
}

/**
 * @param {State["own"]} prices
 * @param {string} hardware
 * @param {number} price
 */
function withPrice(prices, hardware, price) {
  const own = new Map(prices);
  own.delete(hardware);
  return isPrice(price) ? own.set(hardware, price) : own;
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
