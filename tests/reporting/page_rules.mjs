// What the modules of the Explorer page make of generated cases; test_page_rules.py says what they should.
// node page_rules.mjs FOLDER < cases > answers

import { text } from "node:stream/consumers";

const load = (name) => import(`${process.argv[2]}/rules/${name}.js`);
const { answersTo, fractionOf, targetOf } = await load("answer");
const { bootstrap, contenders, drawnMean, randomNumbers } = await load("bootstrap");
const { baselineText } = await load("baseline");
const { marksOf } = await load("describe");
const { atSameQuality, cheapestReaching, costAt, frontOf, paretoFront, spread } = await load("frontier");
const { preparePage } = await load("page");
const { hourlyPrice } = await load("price");
const { select } = await load("select");
const { readState, writeState } = await load("state");

// JSON has no NaN and no infinity.
const point = ([top1, cost]) => ({ top1: Number(top1), cost: Number(cost) });

function frontCase({ points, others, target }) {
  const [known, asked] = [points.map(point), others.map(point)];
  return {
    front: paretoFront(known),
    costAt: costAt(known, Number(target)),
    cheapest: cheapestReaching(known, Number(target)),
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

const groupOf = (group) => ({
  key: group.key,
  runs: group.runs.map((run) => run.run_id),
  spreads: [group.top1, group.time, group.cost, group.x],
  ratios: [group.speedUp, group.saving],
  onFront: group.onFront,
  marks: marksOf(group).map(({ name, count }) => [name, count]),
});

const nameOf = (group) => group && [group.key, group.first.run_id];

function viewCase(page, address) {
  const { state, problems } = readState({ search: "", hash: `#${address}` }, page);
  const shown = select(page, state);
  const target = targetOf(state, shown);
  const answers = target === null ? [] : answersTo(shown, fractionOf(target));
  const again = readState({ search: "", hash: writeState(state, "") }, page);
  return {
    problems,
    main: shown.main,
    runs: shown.runs,
    groups: shown.groups.map(groupOf),
    hourly: Object.fromEntries(page.runs.map((run) => [run.run_id, hourlyPrice(page, state, run)])),
    target,
    answers: answers.map(({ axis, protocol, best, cost, interval, between }) => {
      return { axis, protocol, best: nameOf(best), cost, interval, between };
    }),
    baseline: baselineText(page, state.baseline),
    sameAgain: JSON.stringify(select(page, again.state)) === JSON.stringify(shown) && again.problems.length === 0,
  };
}

const cases = JSON.parse(await text(process.stdin));
const answers = {
  fronts: cases.fronts.map(frontCase),
  seeds: cases.seeds.map(seedsCase),
  pages: cases.pages.map(({ content, curves, addresses }) => {
    const page = preparePage(content, curves, {});
    return addresses.map((address) => viewCase(page, address));
  }),
};
process.stdout.write(JSON.stringify(answers));
