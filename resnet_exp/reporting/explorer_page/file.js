// What leaves the page: a CSV file, and texts in the clipboard.

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

function copyButton(text, what) {
  const button = make("button", { type: "button", "aria-label": `copy the ${what}` }, "Copy");
  button.addEventListener("click", () => copy(text, (said) => { button.textContent = said; announce(`${what} ${said.toLowerCase()}`); }));
  return button;
}

/** Copy a text; where a page of a file may not use the clipboard, in the old way. */
function copy(text, done) {
  const byHand = () => {
    const box = make("textarea", { class: "hidden" });
    box.value = text;
    document.body.append(box);
    box.select();
    const worked = document.execCommand("copy");
    box.remove();
    done(worked ? "Copied" : "Not copied");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done("Copied"), byHand);
  else byHand();
}
