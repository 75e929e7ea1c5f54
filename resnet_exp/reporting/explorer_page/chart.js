// The frontier as a picture: one frontier for each way of evaluating, one dotted line for each series.

const CHART_OPTIONS = { displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

function onChart(group) {
  return group.x !== null && group.x.mean > 0;
}

function hoverText(group) {
  const lines = [
    `<b>${plain(nameOf(group))}</b>`, plain(group.first.hardware),
    `${percent(group.top1.mean)}${plusMinus(group.top1.sem, percent)} % top-1, ${seedsText(group)}`,
    `${group.time ? duration(group.time.mean) : "time not known"}, ${group.cost ? money(group.cost.mean) : "price not known"}`,
  ];
  lines.push(`evaluated at ${plain(evaluatedText(group.first))}`, ...marksOfGroup(group).map(([mark]) => mark));
  return lines.join("<br>");
}

/** The points: one trace for each series, apart from published ones and from those of another protocol. */
function marksOf(page, state, shown, colors) {
  const look = looks(page, state, colors);
  const { divide } = unitOf(state, shown);
  const series = new Map();
  for (const group of shown.groups.filter(onChart)) {
    const other = group.first.protocol !== shown.main;
    const parts = [seriesOf(state, group.first), group.first.published ? "published" : null, other ? group.first.protocol : null];
    const name = parts.filter(Boolean).join(", ");
    if (!series.has(name)) series.set(name, { name, other, look: look.get(parts[0]), published: group.first.published, groups: [] });
    series.get(name).groups.push(group);
  }
  return [...series.values()].map((each) => traceOf(divide, each));
}

function traceOf(divide, { name, other, look, published, groups }) {
  const { color, symbol } = look;
  const bars = (values) => ({ array: values, color, thickness: 1.2, width: 3 });
  return {
    type: "scatter", mode: "markers", name: plain(name), meta: { name, look, hollow: groups.every((group) => group.n === 1) },
    x: groups.map((group) => group.x.mean / divide), y: groups.map((group) => 100 * group.top1.mean),
    customdata: groups.map((group) => group.key), hovertext: groups.map((group) => hoverText(group)),
    hoverinfo: "text", opacity: published ? 0.85 : 1,
    error_y: bars(groups.map((group) => (group.top1.sem === null ? undefined : 100 * group.top1.sem))),
    error_x: bars(groups.map((group) => (group.x.sem === null ? undefined : group.x.sem / divide))),
    marker: {
      color, line: { width: 1.8, color }, size: 10,
      symbol: groups.map((group) => `${symbol}${group.n === 1 ? "-open" : ""}${other ? "-dot" : ""}`),
    },
  };
}

function linesOf(page, state, shown, colors) {
  const look = looks(page, state, colors);
  const lines = [];
  for (const its of fronts(shown.groups)) {
    const { protocol, published } = its[0].first;
    const dash = protocol === shown.main ? "solid" : "dash";
    const whole = { color: published ? colors.value("--other") : colors.ink, width: published ? 1.5 : 2.5, dash };
    const name = [`frontier${published ? " of published runs" : ""}`, shown.protocols.length > 1 ? protocol : null];
    lines.push(lineOf(state, shown, its, whole, { name: name.filter(Boolean).join(", "), whole: true }));
    const names = state.compare === "none" ? [] : [...new Set(its.map((group) => seriesOf(state, group.first)))];
    for (const series of names) {
      const members = its.filter((group) => seriesOf(state, group.first) === series);
      lines.push(lineOf(state, shown, members, { color: look.get(series).color, width: 1.2, dash: "dot" }, { name: series, whole: false }));
    }
  }
  return lines.filter(Boolean);
}

function lineOf(state, shown, groups, line, meta) {
  const { divide } = unitOf(state, shown);
  const front = paretoFront(groups.map((group) => pointOf(group, "x"))).map((index) => groups[index]);
  if (front.length < 2) return null;
  return {
    type: "scatter", mode: "lines", hoverinfo: "skip", line, name: plain(meta.name), meta,
    x: front.map((group) => group.x.mean / divide), y: front.map((group) => 100 * group.top1.mean),
  };
}

/** A ring around the selected point. */
function ringOf(state, shown, colors) {
  const { divide } = unitOf(state, shown);
  const chosen = shown.groups.filter((group) => onChart(group) && isSelected(state, group));
  return {
    type: "scatter", mode: "markers", hoverinfo: "skip", meta: { ring: true }, name: "selected",
    x: chosen.map((group) => group.x.mean / divide), y: chosen.map((group) => 100 * group.top1.mean),
    marker: { symbol: "circle-open", size: 22, color: colors.ink, line: { width: 2, color: colors.ink } },
  };
}

function targetShapes(target, colors) {
  return target === null ? [] : [{
    type: "line", xref: "paper", x0: 0, x1: 1, y0: target, y1: target, line: { color: colors.muted, width: 1, dash: "dash" },
  }];
}

function layoutOf(state, shown, colors) {
  const axis = { gridcolor: colors.grid, linecolor: colors.grid, zeroline: false, automargin: true };
  return {
    paper_bgcolor: colors.paper, plot_bgcolor: colors.paper, font: { color: colors.ink, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 52, r: 12, t: 10, b: 46 }, height: isNarrow() ? 340 : 460, width: byId("chart").clientWidth,
    // A finger that moves over the chart scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hovermode: "closest", showlegend: false, shapes: targetShapes(targetOf(state, shown), colors),
    xaxis: { ...axis, title: { text: `${AXES[state.x].title}${unitOf(state, shown).unit}` }, type: state.scale,
      ...(state.scale === "log" ? logTicks(state, shown) : { rangemode: "tozero" }) },
    yaxis: { ...axis, title: { text: "top-1 (%)" } },
    hoverlabel: { bgcolor: colors.paper, bordercolor: colors.muted, font: { color: colors.ink }, align: "left" },
  };
}

function drawChart(page, state, shown, update) {
  const chart = byId("chart");
  const colors = theme();
  const marks = marksOf(page, state, shown, colors);
  const lines = linesOf(page, state, shown, colors);
  byId("without").textContent = withoutText(state, shown);
  byId("empty").hidden = shown.groups.length > 0;
  chart.hidden = marks.length === 0;
  drawLegend(marks, lines);
  if (marks.length === 0) return;
  Plotly.react(chart, [...lines, ...marks, ringOf(state, shown, colors)], layoutOf(state, shown, colors), CHART_OPTIONS);
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => {
    const key = event.points.map((point) => point.customdata).find((value) => value !== undefined);
    if (key !== undefined) update({ selected: key }, "details");
  });
}

/** Only the line of the target: it follows a finger on the slider. */
function moveTarget(state, shown) {
  if (!byId("chart").hidden) Plotly.relayout(byId("chart"), { shapes: targetShapes(targetOf(state, shown), theme()) });
}

/** What the chart leaves out, and what its times cover. */
function withoutText(state, shown) {
  const charted = shown.groups.filter(onChart);
  const count = shown.groups.length - charted.length;
  const what = state.x === "cost" ? "price or time" : `known ${AXES[state.x].title}`;
  const clocks = new Set(charted.map((group) => group.first.clock || "not stated"));
  return [
    count ? `${count} ${count === 1 ? "configuration has" : "configurations have"} no ${what} and ${count === 1 ? "is" : "are"} only in the table.` : "",
    ["time", "cost"].includes(state.x) && clocks.size > 1 ? `The times cover different things: ${[...clocks].join("; ")}.` : "",
  ].filter(Boolean).join(" ");
}

/** The next point to the left or to the right of the selected one, for the arrow keys. */
function neighbour(state, shown, step) {
  const along = shown.groups.filter(onChart).sort((a, b) => a.x.mean - b.x.mean);
  if (along.length === 0) return null;
  const found = along.findIndex((group) => isSelected(state, group));
  const place = found >= 0 ? found : step > 0 ? -1 : along.length;
  return along[Math.min(Math.max(place + step, 0), along.length - 1)];
}
