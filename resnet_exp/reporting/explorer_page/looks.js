// Colours are Okabe and Ito's; each series also has a symbol that no other has, so that colour is never the only sign.

const COLORS = { baseline: "--ink", mild: "--mild", medium: "--medium", hot: "--hot" };
const MORE_COLORS = ["--more-1", "--more-2", "--more-3"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "cross", "x", "hexagon",
  "triangle-left", "triangle-right", "hexagram", "octagon", "diamond-tall", "diamond-wide"];
// Corners of the symbols, in a box from -1 to 1.
const ARM = 0.4;
const SHAPES = {
  circle: ring(32), square: ring(4, Math.PI / 4), diamond: ring(4), "triangle-up": ring(3), "triangle-down": ring(3, Math.PI),
  pentagon: ring(5), star: ring(10, 0, 0.4), hexagon: ring(6), octagon: ring(8, Math.PI / 8), hexagram: ring(12, 0, 0.58),
  "triangle-left": ring(3, -Math.PI / 2), "triangle-right": ring(3, Math.PI / 2),
  cross: cross(0), x: cross(Math.PI / 4),
  "diamond-tall": ring(4).map(([x, y]) => [x / 2, y]), "diamond-wide": ring(4).map(([x, y]) => [x, y / 2]),
};

/** Corners around the middle, the first at the top (turned by `turn`); every other at `inner` of the radius. */
function ring(corners, turn = 0, inner = 1) {
  return Array.from({ length: corners }, (_, index) => {
    const angle = turn + (2 * Math.PI * index) / corners;
    const radius = index % 2 ? inner : 1;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

function cross(turn) {
  const quarter = [[ARM, -1], [ARM, -ARM], [1, -ARM]];
  const turned = ([x, y], angle) => [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)];
  return [0, 1, 2, 3].flatMap((side) => quarter.map((corner) => turned(corner, turn + (side * Math.PI) / 2)));
}

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
  const place = (name) => (OWN_RECIPES.includes(name) ? OWN_RECIPES.indexOf(name) : OWN_RECIPES.length);
  const names = [...tally.keys()].sort((a, b) => place(a) - place(b) || tally.get(b) - tally.get(a) || (a < b ? -1 : 1));
  const free = [...(state.compare === "recipe" ? [] : Object.values(COLORS)), ...MORE_COLORS];
  const found = new Map();
  names.forEach((name, index) => {
    const fixed = state.compare === "recipe" ? get(COLORS, name) : undefined;
    found.set(name, { color: colors.value(fixed || free.shift() || "--other"), symbol: SYMBOLS[index % SYMBOLS.length] });
  });
  return found;
}

function seriesOf(state, run) {
  return state.compare === "none" ? "runs" : run[state.compare] || "not stated";
}

/** A symbol as a small picture beside a text that says the same. */
function swatch({ color, symbol }, hollow = false) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const shape = document.createElementNS(space, "polygon");
  const corners = SHAPES[symbol].map(([x, y]) => `${(6 + 4.6 * x).toFixed(2)},${(6 + 4.6 * y).toFixed(2)}`);
  for (const [name, value] of Object.entries({ viewBox: "0 0 12 12", class: "swatch", "aria-hidden": "true" })) {
    picture.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries({ points: corners.join(" "), stroke: color, fill: hollow ? "none" : color })) {
    shape.setAttribute(name, value);
  }
  picture.append(shape);
  return picture;
}

/** What the marks and lines of the chart mean, above it. */
function drawLegend(marks, lines) {
  const items = marks.map((trace) => make("li", {}, swatch(trace.meta.look, trace.meta.hollow), trace.meta.name));
  const fronts = lines.filter((trace) => trace.meta.whole)
    .map((trace) => make("li", {}, make("span", { class: `line ${trace.line.dash}`, style: `border-color: ${trace.line.color}` }), trace.meta.name));
  byId("legend").replaceChildren(...fronts, ...items);
}
