// The slider of the target, and the box of its number.

import { targetOf } from "../rules/answer.js";
import { NO_TARGET, parseTarget } from "../rules/state.js";
import { byId, inputById } from "./dom.js";

/** @import { Aiming, View } from "../types.d.ts" */

/** @param {Aiming} explorer */
export function listenToTarget(explorer) {
  const slider = inputById("target");
  const box = inputById("target-number");
  let frame = 0;
  slider.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => explorer.slide({ ...explorer.view.state, target: Number(slider.value) }));
  });
  slider.addEventListener("change", () => {
    note("");
    explorer.view.update({ target: Number(slider.value) });
  });
  box.addEventListener("input", () => {
    box.dataset.typing = "yes";
  });
  for (const end of ["change", "blur"]) box.addEventListener(end, () => delete box.dataset.typing);
  box.addEventListener("change", () => takeNumber(box, explorer.view));
  byId("no-target").addEventListener("click", () => explorer.view.update({ target: NO_TARGET }));
}

/**
 * What is in the box is the target, or the box is put back to what is.
 * @param {HTMLInputElement} box
 * @param {View} view
 */
function takeNumber(box, { state, shown, update }) {
  const text = box.value;
  const target = parseTarget(text);
  const empty = text === "" && !box.validity.badInput;
  box.value = String((empty ? null : (target ?? targetOf(state, shown))) ?? "");
  if (target === null && !empty) note(`${text || "That"} is not a percentage between 0 and 100.`);
  else note(target === null || target === Number(text) ? "" : `${text} is taken as ${target} %.`);
  if (target !== null || empty) update({ target: target ?? NO_TARGET });
}

/** @param {string} text */
function note(text) {
  byId("target-note").textContent = text;
  byId("target-note").hidden = text === "";
}
