// The focus stays on the page when what has it is drawn over or hidden.

import { MAX_ROWS } from "./table.js";

// Where the focus goes from what a change takes away: to the first of these that is seen.
const NEXT = [
  ["#no-target", "#target-number"],
  ["#more", `#table tr:nth-child(${MAX_ROWS + 1}) button.link`],
  ["#prices *", "#prices summary"],
  ["#details *", "#chart"],
  ["*", "#main-content"],
];

/**
 * Draw, and have the focus where it was, or near what is no longer there.
 * @param {() => void} draw
 */
export function keepFocus(draw) {
  const before = document.activeElement;
  const places = NEXT.filter(([from]) => before?.matches(from)).map(([, to]) => to);
  draw();
  if (before === null || before === document.body || isSeen(document.activeElement)) return;
  const found = places.map((to) => document.querySelector(to)).find(isSeen);
  if (found instanceof HTMLElement) found.focus();
}

/** @param {Element | null} element */
function isSeen(element) {
  return element !== null && element !== document.body && element.getClientRects().length > 0;
}
