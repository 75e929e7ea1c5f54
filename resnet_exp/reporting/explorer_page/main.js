// Unpack, read the address, draw; draw again after each change.

async function unpack(id) {
  const packed = Uint8Array.from(atob(byId(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function announce(text) {
  byId("live").textContent = text;
}

function start(page) {
  let state = { ...DEFAULTS };
  let shown = null;

  function draw() {
    shown = select(page, state);
    drawControls(page, state, shown, update);
    drawPrices(page, state, update);
    drawAnswer(page, state, shown, update);
    drawTable(page, state, shown, update);
    // Before the chart: they take a part of its width.
    drawDetails(page, state, shown);
    drawChart(page, state, shown, update);
  }

  function update(change, focus) {
    state = { ...state, ...change, ...(typeof change.own === "function" ? { own: change.own(state) } : {}) };
    keep();
    const changed = Object.keys(change);
    if (changed.every((name) => name === "target")) {
      drawAnswer(page, state, shown, update);
      moveTarget(state, shown);
      announce(byId("answer").innerText);
    } else if (changed.every((name) => name === "selected")) {
      markRow(state, shown);
      drawDetails(page, state, shown);
      drawChart(page, state, shown, update);
    } else {
      draw();
      announce(`${byId("shown").textContent} shown.`);
    }
    if (focus === "details") byId("details-title").focus();
  }

  function keep() {
    try {
      history.replaceState(null, "", writeState(state, location.pathname));
    } catch {
      // Some browsers allow only so many changes a second; the next one has them all.
    }
  }

  /** While the slider moves: the answer and the line in the chart, nothing else. */
  function slide(target) {
    state = { ...state, target };
    drawAnswer(page, state, shown, update);
    moveTarget(state, shown);
  }

  function load() {
    const read = readState(location, page);
    state = read.state;
    byId("problems").replaceChildren(...read.problems.map((problem) => make("li", {}, problem)));
    byId("problems").hidden = read.problems.length === 0;
    draw();
  }

  function close() {
    const key = state.selected;
    update({ selected: null });
    const row = [...document.querySelectorAll("#table button.link")].find((button) => button.dataset.focus === `row ${key}`);
    (row || byId("chart")).focus({ preventScroll: true });
  }

  function stepPoint(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter" && state.selected !== null) byId("details-title").focus();
    const next = step ? neighbour(state, shown, step) : null;
    if (next === null) return;
    event.preventDefault();
    update({ selected: next.key });
    announce(`${nameOf(next)} on ${next.first.hardware}, ${percent(next.top1.mean)} percent, ${next.time ? duration(next.time.mean) : "no time"}`);
  }

  listen({ update, slide, load, close, stepPoint, draw, redraw: () => drawChart(page, state, shown, update),
    reset: () => update({ ...DEFAULTS, dataset: state.dataset }), csv: () => csvOf(page, state, shown),
    allRows: () => { page.allRows = true; draw(); }, isOpen: () => state.selected !== null });
  load();
}

function typedTarget(text) {
  const target = Number(text);
  return text !== "" && target > 0 && target < 100 ? target : NO_TARGET;
}

/** Everything that does not change with what is shown. */
function listen(act) {
  const on = (id, event, then) => byId(id).addEventListener(event, then);
  let waiting = null;
  on("target", "input", (event) => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => act.slide(typedTarget(event.target.value)));
  });
  for (const id of ["target", "target-number"]) {
    on(id, "change", (event) => act.update({ target: typedTarget(event.target.value) }));
  }
  on("no-target", "click", () => act.update({ target: NO_TARGET }));
  on("reset", "click", act.reset);
  on("empty-reset", "click", act.reset);
  on("close", "click", act.close);
  on("skip", "click", () => byId("main-content").focus());
  on("csv", "click", () => download("runs.csv", act.csv()));
  on("link", "click", (event) => copy(location.href, (said) => { event.target.textContent = said; announce(`link ${said.toLowerCase()}`); }));
  on("more", "click", act.allRows);
  on("chart", "keydown", act.stepPoint);
  on("table", "keydown", stepRow);
  on("filters-open", "click", (event) => {
    const open = byId("controls").classList.toggle("open");
    event.target.setAttribute("aria-expanded", String(open));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && act.isOpen()) act.close();
  });
  window.addEventListener("hashchange", act.load);
  window.addEventListener("resize", act.redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act.draw);
}

function aboutPage(page) {
  const own = page.runs.filter((run) => !run.published).length;
  const states = Object.entries(page.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
  return `${own} own ${own === 1 ? "run" : "runs"}${states ? ` (${states})` : ""} and ${page.runs.length - own} published ones, written ${page.written}.`;
}

(async () => {
  try {
    const [library, ...contents] = await Promise.all(["plotly", "data", "curves", "configs"].map(unpack));
    document.head.append(make("script", {}, library));
    const page = prepare(...contents.map((content) => JSON.parse(content)));
    byId("about").textContent = aboutPage(page);
    byId("loading").hidden = true;
    byId("page").hidden = false;
    start(page);
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    byId("loading").textContent = `This page could not start (${error}). It needs a browser of 2023 or later.`;
    throw error;
  }
})();
