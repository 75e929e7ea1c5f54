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
  let sliding = 0;

  function draw() {
    shown = select(page, state);
    drawControls(page, state, shown, update);
    drawAnswer(page, state, shown, update);
    drawTable(page, state, shown, update);
    // Before the chart: they take a part of its width.
    drawDetails(page, state, shown);
    drawChart(page, state, shown, update);
  }

  function update(change, focus) {
    state = { ...state, ...change, ...(typeof change.own === "function" ? { own: change.own(state) } : {}) };
    keep();
    draw();
    if (focus === "details") byId("details-title").focus();
    announce(`${shown.groups.length} configurations shown. ${change.target === undefined ? "" : byId("answer").textContent}`);
  }

  function keep() {
    try {
      history.replaceState(null, "", writeState(state));
    } catch {
      // Some browsers allow only so many changes a second; the next one has them all.
    }
  }

  /** While the slider moves: the answer and the line in the chart, nothing else. */
  function slide(text) {
    state = { ...state, target: Number(text) };
    byId("target-number").value = text;
    cancelAnimationFrame(sliding);
    sliding = requestAnimationFrame(() => {
      drawAnswer(page, state, shown, update);
      if (!byId("chart").hidden) Plotly.relayout(byId("chart"), { shapes: targetLine(state, theme()) });
    });
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
    (row || byId("chart")).focus();
  }

  function setTarget(text) {
    const target = Number(text);
    update({ target: text !== "" && target > 0 && target < 100 ? target : null });
  }

  byId("target").addEventListener("input", (event) => slide(event.target.value));
  byId("target").addEventListener("change", (event) => setTarget(event.target.value));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main-content").focus();
  });
  byId("target-number").addEventListener("change", (event) => setTarget(event.target.value));
  byId("no-target").addEventListener("click", () => update({ target: null }));
  byId("reset").addEventListener("click", () => update({ ...DEFAULTS, dataset: state.dataset }));
  byId("empty-reset").addEventListener("click", () => update({ ...DEFAULTS, dataset: state.dataset }));
  byId("close").addEventListener("click", close);
  byId("csv").addEventListener("click", () => download("runs.csv", csvOf(page, state, shown)));
  byId("link").addEventListener("click", (event) => copy(location.href, (said) => { event.target.textContent = said; announce(`link ${said.toLowerCase()}`); }));
  byId("more").addEventListener("click", () => { page.allRows = true; draw(); });
  byId("chart").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" && state.selected !== null) byId("details-title").focus();
    const next = step ? neighbour(state, shown, step) : null;
    if (next === null) return;
    event.preventDefault();
    update({ selected: next.key });
    announce(`${nameOf(next)} on ${next.first.hardware}, ${percent(next.top1.mean)} percent, ${next.time ? duration(next.time.mean) : "no time"}`);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.selected !== null) close();
  });
  window.addEventListener("hashchange", load);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("resize", () => drawChart(page, state, shown, update));
  load();
}

function aboutPage(page) {
  const own = page.runs.filter((run) => !run.published).length;
  const counts = Object.entries(page.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
  const left = page.left_out.length ? ` Left out to keep the page small: ${page.left_out.join(" and ")}.` : "";
  return `${own} own runs${counts ? ` (${counts})` : ""} and ${page.runs.length - own} published ones, written ${page.written}.${left}`;
}

(async () => {
  try {
    const [library, content] = await Promise.all([unpack("plotly"), unpack("data")]);
    document.head.append(make("script", {}, library));
    const page = prepare(JSON.parse(content));
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
