// Axes of the chart: their titles, units, and ticks at numbers that people use.

const AXES = {
  time: { title: "training time", show: duration },
  cost: { title: "cost of training ($)", show: money },
  epochs: { title: "epochs", show: (value) => String(Number(value.toPrecision(4))) },
  energy: { title: "energy (kWh)", show: (value) => value.toPrecision(3) },
};
const TIMES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 72000, 172800, 432000, 864000];
// Fewer ticks than that say too little; more than that do not fit on a phone.
const FEW = 3, MANY = 5;

/** What the axis divides by, so that its numbers are neither long nor small, and the unit that makes of them. */
function unitOf(state, shown) {
  if (state.x !== "time") return { divide: 1, unit: "" };
  if (state.scale === "log") return { divide: 1, unit: "" };
  const longest = Math.max(0, ...shown.groups.filter((group) => group.x).map((group) => group.x.mean));
  if (longest < 300) return { divide: 1, unit: " (s)" };
  return longest < 6 * 3600 ? { divide: 60, unit: " (min)" } : { divide: 3600, unit: " (h)" };
}

/** Ticks of a logarithmic axis: 1, 2, 5, 10 ... (of times 10 s, 30 s, 2 min ...), or even ones if values are close together. */
function logTicks(state, shown) {
  const values = shown.groups.filter((group) => group.x && group.x.mean > 0).map((group) => group.x.mean);
  const [low, high] = [Math.min(...values) / 1.3, Math.max(...values) * 1.3];
  const inside = (ticks) => ticks.filter((tick) => tick >= low && tick <= high);
  const unit = state.x === "time" ? (high < 180 ? 1 : high < 7200 ? 60 : 3600) : 1;
  let ticks = inside(state.x === "time" && high < 1e6 ? TIMES : decades(low, high));
  if (ticks.length < FEW) ticks = inside(even(low, high, unit));
  if (isNarrow()) ticks = ticks.filter((_, index) => index % Math.ceil(ticks.length / MANY) === 0);
  return { tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => tickText(state, tick)) };
}

function isNarrow() {
  return window.innerWidth < 700;
}

function tickText(state, tick) {
  if (state.x !== "time") return String(Number(tick.toPrecision(3)));
  const [divide, unit] = tick < 120 ? [1, "s"] : tick < 3600 ? [60, "min"] : [3600, "h"];
  return `${Number((tick / divide).toPrecision(3))} ${unit}`;
}

function decades(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
  }
  return ticks;
}

function even(low, high, unit) {
  const rough = (high - low) / unit / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough) || rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}
