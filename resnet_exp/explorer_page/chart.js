// The frontier as a picture. Colours are Okabe and Ito's; each series also has its own symbol.

const COLORS = { baseline: "--ink", mild: "--mild", medium: "--medium", hot: "--hot" };
const MORE_COLORS = ["--more-1", "--more-2", "--more-3"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon", "star", "cross", "x"];
const AXES = {
  time: { title: "training time", show: duration },
  cost: { title: "cost of training", show: money },
  epochs: { title: "epochs", show: (value) => String(Number(value.toPrecision(4))) },
  energy: { title: "energy (kWh)", show: (value) => value.toPrecision(3) },
};

function theme() {
  const css = getComputedStyle(document.documentElement);
  const value = (name) => css.getPropertyValue(name).trim();
  return { value, ink: value("--ink"), muted: value("--muted"), grid: value("--line"), paper: value("--panel") };
}

/** Names of the series with their colours and symbols; the same whatever is filtered. */
function looks(page, state, colors) {
  const tally = new Map();
  for (const run of page.runs.filter((each) => each.dataset === state.dataset)) {
    const name = seriesOf(state, run);
    tally.set(name, (tally.get(name) || 0) + (run.published ? 1 : 1e6));
  }
  const names = [...tally.keys()].sort((a, b) => tally.get(b) - tally.get(a) || (a < b ? -1 : 1));
  const free = [...(state.compare === "recipe" ? [] : Object.values(COLORS)), ...MORE_COLORS, "--other"];
  const found = new Map();
  names.forEach((name, index) => {
    const fixed = state.compare === "recipe" ? get(COLORS, name) : undefined;
    // Colours and symbols go round at different paces, so that it takes long until both come again.
    const color = fixed || free[index % free.length];
    found.set(name, { color: colors.value(color), symbol: SYMBOLS[(index + Math.floor(index / SYMBOLS.length)) % SYMBOLS.length] });
  });
  return found;
}

function seriesOf(state, run) {
  return state.compare === "none" ? "runs" : run[state.compare] || "not stated";
}

function scaled(state, groups) {
  const longest = Math.max(0, ...groups.filter((group) => group.x).map((group) => group.x.mean));
  if (state.x !== "time") return { divide: 1, unit: state.x === "cost" ? " ($)" : "" };
  if (longest < 300) return { divide: 1, unit: " (s)" };
  return longest < 6 * 3600 ? { divide: 60, unit: " (min)" } : { divide: 3600, unit: " (h)" };
}

function hoverText(state, shown, group) {
  const lines = [
    `<b>${plain(nameOf(group))}</b>`, plain(group.first.hardware),
    `${percent(group.top1.mean)}${plusMinus(group.top1.sem, (error) => percent(error))} % top-1, n = ${group.n}`,
    `${group.time ? duration(group.time.mean) : "no time"}, ${group.cost ? money(group.cost.mean) : "no price"}`,
  ];
  lines.push(`evaluated at ${plain(evaluatedText(group.first))}`, ...marksOfGroup(group).map(([mark]) => mark));
  return lines.join("<br>");
}

function marksOf(page, state, shown, colors) {
  const look = looks(page, state, colors);
  const { divide } = scaled(state, shown.groups);
  const series = new Map();
  for (const group of shown.groups.filter((each) => each.x && each.x.mean > 0)) {
    const other = group.first.protocol !== shown.main;
    const parts = [seriesOf(state, group.first), group.first.published ? "published" : null, other ? group.first.protocol : null];
    const name = parts.filter(Boolean).join(", ");
    if (!series.has(name)) series.set(name, { name, other, look: look.get(parts[0]), published: group.first.published, groups: [] });
    series.get(name).groups.push(group);
  }
  return [...series.values()].map(({ name, other, look: { color, symbol }, published, groups }) => ({
    type: "scatter", mode: "markers", name: plain(name),
    x: groups.map((group) => group.x.mean / divide), y: groups.map((group) => 100 * group.top1.mean),
    customdata: groups.map((group) => group.key), hovertext: groups.map((group) => hoverText(state, shown, group)),
    hoverinfo: "text", opacity: published ? 0.85 : 1,
    error_y: { array: groups.map((group) => (group.top1.sem === null ? undefined : 100 * group.top1.sem)), color, thickness: 1.2, width: 3 },
    error_x: { array: groups.map((group) => (group.x.sem === null ? undefined : group.x.sem / divide)), color, thickness: 1.2, width: 3 },
    marker: {
      color, line: { width: 1.6, color },
      size: groups.map((group) => (isSelected(state, group) ? 17 : 9)),
      symbol: groups.map((group) => `${symbol}${group.n === 1 ? "-open" : ""}${other ? "-dot" : ""}`),
    },
  }));
}

function linesOf(page, state, shown, colors) {
  const look = looks(page, state, colors);
  const { divide } = scaled(state, shown.groups);
  const lines = [];
  for (const its of fronts(shown.groups)) {
    const { protocol, published } = its[0].first;
    const names = state.compare === "none" ? [] : [...new Set(its.map((group) => seriesOf(state, group.first)))];
    for (const name of [null, ...names]) {
      const members = name === null ? its : its.filter((group) => seriesOf(state, group.first) === name);
      const front = paretoFront(members.map((group) => pointOf(group, "x"))).map((index) => members[index]);
      if (front.length < 2) continue;
      const style = name === null ? { color: published ? colors.value("--other") : colors.ink, width: published ? 1.5 : 2.5 } : { color: look.get(name).color, width: 1, dash: "dot" };
      lines.push({
        type: "scatter", mode: "lines", hoverinfo: "skip", line: style, showlegend: name === null,
        name: plain([`frontier${published ? " of published runs" : ""}`, shown.protocols.length > 1 ? protocol : null].filter(Boolean).join(", ")),
        x: front.map((group) => group.x.mean / divide), y: front.map((group) => 100 * group.top1.mean),
      });
    }
  }
  return lines;
}

/** Ticks of a logarithmic axis: 1, 2, 5, 10 ..., or evenly spaced where the values are closer together. */
function logTicks(state, shown) {
  const { divide } = scaled(state, shown.groups);
  const values = shown.groups.filter((group) => group.x && group.x.mean > 0).map((group) => group.x.mean / divide);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const ticks = [];
  if (high / low > 6) {
    for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power += 1) {
      ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
    }
  } else {
    const rough = Math.max(high - low, 0.2 * high) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough);
    for (let tick = Math.floor((0.7 * low) / step) * step; tick <= 1.4 * high; tick += step) if (tick > 0) ticks.push(tick);
  }
  return { tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => String(Number(tick.toPrecision(3)))) };
}

function targetLine(state, colors) {
  return state.target === null ? [] : [{
    type: "line", xref: "paper", x0: 0, x1: 1, y0: state.target, y1: state.target, line: { color: colors.muted, width: 1, dash: "dash" },
  }];
}

function layoutOf(state, shown, colors, series) {
  const axis = { gridcolor: colors.grid, linecolor: colors.grid, zeroline: false, automargin: true };
  const narrow = window.innerWidth < 700;
  return {
    paper_bgcolor: colors.paper, plot_bgcolor: colors.paper, font: { color: colors.ink, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 55, r: 15, t: 15, b: 50 }, height: narrow ? 400 + 20 * series : 520, width: byId("chart").clientWidth,
    hovermode: "closest", shapes: targetLine(state, colors),
    // A finger scrolls the page; zooming is in the bar of buttons.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, title: { text: `${AXES[state.x].title}${scaled(state, shown.groups).unit}` }, type: state.scale,
      ...(state.scale === "log" ? logTicks(state, shown) : { rangemode: "tozero" }) },
    yaxis: { ...axis, title: { text: "top-1 (%)" } },
    hoverlabel: { bgcolor: colors.paper, bordercolor: colors.muted, font: { color: colors.ink } },
    legend: narrow ? { orientation: "h", y: -0.3, yanchor: "top", font: { size: 11 } } : { font: { size: 12 } },
  };
}

function drawChart(page, state, shown, update) {
  const chart = byId("chart");
  const colors = theme();
  const marks = marksOf(page, state, shown, colors);
  const drawn = marks.reduce((total, series) => total + series.x.length, 0);
  byId("empty").hidden = shown.groups.length > 0;
  byId("without").textContent = withoutText(state, shown.groups.length - drawn);
  chart.hidden = drawn === 0;
  if (drawn === 0) return;
  const options = { displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  Plotly.react(chart, [...linesOf(page, state, shown, colors), ...marks], layoutOf(state, shown, colors, marks.length), options);
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => {
    const key = event.points.map((point) => point.customdata).find((value) => value !== undefined);
    if (key !== undefined) update({ selected: key }, "details");
  });
}

function withoutText(state, count) {
  if (count === 0) return "";
  const what = state.x === "cost" ? "price or time" : state.x === "energy" ? "known energy" : `known ${AXES[state.x].title}`;
  return `${count} ${count === 1 ? "configuration has" : "configurations have"} no ${what} and ${count === 1 ? "is" : "are"} only in the table.`;
}

/** The next point to the left or to the right of the selected one, for the arrow keys. */
function neighbour(state, shown, step) {
  const along = shown.groups.filter((group) => group.x && group.x.mean > 0).sort((a, b) => a.x.mean - b.x.mean);
  if (along.length === 0) return null;
  const place = along.findIndex((group) => isSelected(state, group));
  const next = place < 0 ? (step > 0 ? 0 : along.length - 1) : Math.min(Math.max(place + step, 0), along.length - 1);
  return along[next];
}
