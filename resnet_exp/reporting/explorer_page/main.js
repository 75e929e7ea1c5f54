// Unpack the data, read the address, draw; draw again after each change.

import { nameOf } from "./rules/describe.js";
import { counted, duration, percent } from "./rules/format.js";
import { preparePage } from "./rules/page.js";
import { select } from "./rules/select.js";
import { DEFAULTS, readState, writeState } from "./rules/state.js";
import { drawAnswer } from "./view/answer.js";
import { listenToBudget } from "./view/budget.js";
import { drawChart, moveTarget, neighbor, zoomOut } from "./view/chart.js";
import { drawControls } from "./view/controls.js";
import { drawDetails } from "./view/details.js";
import { announce, byFocus, byId, make } from "./view/dom.js";
import { copyFrom, csvOf, download } from "./view/export.js";
import { keepFocus } from "./view/focus.js";
import { drawHidden } from "./view/hidden.js";
import { AddressHistory } from "./view/history.js";
import { drawPrices } from "./view/prices.js";
import { drawTable, markRow, rowFocus, stepRow } from "./view/table.js";
import { listenToTarget } from "./view/target.js";
import { unpackJson, unpackText } from "./view/unpack.js";

/** @import { Page, State, Update, View } from "./types.d.ts" */

const STEPS = new Map([
  ["ArrowRight", 1],
  ["ArrowUp", 1],
  ["ArrowLeft", -1],
  ["ArrowDown", -1],
  ["Home", -Infinity],
  ["End", Infinity],
]);

/** The page as the user sees it: the state, what is shown, and how either changes. */
class Explorer {
  /** @param {Page} page */
  constructor(page) {
    /** @type {Update} */
    const update = (change, focus) => this.update(change, focus);
    const state = DEFAULTS;
    /** @type {View} */
    this.view = { page, state, shown: select(page, state), update, allRows: false };
    this.history = new AddressHistory();
    /** Whether the arrow keys go from point to point. */
    this.stepping = false;
  }

  /** Take the state from the address. */
  load() {
    const { state, problems } = readState(location, this.view.page);
    byId("problems").replaceChildren(make("ul", {}, ...problems.map((problem) => make("li", {}, problem))));
    byId("problems").hidden = problems.length === 0;
    this.history.restart();
    keepFocus(() => this.show(state));
  }

  /** @param {State} state */
  show(state) {
    this.view = { ...this.view, state, shown: select(this.view.page, state) };
    this.draw();
  }

  draw() {
    drawControls(this.view);
    drawPrices(this.view);
    drawAnswer(this.view);
    drawHidden(this.view);
    drawTable(this.view);
    // Before the chart: they take a part of its width.
    drawDetails(this.view);
    drawChart(this.view);
  }

  /** @type {Update} */
  update(change, focus) {
    const changes = typeof change === "function" ? change(this.view.state) : change;
    const state = { ...this.view.state, ...changes };
    const names = Object.keys(changes);
    const inRow = this.stepping || names.every((name) => ["own", "target", "budget"].includes(name));
    this.history.keep(writeState(state, location.pathname), names.join(), inRow);
    keepFocus(() => {
      if (names.every((name) => name === "target" || name === "budget")) this.aim(state);
      else if (names.every((name) => name === "selected")) this.choose(state);
      else {
        this.show(state);
        announce(`${byId("shown").textContent} shown.`);
      }
    });
    if (focus === "details") byId("details-title").focus();
  }

  /**
   * Another target or budget changes no more than its answer.
   * @param {State} state
   */
  aim(state) {
    this.slide(state);
    announce(byId("answer").innerText);
  }

  /**
   * The same while the slider moves: no word of it yet.
   * @param {State} state
   */
  slide(state) {
    this.view = { ...this.view, state };
    drawAnswer(this.view);
    moveTarget(this.view);
  }

  /**
   * Another selected point changes no numbers.
   * @param {State} state
   */
  choose(state) {
    this.view = { ...this.view, state };
    markRow(this.view);
    drawDetails(this.view);
    drawChart(this.view);
  }

  showAllRows() {
    this.view = { ...this.view, allRows: true };
    keepFocus(() => drawTable(this.view));
  }

  /**
   * Paper has room for all rows, and is light.
   * @param {boolean} printing
   */
  print(printing) {
    document.documentElement.classList.toggle("printing", printing);
    const { allRows } = this.view;
    if (printing) this.view = { ...this.view, allRows: true };
    keepFocus(() => this.draw());
    this.view = { ...this.view, allRows };
  }

  closeDetails() {
    const key = this.view.state.selected;
    if (key === null) return;
    this.update({ selected: null });
    (byFocus(byId("table"), rowFocus(key)) ?? byId("chart")).focus();
  }

  reset() {
    this.update({ ...DEFAULTS, dataset: this.view.state.dataset });
    zoomOut();
  }

  /** @param {KeyboardEvent} event */
  stepPoint(event) {
    if (event.key === "Enter" && this.view.state.selected !== null) byId("details-title").focus();
    const step = STEPS.get(event.key);
    const next = step === undefined ? undefined : neighbor(this.view, step);
    if (next === undefined) return;
    event.preventDefault();
    this.stepping = true;
    this.update({ selected: next.key });
    this.stepping = false;
    const time = next.time ? duration(next.time.mean) : "no time";
    announce(`${nameOf(next)} on ${next.first.hardware}, ${percent(next.top1.mean)} percent, ${time}`);
  }
}

/**
 * Everything that stays in place whatever is shown.
 * @param {Explorer} explorer
 */
function listen(explorer) {
  listenToTarget(explorer);
  listenToBudget(explorer);
  onClick("reset", () => explorer.reset());
  onClick("empty-reset", () => explorer.reset());
  onClick("close", () => explorer.closeDetails());
  onClick("skip", () => byId("main-content").focus());
  onClick("csv", () => download("runs.csv", csvOf(explorer.view)));
  onClick(
    "link",
    copyFrom(() => location.href, "link"),
  );
  onClick("more", () => explorer.showAllRows());
  onClick("filters-open", (button) => {
    button.setAttribute("aria-expanded", String(byId("controls").classList.toggle("open")));
  });
  byId("chart").addEventListener("keydown", (event) => explorer.stepPoint(event));
  byId("table").addEventListener("keydown", stepRow);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") explorer.closeDetails();
  });
  window.addEventListener("popstate", () => explorer.load());
  window.addEventListener("beforeprint", () => explorer.print(true));
  window.addEventListener("afterprint", () => explorer.print(false));
  window.addEventListener("resize", () => drawChart(explorer.view));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => explorer.draw());
}

/**
 * @param {string} id
 * @param {(button: HTMLElement) => void} then
 */
function onClick(id, then) {
  const button = byId(id);
  button.addEventListener("click", () => then(button));
}

/** @param {Page} page */
function aboutText(page) {
  const own = page.runs.filter((run) => !run.published).length;
  const states = Object.entries(page.counts).map(([kind, count]) => `${count} ${kind}`);
  const found = states.length > 0 ? ` (${states.join(", ")})` : "";
  return `${counted(own, "own run")}${found} and ${page.runs.length - own} published ones, written ${page.written}.`;
}

async function start() {
  const [library, content, curves, configs] = await Promise.all([
    unpackText("plotly"),
    ...["data", "curves", "configs"].map(unpackJson),
  ]);
  document.head.append(make("script", {}, library));
  const page = preparePage(content, curves, configs);
  const explorer = new Explorer(page);
  byId("about").textContent = aboutText(page);
  byId("loading").hidden = true;
  byId("page").hidden = false;
  listen(explorer);
  explorer.load();
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  byId("loading").textContent = `This page could not start (${error}). It needs a browser of 2023 or later.`;
  throw error;
});
