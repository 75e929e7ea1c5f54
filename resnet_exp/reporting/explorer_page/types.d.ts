/** What the modules exchange. Accuracies are fractions (0 to 1), durations in seconds, money in dollars. */

import type { CHOICES } from "./rules/state.js";

// The data of the page, as explorer.py writes it.

/** One finished run, with the fields of the report's `RunRecord`; undefined means not recorded. */
export interface Run {
  run_id: string;
  published: boolean;
  recipe: string;
  model: string;
  dataset: string;
  data?: string;
  /** Undefined: not stated; empty: none. */
  algorithms?: readonly string[];
  cloud?: string;
  hardware: string;
  gpu?: string;
  /** GPUs of one node; 0 if it trained on its CPUs. */
  devices: number;
  nodes: number;
  cpus?: number;
  ssr?: number;
  seed?: number;
  epochs?: number;
  top1: number;
  top5?: number;
  train_seconds?: number;
  /** The price that the run recorded, and its day. */
  usd_per_node_hour?: number;
  price_date?: string;
  published_cost_usd?: number;
  eval_resize?: number;
  eval_crop?: number;
  /** How top-1 was measured: only runs with the same protocol are comparable. */
  protocol: string;
  /** What `train_seconds` covers. */
  clock: string;
  /** The same for runs that differ only in the seed. */
  group?: string;
  resumed: number;
  commits: readonly string[];
  dirty: boolean;
  images_per_second?: number;
  data_wait_seconds?: number;
  energy_kwh?: number;
  source?: string;
  path?: string;
  sweep?: string;
  command?: string;
  /** Training time and top-1 of each evaluation. */
  curve: readonly CurvePoint[];
}

export type CurvePoint = [seconds: number, top1: number];

/** A hardware preset and what an hour of one of its nodes costs. */
export interface Price {
  name: string;
  gpu: string | null;
  devices: number;
  usd_per_node_hour: number | null;
  spot_usd_per_node_hour: number | null;
  date: string | null;
  source: string | null;
  spot_date: string | null;
  spot_source: string | null;
}

/** The JSON of the page: one list per field, with one entry per run. */
export interface Content {
  written: string;
  /** How many runs there are of each state. */
  counts: Record<string, number>;
  prices: Record<string, Price>;
  columns: Record<string, unknown[]>;
}

/** Fields of a run that the page filters by. */
export interface Values {
  dataset: string[];
  model: string[];
  cloud: string[];
  hardware: string[];
  recipe: string[];
  protocol: string[];
  algorithms: string[];
}

/** The data of the page, with what is looked up often. */
export interface Page {
  written: string;
  counts: Record<string, number>;
  runs: readonly Run[];
  /** By the name of the hardware. */
  prices: ReadonlyMap<string, Price>;
  /** Resolved YAML by the id of the run. */
  configs: ReadonlyMap<string, string>;
  /** What the runs have, sorted. */
  values: Values;
  runIds: ReadonlySet<string>;
  groupIds: ReadonlySet<string>;
  /** By "recipe@hardware". */
  recipesOn: ReadonlyMap<string, RecipeBaseline>;
}

// What the user chose.

export type Choice<Name extends keyof typeof CHOICES> = (typeof CHOICES)[Name][number];
export type Axis = Choice<"x">;

/** Whether a run uses an algorithm; nobody says it of some published runs. */
export type AlgorithmUse = "with" | "without" | "unstated";

/** Everything that the address says. */
export interface State {
  /** The key of a column. */
  sortBy: string;
  order: Choice<"order">;
  compare: Choice<"compare">;
  x: Axis;
  scale: Choice<"scale">;
  seeds: Choice<"seeds">;
  published: Choice<"published">;
  show: Choice<"show">;
  prices: Choice<"prices">;
  dataset: string;
  /** A value of the runs or "all", and so for the next two. */
  model: string;
  cloud: string;
  hardware: string;
  /** Empty: all. */
  recipe: readonly string[];
  /** Empty: the one that most runs have. */
  protocol: readonly string[];
  algorithms: ReadonlyMap<string, AlgorithmUse>;
  /** A recipe, "recipe@hardware", a group, or the id of a run. */
  baseline: string;
  /** The user's own prices of an hour, by hardware. */
  own: ReadonlyMap<string, number>;
  /** Percent; null: one that suits the runs. */
  target: number | "none" | null;
  /** "10min" or "10usd": what it buys is asked, and not what a target costs. */
  budget: string | null;
  /** A group, or the id of a run. */
  selected: string | null;
  /** The only series that the chart shows, or `OTHERS`. */
  only: string | null;
}

// What is computed from both.

/** Quality and what it cost: seconds, dollars, or whatever the axis is; NaN where one is not known. */
export interface Point {
  top1: number;
  cost: number;
}

/** Mean of n values and its standard error, null for one value. */
export interface Spread {
  mean: number;
  sem: number | null;
  n: number;
}

/** How many times as much the baseline costs at the same top-1; `atLeast`: it is a lower bound. */
export interface Ratio {
  value: number;
  atLeast: boolean;
}

/** One run of a group; NaN where a number is not known. */
export interface Seed {
  run: Run;
  top1: number;
  time: number;
  cost: number;
  /** On the axis of the chart. */
  x: number;
}

/** Runs that differ only in the seed; a spread is null where no run has a value. */
export interface Group {
  key: string;
  first: Run;
  runs: readonly Run[];
  seeds: readonly Seed[];
  n: number;
  top1: Spread;
  time: Spread | null;
  cost: Spread | null;
  x: Spread | null;
}

export type GroupAxis = "time" | "cost" | "x";

/** What the baseline takes at a group's top-1. */
export interface Comparison {
  speedUp: Ratio | null;
  saving: Ratio | null;
}

/** A group with what the table says of it. */
export interface ShownGroup extends Group, Comparison {
  onFront: boolean;
}

/** A filter of the page. Where it is asked, `state.protocol` has the protocols that are shown. */
export interface Filter {
  /** As beside its control. */
  name: string;
  passes: (state: State, run: Run) => boolean;
  /** What it stands at. */
  text: (state: State) => string;
  /** The change that lets these runs through. */
  open: (state: State, runs: readonly Run[]) => Partial<State>;
}

/** Runs that the same filters hide. */
export interface Hidden {
  filters: readonly Omit<Filter, "passes">[];
  runs: readonly Run[];
  /** Shows them. */
  change: Partial<State>;
}

/** Everything that the chart, the table and the answer show. */
export interface Shown {
  /** The protocol that shares the main front; undefined if the dataset has no run. */
  main: string | undefined;
  protocols: readonly string[];
  groups: readonly ShownGroup[];
  /** How many runs the groups have. */
  runs: number;
}

/** A recipe as a baseline; `hardware` null: each time that of the run. */
export interface RecipeBaseline {
  recipe: string;
  hardware: string | null;
}

/** The cheapest or the fastest group that reached a target, null if none did. */
export interface Answer {
  axis: "time" | "cost";
  protocol: string;
  groups: readonly ShownGroup[];
  best: ShownGroup | null;
  /** How many of its seeds reached it: the mean of all may, though one did not. */
  reached: number;
  /** Time or cost of the best. */
  cost: number;
  /** Of its seeds. */
  interval: Interval | null;
  /** What just the target would take, between two lengths of the same recipe on the same machine. */
  between: Between | null;
}

/** Seconds of training, or dollars; and the number and unit in which the user gave them. */
export interface Budget {
  axis: "time" | "cost";
  amount: number;
  number: number;
  unit: string;
}

/** The best group within a budget, null if there is none. */
export interface Bargain {
  protocol: string;
  groups: readonly ShownGroup[];
  best: ShownGroup | null;
  /** Of the top-1 of its seeds. */
  interval: Interval | null;
  /** What just the budget would reach, between two lengths of the same recipe on the same machine. */
  between: { top1: number; interval: Interval | null; single: boolean } | null;
}

export interface Between {
  cost: number;
  interval: Interval | null;
  /** Whether there is no interval because every length has one seed only. */
  single: boolean;
}

export type Interval = [low: number, high: number];

// How it is drawn.

/** What the sliders of the target and the budget change. */
export interface Aiming {
  view: View;
  /** While a slider moves. */
  slide: (state: State) => void;
}

export type Change = Partial<State> | ((state: State) => Partial<State>);
/** Change the state, draw anew, and move the focus if asked to. */
export type Update = (change: Change, focus?: "details") => void;

/** What the parts of the page are drawn from. */
export interface View {
  page: Page;
  state: State;
  shown: Shown;
  update: Update;
  /** Whether the table has all rows, however many. */
  allRows: boolean;
}

/** A column of the table; `value` is what it is sorted by, from the largest if `down`. */
export interface Column {
  key: string;
  title: string;
  /** If the title is not readable. */
  label?: string;
  number?: boolean;
  down?: boolean;
  /** Whether it names the row. */
  name?: boolean;
  value: (group: ShownGroup) => string | number | undefined;
  text: (group: ShownGroup) => string;
}

/** A caveat of a group, and how many of its runs it applies to. */
export interface Mark {
  name: string;
  text: string;
  count: number;
}

export interface Look {
  /** The series, or `OTHERS` for all that share a look. */
  key: string;
  /** In the order of the legend. */
  place: number;
  /** In the legend. */
  label: string;
  color: string;
  symbol: string;
  /** Of its line, as Plotly writes it; null: it has none. */
  dash: string | null;
}

/** Colors of the page's style, as they are now: light or dark. */
export interface Theme {
  ink: string;
  muted: string;
  grid: string;
  paper: string;
  value: (name: string) => string;
}

/** What a trace of the chart stands for. */
export type TraceMeta =
  | { kind: "marks"; look: Look; hollow: boolean }
  | { kind: "line"; name: string; color: string; dash: string; whole: boolean }
  | { kind: "ring" };

export interface Trace {
  meta: TraceMeta;
  x: number[];
  y: number[];
  [option: string]: unknown;
}

export interface PlotlyElement extends HTMLElement {
  on(event: "plotly_click", listener: (event: { points: { customdata?: string }[] }) => void): void;
  on(event: "plotly_relayout", listener: (change: object) => void): void;
  removeAllListeners(event: "plotly_click" | "plotly_relayout"): void;
  /** `range` is of logarithms where the axis is logarithmic. */
  layout: { xaxis: { autorange: boolean; range: [low: number, high: number] } };
}

interface Plotly {
  newPlot(element: HTMLElement, traces: object[], layout: object, options: object): unknown;
  react(element: HTMLElement, traces: object[], layout: object, options: object): unknown;
  relayout(element: HTMLElement, change: object): unknown;
}

declare global {
  /** plotly.js, which main.js starts before anything is drawn. */
  const Plotly: Plotly;
}
