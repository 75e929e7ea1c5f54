// What is shown, as a table.

const ROWS = 300;
const MARKS = [
  [(run) => run.resumed > 0, "resumed", "interrupted, then continued from a checkpoint"],
  [(run) => run.commits.length > 1, "mixed commits", "trained by more than one version of the code"],
  [(run) => run.dirty, "uncommitted", "trained by code with uncommitted changes"],
  [(run) => run.published, "published", "by others, as they state it"],
];
/** Marks of a group: [mark, text, of how many runs]. */
function marksOfGroup(group) {
  const found = MARKS.map(([has, mark, text]) => [mark, text, group.runs.filter(has).length]).filter(([, , count]) => count > 0);
  const commits = new Set(group.runs.map((run) => run.commits.join(" ")));
  if (commits.size > 1) found.push([`seeds of ${commits.size} commits`, "the code changed from one seed to the next", group.n]);
  const prices = new Set(group.runs.map((run) => run.usd_per_node_hour));
  if (prices.size > 1) found.push([`${prices.size} prices`, "recorded at different prices", group.n]);
  return found;
}

/** How top-1 was measured, with the size that the crop was cut from. */
function evaluatedText(run) {
  return run.eval_crop && run.eval_resize ? `${run.protocol} of ${run.eval_resize}` : run.protocol;
}

// `value` is what a column is sorted by, from the largest if `down`.
const COLUMNS = [
  { key: "frontier", title: "", label: "on the frontier", down: true, value: (group) => (group.onFront ? 1 : 0),
    text: (group) => (group.onFront ? "◆" : "") },
  { key: "recipe", title: "Recipe", value: (group) => group.first.recipe, text: (group) => group.first.recipe, name: true },
  { key: "ssr", title: "ssr", number: true, value: (group) => group.first.ssr, text: (group) => ssrText(group.first) ?? DASH },
  { key: "accuracy", title: "Top-1 (%)", number: true, down: true, value: (group) => group.top1.mean,
    text: (group) => percent(group.top1.mean) + plusMinus(group.top1.sem, percent) },
  { key: "n", title: "n", number: true, down: true, value: (group) => group.n, text: (group) => group.n },
  { key: "time", title: "Time", number: true, value: (group) => group.time?.mean,
    text: (group) => durationText(group.time) },
  { key: "cost", title: "Cost", number: true, value: (group) => group.cost?.mean,
    text: (group) => (group.cost ? money(group.cost.mean) + plusMinus(group.cost.sem, money) : DASH) },
  { key: "timeSameQuality", title: "Speed-up", number: true, down: true, value: (group) => group.speedUp?.value,
    text: (group) => ratioText(group.speedUp) },
  { key: "costSameQuality", title: "Saving", number: true, down: true, value: (group) => group.saving?.value,
    text: (group) => savingText(group.saving) },
  { key: "epochs", title: "Epochs", number: true, value: (group) => group.first.epochs, text: (group) => group.first.epochs ?? DASH },
  { key: "model", title: "Model", value: (group) => group.first.model, text: (group) => group.first.model },
  { key: "hardware", title: "Hardware", value: (group) => group.first.hardware, text: (group) => group.first.hardware },
  { key: "data", title: "Data", value: (group) => group.first.data, text: (group) => group.first.data ?? DASH },
  { key: "protocol", title: "Evaluated", value: (group) => evaluatedText(group.first), text: (group) => evaluatedText(group.first) },
  { key: "clock", title: "Time covers", value: (group) => group.first.clock, text: (group) => group.first.clock || DASH },
  { key: "marks", title: "Marks", value: (group) => marksText(group), text: (group) => marksText(group) },
];

function nameOf(group) {
  const run = group.first;
  return [run.recipe, run.model, run.ssr === undefined ? null : `ssr=${ssrText(run)}`].filter(Boolean).join(" ");
}

function seedsText(group) {
  return group.n === 1 ? "one seed" : `${group.n} seeds`;
}

function marksText(group) {
  return marksOfGroup(group).map(([mark]) => mark).join(", ");
}

function headOf(state, column, update) {
  const sorted = column.key === state.sortBy;
  const down = Boolean(column.down) !== (sorted && state.order === "reversed");
  const click = () => update({ sortBy: column.key, order: sorted && state.order === "usual" ? "reversed" : "usual" });
  const title = column.title || [make("span", { class: "hidden" }, column.label), make("span", { "aria-hidden": "true" }, "◇")];
  return make("th", {
    scope: "col", class: column.number ? "number" : null, "aria-sort": sorted ? (down ? "descending" : "ascending") : null,
  }, make("button", { type: "button", "data-focus": `sort ${column.key}`, onclick: click }, ...[title].flat()));
}

function drawTable(page, state, shown, update) {
  const heads = COLUMNS.map((column) => headOf(state, column, update));
  const look = looks(page, state, theme());
  const rows = shown.groups.slice(0, page.allRows ? undefined : ROWS).map((group) => rowOf(state, look, group, update));
  refill(byId("table"), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  const more = byId("more");
  more.hidden = page.allRows || shown.groups.length <= ROWS;
  more.textContent = `Show all ${shown.groups.length} rows`;
  byId("shown").textContent = `${shown.groups.length} ${shown.groups.length === 1 ? "configuration" : "configurations"}, ${shown.runs} ${shown.runs === 1 ? "run" : "runs"}`;
}

function rowOf(state, look, group, update) {
  const open = () => update({ selected: group.key }, "details");
  const cells = COLUMNS.map((column) => make(column.name ? "th" : "td",
    { scope: column.name ? "row" : null, class: column.number ? "number" : null },
    column.name ? swatch(look.get(seriesOf(state, group.first)), group.n === 1) : null,
    column.name
      ? make("button", { type: "button", class: "link", "data-focus": `row ${group.key}`, onclick: open }, String(column.text(group)))
      : String(column.text(group))));
  return make("tr", {
    class: isSelected(state, group) ? "selected" : null, "data-key": group.key,
    onclick: (event) => { if (event.target.tagName !== "BUTTON") open(); },
  }, ...cells);
}

/** Show which row is selected, without writing the table anew. */
function markRow(state, shown) {
  const chosen = new Set(shown.groups.filter((group) => isSelected(state, group)).map((group) => group.key));
  for (const row of document.querySelectorAll("#table tbody tr")) row.classList.toggle("selected", chosen.has(row.dataset.key));
}

/** The up and down keys go from row to row. */
function stepRow(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.dataset.focus?.startsWith("row ") !== true) return;
  const rows = [...document.querySelectorAll("#table tbody button.link")];
  const next = rows[rows.indexOf(event.target) + step];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}
