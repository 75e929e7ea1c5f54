// What is shown, as a table.

import { COLUMNS } from "../rules/columns.js";
import { nameOf } from "../rules/describe.js";
import { counted } from "../rules/format.js";
import { isSelected } from "../rules/groups.js";
import { seriesOf } from "../rules/series.js";
import { byId, make, refill } from "./dom.js";
import { currentTheme, looksOf, swatch } from "./series.js";

/** @import { Column, Look, ShownGroup, View } from "../types.d.ts" */

/** Rows that are drawn at first: more take longer than a click may. */
export const MAX_ROWS = 300;

/** @param {View} view */
export function drawTable(view) {
  const { shown, allRows } = view;
  const heads = COLUMNS.map((column) => headOf(view, column));
  const look = looksOf(view, currentTheme());
  const rows = shown.groups.slice(0, allRows ? undefined : MAX_ROWS).map((group) => rowOf(view, look, group));
  refill(byId("table"), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  const more = byId("more");
  more.hidden = allRows || shown.groups.length <= MAX_ROWS;
  more.textContent = `Show all ${shown.groups.length} rows`;
  byId("shown").textContent = `${counted(shown.groups.length, "configuration")}, ${counted(shown.runs, "run")}`;
}

/**
 * @param {View} view
 * @param {Column} column
 */
function headOf({ state, update }, column) {
  const sorted = column.key === state.sortBy;
  const down = Boolean(column.down) !== (sorted && state.order === "reversed");
  const sort = () => update({ sortBy: column.key, order: sorted && state.order === "usual" ? "reversed" : "usual" });
  const title = column.label
    ? [make("span", { class: "hidden" }, column.label), make("span", { "aria-hidden": "true" }, "◇")]
    : [column.title];
  const order = down ? "descending" : "ascending";
  return make(
    "th",
    { scope: "col", class: column.number ? "number" : null, "aria-sort": sorted ? order : null },
    make("button", { type: "button", "data-focus": `sort ${column.key}`, onclick: sort }, ...title),
  );
}

/**
 * @param {View} view
 * @param {(series: string) => Look} look
 * @param {ShownGroup} group
 */
function rowOf({ state, update }, look, group) {
  const open = () => update({ selected: group.key }, "details");
  const cells = COLUMNS.map((column) => {
    const text = column.text(group);
    if (!column.name) return make("td", { class: column.number ? "number" : null }, text);
    const named = `${nameOf(group)} on ${group.first.hardware}`;
    const focus = rowFocus(group.key);
    const attributes = { type: "button", class: "link", "aria-label": named, "data-focus": focus, onclick: open };
    const mark = swatch(look(seriesOf(state, group.first)), group.n === 1);
    return make("th", { scope: "row" }, mark, make("button", attributes, text));
  });
  const onclick = (/** @type {HTMLElement} */ _, /** @type {Event} */ event) => {
    if (!(event.target instanceof HTMLButtonElement)) open();
  };
  return make("tr", { class: isSelected(state, group) ? "selected" : null, "data-key": group.key, onclick }, ...cells);
}

/**
 * The data-focus of the button in the row of a group.
 * @param {string} key
 */
export function rowFocus(key) {
  return `row ${key}`;
}

/**
 * Show which row is selected, without redrawing the table.
 * @param {View} view
 */
export function markRow({ state, shown }) {
  const chosen = new Set(shown.groups.filter((group) => isSelected(state, group)).map((group) => group.key));
  const rows = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#table tbody tr"));
  for (const row of rows) row.classList.toggle("selected", chosen.has(row.dataset.key ?? ""));
}

/**
 * The up and down keys go from row to row.
 * @param {KeyboardEvent} event
 */
export function stepRow(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined || !(event.target instanceof HTMLButtonElement)) return;
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#table tbody button.link"));
  const rows = [...buttons];
  const next = rows.includes(event.target) ? rows[rows.indexOf(event.target) + step] : undefined;
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}
