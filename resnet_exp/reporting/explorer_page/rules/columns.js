// The columns of the table: the text and the sort key of each.

import { evaluatedText, marksText, ssrText } from "./describe.js";
import { DASH, durationText, moneyText, percentText, ratioText, savingText } from "./format.js";

/** @import { Column } from "../types.d.ts" */

/** @type {readonly Column[]} */
export const COLUMNS = [
  {
    key: "frontier",
    title: "",
    label: "on the frontier",
    down: true,
    value: (group) => (group.onFront ? 1 : 0),
    text: (group) => (group.onFront ? "◆" : ""),
  },
  {
    key: "recipe",
    title: "Recipe",
    name: true,
    value: (group) => group.first.recipe,
    text: (group) => group.first.recipe,
  },
  {
    key: "ssr",
    title: "ssr",
    number: true,
    value: (group) => group.first.ssr,
    text: (group) => ssrText(group.first) ?? DASH,
  },
  {
    key: "accuracy",
    title: "Top-1 (%)",
    number: true,
    down: true,
    value: (group) => group.top1.mean,
    text: (group) => percentText(group.top1),
  },
  { key: "n", title: "n", number: true, down: true, value: (group) => group.n, text: (group) => String(group.n) },
  {
    key: "time",
    title: "Time",
    number: true,
    value: (group) => group.time?.mean,
    text: (group) => durationText(group.time),
  },
  {
    key: "cost",
    title: "Cost",
    number: true,
    value: (group) => group.cost?.mean,
    text: (group) => moneyText(group.cost),
  },
  {
    key: "timeSameQuality",
    title: "Speed-up",
    number: true,
    down: true,
    value: (group) => group.speedUp?.value,
    text: (group) => ratioText(group.speedUp),
  },
  {
    key: "costSameQuality",
    title: "Saving",
    number: true,
    down: true,
    value: (group) => group.saving?.value,
    text: (group) => savingText(group.saving),
  },
  {
    key: "epochs",
    title: "Epochs",
    number: true,
    value: (group) => group.first.epochs,
    text: (group) => String(group.first.epochs ?? DASH),
  },
  { key: "model", title: "Model", value: (group) => group.first.model, text: (group) => group.first.model },
  { key: "hardware", title: "Hardware", value: (group) => group.first.hardware, text: (group) => group.first.hardware },
  { key: "data", title: "Data", value: (group) => group.first.data, text: (group) => group.first.data ?? DASH },
  {
    key: "protocol",
    title: "Evaluated",
    value: (group) => evaluatedText(group.first),
    text: (group) => evaluatedText(group.first),
  },
  {
    key: "clock",
    title: "Time covers",
    value: (group) => group.first.clock,
    text: (group) => group.first.clock || DASH,
  },
  { key: "marks", title: "Marks", value: marksText, text: marksText },
];

/**
 * @param {string} key
 * @returns {Column}
 */
export function columnOf(key) {
  const column = COLUMNS.find((each) => each.key === key);
  if (column === undefined) throw new Error(`the table has no column ${key}`);
  return column;
}
