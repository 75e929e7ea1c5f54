// What is shown, as a table, and as a file.

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

const COLUMNS = [
  { title: "", text: (group) => (group.onFront ? "◆" : ""), label: "on the frontier" },
  { title: "Recipe", text: (group) => group.first.recipe, name: true },
  { title: "ssr", text: (group) => ssrText(group.first) ?? DASH, number: true },
  { title: "Top-1 (%)", sort: "accuracy", number: true,
    text: (group) => percent(group.top1.mean) + plusMinus(group.top1.sem, percent) },
  { title: "n", text: (group) => group.n, number: true },
  { title: "Time", sort: "time", number: true,
    text: (group) => (group.time ? duration(group.time.mean) + plusMinus(group.time.sem, duration) : DASH) },
  { title: "Cost", sort: "cost", number: true,
    text: (group) => (group.cost ? money(group.cost.mean) + plusMinus(group.cost.sem, money) : DASH) },
  { title: "Speed-up", sort: "timeSameQuality", number: true, text: (group) => ratioText(group.speedUp) },
  { title: "Saving", sort: "costSameQuality", number: true, text: (group) => savingText(group.saving) },
  { title: "Epochs", text: (group) => group.first.epochs ?? DASH, number: true },
  { title: "Model", text: (group) => group.first.model },
  { title: "Hardware", text: (group) => group.first.hardware },
  { title: "Data", text: (group) => group.first.data ?? DASH },
  { title: "Evaluated", text: (group) => evaluatedText(group.first) },
  { title: "Time covers", text: (group) => group.first.clock || DASH },
  { title: "Marks", text: (group) => marksText(group) },
];

function marksText(group) {
  return marksOfGroup(group).map(([mark]) => mark).join(", ");
}

function drawTable(page, state, shown, update) {
  const heads = COLUMNS.map((column) => make("th", {
    scope: "col", class: column.number ? "number" : null,
    "aria-sort": column.sort === state.sortBy ? (["time", "cost"].includes(column.sort) ? "ascending" : "descending") : null,
  }, column.sort
    ? make("button", { type: "button", "data-focus": `sort ${column.sort}`, onclick: () => update({ sortBy: column.sort }) },
      column.title)
    : column.title || make("span", { class: "hidden" }, column.label)));
  const rows = shown.groups.slice(0, page.allRows ? undefined : ROWS).map((group) => rowOf(state, group, update));
  refill(byId("table"), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  const more = byId("more");
  more.hidden = page.allRows || shown.groups.length <= ROWS;
  more.textContent = `Show all ${shown.groups.length} rows`;
  byId("shown").textContent = `${shown.groups.length} ${shown.groups.length === 1 ? "configuration" : "configurations"}, ${shown.runs} runs`;
}

function rowOf(state, group, update) {
  const open = () => update({ selected: group.key }, "details");
  const cells = COLUMNS.map((column) => make(column.name ? "th" : "td",
    { scope: column.name ? "row" : null, class: column.number ? "number" : null },
    column.name
      ? make("button", { type: "button", class: "link", "data-focus": `row ${group.key}`, onclick: open }, String(column.text(group)))
      : String(column.text(group))));
  return make("tr", {
    class: isSelected(state, group) ? "selected" : null, "data-key": group.key,
    onclick: (event) => { if (event.target.tagName !== "BUTTON") open(); },
  }, ...cells);
}

/** A cell of a CSV file. A text that a spreadsheet would take for a formula begins with an apostrophe instead. */
function csvCell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

const FILE_COLUMNS = {
  group: (group) => group.key, recipe: (group) => group.first.recipe, ssr: (group) => group.first.ssr,
  epochs: (group) => group.first.epochs, model: (group) => group.first.model, dataset: (group) => group.first.dataset,
  data: (group) => group.first.data, cloud: (group) => group.first.cloud, hardware: (group) => group.first.hardware,
  algorithms: (group) => group.first.algorithms.join(" "), protocol: (group) => group.first.protocol,
  clock: (group) => group.first.clock, n: (group) => group.n, top1: (group) => group.top1.mean,
  top1_standard_error: (group) => group.top1.sem, train_seconds: (group) => group.time?.mean,
  train_seconds_standard_error: (group) => group.time?.sem, cost_usd: (group) => group.cost?.mean,
  cost_usd_standard_error: (group) => group.cost?.sem, usd_per_node_hour: null,
  speed_up_at_same_quality: (group) => group.speedUp?.value, cost_ratio_at_same_quality: (group) => group.saving?.value,
  ratios_are_lower_bounds: (group) => (group.speedUp ? String(group.speedUp.atLeast) : ""),
  on_frontier: (group) => String(group.onFront), marks: marksText, run_ids: (group) => group.runs.map((run) => run.run_id).join(" "),
};

function csvOf(page, state, shown) {
  const columns = { ...FILE_COLUMNS, usd_per_node_hour: (group) => hourly(page, state, group.first) };
  const lines = [Object.keys(columns), ...shown.groups.map((group) => Object.values(columns).map((value) => value(group)))];
  return lines.map((cells) => cells.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
