// What the modules of the Explorer page make of generated cases; test_page_rules.py says what they should.
// node page_rules.mjs FOLDER < cases > answers

import { text } from "node:stream/consumers";

const load = (name) => import(`${process.argv[2]}/rules/${name}.js`);
const { answersTo, fractionOf, targetOf, topRange } = await load("answer");
const { bootstrap, contenders, drawnMean, randomNumbers } = await load("bootstrap");
const { bargainsFor, parseBudget } = await load("budget");
const { baselineText } = await load("baseline");
const { COLUMNS, columnOf } = await load("columns");
const { marksOf, nameOf, seedsText } = await load("describe");
const format = await load("format");
const { atSameQuality, bestWithin, cheapestReaching, costAt, frontOf, paretoFront, spread, topAt } =
  await load("frontier");
const { isSelected } = await load("groups");
const { hiddenRuns } = await load("hidden");
const { preparePage } = await load("page");
const { hourlyPrice, priceOrigin } = await load("price");
const { select } = await load("select");
const { namedSeries } = await load("series");
const { readState, writeState } = await load("state");

// JSON has no NaN and no infinity.
const point = ([top1, cost]) => ({ top1: Number(top1), cost: Number(cost) });

function frontCase({ points, others, target, budget }) {
  const [known, asked] = [points.map(point), others.map(point)];
  return {
    front: paretoFront(known),
    costAt: costAt(known, Number(target)),
    cheapest: cheapestReaching(known, Number(target)),
    best: bestWithin(known, Number(budget)),
    topAt: topAt(known, Number(budget)),
    ratios: asked.map((other) => atSameQuality(frontOf(known), other)),
    spread: spread(asked.map((other) => other.top1).filter(Number.isFinite)),
  };
}

function seedsCase({ groups, target }) {
  const seeds = groups.map((points) => points.map(point));
  const kept = contenders(seeds);
  const draw = randomNumbers();
  const surprises = Array.from({ length: 200 }, () => {
    const means = seeds.map((points) => drawnMean(points, draw));
    return paretoFront(means).filter((index) => !kept.includes(seeds[index])).length;
  });
  return {
    interval: bootstrap(seeds, (means) => costAt(means, target)),
    contenders: kept.map((points) => seeds.indexOf(points)),
    surprises: surprises.reduce((sum, count) => sum + count),
  };
}

/** Which groups may be on a front, of groups of points. */
function contestCase(groups) {
  const seeds = groups.map((points) => points.map(point));
  return contenders(seeds).map((points) => seeds.indexOf(points));
}

/** Whether there is an interval if a statistic is undefined for so many of 1,000 draws. */
function hasInterval(undefinedDraws) {
  let round = 0;
  const two = [point([0.5, 1]), point([0.6, 2])];
  const statistic = ([mean]) => {
    round += 1;
    return round <= undefinedDraws ? null : mean.cost;
  };
  return bootstrap([two], statistic) !== null;
}

function isRefused(act) {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}

const groupOf = (group) => ({
  key: group.key,
  runs: group.runs.map((run) => run.run_id),
  spreads: [group.top1, group.time, group.cost, group.x],
  ratios: [group.speedUp, group.saving],
  onFront: group.onFront,
  marks: marksOf(group).map(({ name, count, text }) => (text ? [name, count] : [name, count, "not explained"])),
  cells: COLUMNS.map((column) => column.text(group)),
  texts: [nameOf(group), seedsText(group)],
});

const plain = (value) => (value instanceof Map ? [...value] : value);

const idOf = (group) => group && [group.key, group.first.run_id];

function hiddenOf(page, state, shown) {
  const now = { ...state, protocol: shown.protocols };
  return hiddenRuns(page, state, shown).map(({ filters, runs, change }) => {
    const after = select(page, { ...state, ...change }).groups.flatMap((group) => group.runs);
    return {
      filters: filters.map((filter) => filter.name),
      texts: filters.map((filter) => filter.text(now)),
      runs: runs.map((run) => run.run_id),
      kept: runs.filter((run) => after.includes(run)).map((run) => run.run_id),
      change: Object.fromEntries(Object.entries(change).map(([name, value]) => [name, plain(value)])),
    };
  });
}

function viewCase(page, address) {
  const { state, problems } = readState({ search: "", hash: `#${address}` }, page);
  const shown = select(page, state);
  const target = targetOf(state, shown);
  const answers = target === null ? [] : answersTo(shown, fractionOf(target));
  const budget = parseBudget(state.budget ?? "");
  const bargains = budget === null ? [] : bargainsFor(shown, budget);
  const again = readState({ search: "", hash: writeState(state, "") }, page);
  return {
    problems,
    main: shown.main,
    runs: shown.runs,
    groups: shown.groups.map(groupOf),
    hourly: Object.fromEntries(page.runs.map((run) => [run.run_id, hourlyPrice(page, state, run)])),
    target,
    answers: answers.map(({ best, groups, ...answer }) => ({ ...answer, best: idOf(best), groups: groups.length })),
    budget,
    bargains: bargains.map(({ best, groups, ...bargain }) => ({ ...bargain, best: idOf(best), groups: groups.length })),
    baseline: baselineText(page, state.baseline),
    hidden: hiddenOf(page, state, shown),
    selected: shown.groups.map((group) => isSelected(state, group)),
    range: topRange(shown),
    series: namedSeries(page, state, shown),
    origins: page.runs.map((run) => (hourlyPrice(page, state, run) ? priceOrigin(page, state, run) : null)),
    sameAgain: JSON.stringify(select(page, again.state)) === JSON.stringify(shown) && again.problems.length === 0,
  };
}

/** Numbers as texts, by the names of the functions. */
function textCase([mean, sem]) {
  const spread = { mean, sem, n: 2 };
  return {
    duration: format.duration(mean),
    money: format.money(mean),
    percent: format.percent(mean),
    shortPercent: format.shortPercent(mean),
    shortNumber: format.shortNumber(mean),
    durations: format.durationText(spread),
    moneys: format.moneyText(spread),
    percents: format.percentText(spread),
    ratio: format.ratioText({ value: mean, atLeast: false }),
    saving: format.savingText({ value: mean, atLeast: true }),
  };
}

/** What an address says. */
function reading({ content, curves, configs, addresses }) {
  const page = preparePage(content, curves, configs);
  const read = addresses.map(([search, hash]) => {
    const { state, problems } = readState({ search, hash }, page);
    const words = Object.fromEntries(Object.entries(state).map(([name, value]) => [name, plain(value)]));
    return { problems, state: words, address: writeState(state, "page.html") };
  });
  return { read, page: pageOf(page) };
}

/** What is prepared once for all views. */
function pageOf({ runs, configs, groupIds, runIds, recipesOn, values, written, counts }) {
  const told = runs.map(({ clock, curve, cloud, data }) => ({ clock, curve, cloud: cloud ?? null, data: data ?? null }));
  const names = [[...configs], [...groupIds], [...runIds], [...recipesOn]];
  return { runs: told, names, values, written: written.length, counts };
}

const cases = JSON.parse(await text(process.stdin));
const answers = {
  fronts: cases.fronts.map(frontCase),
  seeds: cases.seeds.map(seedsCase),
  contests: cases.contests.map(contestCase),
  limits: cases.limits.map(hasInterval),
  random: Array.from({ length: 20 }, randomNumbers()),
  texts: cases.texts.map(textCase),
  readings: cases.readings.map(reading),
  unknown: [
    format.duration(Number.NaN),
    format.money(Number.NaN),
    format.durationText(null),
    format.moneyText(null),
    format.ratioText(null),
    format.savingText(null),
  ],
  columns: COLUMNS.map(({ key, number, down, name }) => [key, Boolean(number), Boolean(down), Boolean(name)]),
  refused: isRefused(() => columnOf("no column")),
  fractions: cases.fractions.map(fractionOf),
  counted: [0, 1, 2].map((count) => format.counted(count, "run")),
  pages: cases.pages.map(({ content, curves, addresses }) => {
    const page = preparePage(content, curves, {});
    return addresses.map((address) => viewCase(page, address));
  }),
};
process.stdout.write(JSON.stringify(answers));
