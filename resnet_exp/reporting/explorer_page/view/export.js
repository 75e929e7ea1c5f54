// Exports: a CSV file, and texts in the clipboard.

import { marksText } from "../rules/describe.js";
import { hourlyPrice } from "../rules/price.js";
import { announce, make } from "./dom.js";

/** @import { ShownGroup, View } from "../types.d.ts" */

/** @typedef {string | number | null | undefined} Cell */

/** @type {Record<string, (group: ShownGroup, view: View) => Cell>} */
const CSV_COLUMNS = {
  group: (group) => group.key,
  recipe: (group) => group.first.recipe,
  ssr: (group) => group.first.ssr,
  epochs: (group) => group.first.epochs,
  model: (group) => group.first.model,
  dataset: (group) => group.first.dataset,
  data: (group) => group.first.data,
  cloud: (group) => group.first.cloud,
  hardware: (group) => group.first.hardware,
  // As in runs.csv: an empty cell is unknown.
  algorithms: ({ first: { algorithms } }) => algorithms && (algorithms.join(" ") || "none"),
  protocol: (group) => group.first.protocol,
  clock: (group) => group.first.clock,
  n: (group) => group.n,
  top1: (group) => group.top1.mean,
  top1_standard_error: (group) => group.top1.sem,
  train_seconds: (group) => group.time?.mean,
  train_seconds_standard_error: (group) => group.time?.sem,
  cost_usd: (group) => group.cost?.mean,
  cost_usd_standard_error: (group) => group.cost?.sem,
  usd_per_node_hour: (group, { page, state }) => hourlyPrice(page, state, group.first),
  speed_up_at_same_quality: (group) => group.speedUp?.value,
  cost_ratio_at_same_quality: (group) => group.saving?.value,
  ratios_are_lower_bounds: (group) => (group.speedUp ? String(group.speedUp.atLeast) : ""),
  on_frontier: (group) => String(group.onFront),
  marks: marksText,
  run_ids: (group) => group.runs.map((run) => run.run_id).join(" "),
};

/**
 * A cell of a CSV file. A text that a spreadsheet would take for a formula begins with an apostrophe instead.
 * @param {Cell} value
 */
function csvCell(value) {
  if (typeof value !== "string") return String(value ?? "");
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/**
 * What the table shows.
 * @param {View} view
 */
export function csvOf(view) {
  const rows = view.shown.groups.map((group) => Object.values(CSV_COLUMNS).map((cellOf) => cellOf(group, view)));
  return [Object.keys(CSV_COLUMNS), ...rows].map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("");
}

/**
 * @param {string} name of the file
 * @param {string} text
 */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * @param {string} text
 * @param {string} what it is
 */
export function copyButton(text, what) {
  return make(
    "button",
    { type: "button", "aria-label": `copy the ${what}`, onclick: copyFrom(() => text, what) },
    "Copy",
  );
}

/**
 * A listener that copies a text, and says on its button how that went.
 * @param {() => string} textOf
 * @param {string} what it is
 * @returns {(button: HTMLElement) => Promise<void>}
 */
export function copyFrom(textOf, what) {
  return async (button) => {
    const said = (await copy(textOf())) ? "Copied" : "Not copied";
    button.textContent = said;
    announce(`${what} ${said.toLowerCase()}`);
  };
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page of a file may not use the clipboard in every browser, or has none.
    return copyFromBox(text);
  }
}

/**
 * Fallback for older browsers: select the text in a box, and copy the selection.
 * @param {string} text
 */
function copyFromBox(text) {
  const box = make("textarea", { class: "hidden" });
  box.value = text;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  return copied;
}
