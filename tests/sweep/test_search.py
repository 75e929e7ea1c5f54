"""The search that chooses its own runs: what it asks for, what it is told, and that it goes on where it was."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from resnet_exp.core.errors import RequestError
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.result import Result
from resnet_exp.runs.result import result_of as parse
from resnet_exp.sweep.goal import Goal
from resnet_exp.sweep.search import Search, Settings, Space, open_study
from support.commands import RunCli
from support.paths import TESTS
from support.run_folders import result_of

DIGITS = ("dataset=digits", "data=imagefolder", "hardware=cpu", "data.num_workers=0")


@pytest.mark.soak
def test_interrupted_search_goes_on(train_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    interrupter = "+callbacks.interrupter._target_=support.interrupter.Interrupter"
    line = ("-cn", "adaptive", *DIGITS, interrupter, "ssr=tag(log,interval(0.0112,0.022))")

    monkeypatch.setenv("INTERRUPT", "6:SIGINT:launcher")
    stopped = train_cli(*line, "hydra.sweeper.n_trials=2")
    assert stopped.returncode == 130, stopped.stdout + stopped.stderr
    (trial,) = re.findall(r"^trial 1 of 2: .*", stopped.stdout, re.MULTILINE)
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name != ".sweeps")

    monkeypatch.setenv("INTERRUPT", "never::")
    done = train_cli(*line, "hydra.sweeper.n_trials=2")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = re.findall(r"^trial . of 2: .*", done.stdout, re.MULTILINE)
    assert trials[0] == trial and len(trials) == 2 and trials[1].startswith("trial 2")
    assert (folder / "result.json").exists()
    record = json.loads(sweep_manifest.path_of(tmp_path / "runs", "adaptive").read_text())
    assert record["runs"][0]["run_id"] == folder.name and len(record["runs"]) == 2
    assert "sweep adaptive: 2 trials; no run is both better and faster" in done.stdout

    again = train_cli(*line, "hydra.sweeper.n_trials=2")
    assert again.returncode == 0 and "trial " not in again.stdout and "sweep adaptive: 2 trials;" in again.stdout
    other = train_cli(*line, "hydra.sweeper.n_trials=3", "seed=3")
    assert other.returncode == 2 and re.match(r"sweep=adaptive was begun with other settings: .*\n$", other.stderr)


class Bench:
    """A search whose runs are a formula: `broken` recipes fail, and `stop_after` runs it is interrupted."""

    def __init__(self, path: Path, budget: str | None = None, **settings: int) -> None:
        self.path, self.settings = path, {"n_trials": 6, "parallel": 1, "seed": 1, "digits": 2} | settings
        self.budget = budget
        self.launched: list[list[str]] = []
        self.earlier: list[int] = []
        self.results: dict[str, Result] = {}
        self.broken, self.stop_after = "", 10**6
        self.loader: Any = Loader()

    def search(self, **params: str) -> Search:
        settings = Settings(**self.settings, goal=Goal.of(self.budget))
        space = Space(self.loader, params or PARAMS, ["seed=3"], settings.digits)
        study = open_study(self.path, "bench", settings.goal)
        return Search(study, space, settings, self.launch, lambda run: "-".join(run))

    def launch(self, points: list[list[str]], earlier: int) -> list[JobReturn]:
        self.earlier.append(earlier)
        jobs = []
        for point in points:
            if len(self.launched) == self.stop_after:
                raise KeyboardInterrupt
            self.launched.append(point)
            values = dict(override.split("=") for override in point)
            ssr = float(values["ssr"])
            top1 = ssr**0.5 * (1.0 if values["recipe"] == "mild" else 0.9)
            job = JobReturn(overrides=point, status=JobStatus.COMPLETED, working_dir=str(self.path.parent / "none"))
            job.return_value = None
            if values["recipe"] != self.broken:
                job.return_value = parse(result_of("none", top1=top1, timing__train_seconds=100 * ssr))
                self.results["-".join(point)] = job.return_value
            jobs.append(job)
        return jobs


class Loader:
    """Of no group, for a parser that needs one."""

    def get_group_options(self, group: str, results_filter: Any = None) -> list[str]:
        return []


PARAMS = {"recipe": "choice(baseline,mild)", "ssr": "tag(log, interval(0.013, 0.74))"}


def test_search_is_the_same_in_one_go_and_with_a_break(tmp_path: Path) -> None:
    whole, broken = Bench(tmp_path / "a.journal", n_trials=14), Bench(tmp_path / "b.journal", n_trials=14)
    whole.search().carry_on()
    broken.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        broken.search().carry_on()
    broken.stop_after = 10**6
    broken.search().carry_on()
    assert broken.launched == whole.launched and len(whole.launched) == 14
    assert len({tuple(point) for point in whole.launched[:10]}) > 5
    assert whole.earlier == list(range(14))
    broken.search().carry_on()
    assert len(broken.launched) == 14
    broken.settings["n_trials"] = 15
    broken.search().carry_on()
    assert len(broken.launched) == 15


def test_search_rounds_within_its_bounds(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a.journal", n_trials=40, parallel=8, digits=1)
    bench.search().carry_on()
    assert bench.earlier == [0, 8, 16, 24, 32]
    values = {override for point in bench.launched for override in point if override.startswith("ssr=")}
    assert all(0.013 <= float(value[4:]) <= 0.74 for value in values)
    assert values <= {"ssr=0.013", "ssr=0.74", *(f"ssr={n / 100}" for n in (2, 3, 4, 5, 6, 7, 8, 9)), "ssr=0.1",
                      *(f"ssr=0.{n}" for n in range(2, 8))}  # fmt: skip
    assert all(point[0] == "seed=3" for point in bench.launched)


def test_search_learns(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a.journal", n_trials=60)
    bench.search().carry_on()
    late = Counter(point[1] for point in bench.launched[30:])
    assert late["recipe=mild"] > 2 * late["recipe=baseline"]


def test_search_within_a_budget(tmp_path: Path) -> None:
    """A run takes 100 s times ssr, and is the better the longer: the best within 20 s is mild at almost 0.2."""
    bench = Bench(tmp_path / "a.journal", "20s", n_trials=40)
    bench.search().carry_on()
    late = [dict(word.split("=") for word in point) for point in bench.launched[20:]]
    near = [point for point in late if 0.1 <= float(point["ssr"]) <= 0.2 and point["recipe"] == "mild"]
    assert len(near) > 4, "of random points one or two would be"
    said = bench.search().summary()
    over = sum(100 * float(point[2].removeprefix("ssr=")) > 20 for point in bench.launched)
    assert said.splitlines()[0] == f"sweep bench: 40 trials, {over} over 20 s; the best within 20 s:"
    assert re.fullmatch(
        r"4[34]\.\d\d%  (19|20) s  +mild +0\.(19|2) +seed=3-recipe=mild-ssr=0\.(19|2)", said.splitlines()[2]
    )
    bench.budget = "30s"
    with pytest.raises(RequestError, match=r"sweep=bench had a budget of 20 s until now; .* sweep=NAME"):
        bench.search().carry_on()
    bench.budget = None
    with pytest.raises(RequestError, match=r"sweep=bench had a budget of 20 s until now; .* sweep=NAME"):
        bench.search().carry_on()


def test_a_budget_in_dollars_needs_a_price(warm_cli: RunCli) -> None:
    line = ("-cn", "adaptive", *DIGITS)
    for word, said in (
        ("hydra.sweeper.budget=1usd", "hydra.sweeper.budget=$1.00: hardware=cpu has no price; give one with"),
        ("hydra.sweeper.budget=soon", "hydra.sweeper.budget=soon is not a time or price; use "),
    ):
        done = warm_cli(*line, word, module="resnet_exp.plan")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(said)
    done = warm_cli(*line, "hydra.sweeper.budget=1usd", "hardware.usd_per_node_hour=1", module="resnet_exp.plan")
    assert done.returncode == 0, done.stderr


def test_failed_runs_are_told_and_the_front_has_no_beaten_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a.journal", n_trials=12)
    bench.broken = "baseline"
    search = bench.search()
    search.carry_on()
    failed = sum("recipe=baseline" in point for point in bench.launched)
    assert len(bench.launched) == 12 and 0 < failed < 12
    head, columns, *rows = search.summary().splitlines()
    assert head.startswith(f"sweep bench: 12 trials, {failed} failed; no run is both")
    assert columns.split() == ["top-1", "trained", "recipe", "ssr", "run"]
    # Of mild runs, which only differ in ssr, none beats another.
    different = {"-".join(point) for point in bench.launched if "recipe=mild" in point}
    assert {row.split()[-1] for row in rows} == different
    bench = Bench(tmp_path / "b.journal", n_trials=12)
    search = bench.search()
    search.carry_on()
    points = dict(bench.results)
    shown = [row.split()[-1] for row in search.summary().splitlines()[2:]]
    for run, result in points.items():
        beaten = any(
            other.top1 > result.top1 and other.timing.train_seconds <= result.timing.train_seconds
            for other in points.values()
        )
        assert (run in shown) != beaten


def test_search_refuses_what_it_cannot_compare(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a.journal", n_trials=2)
    bench.search().carry_on()
    bench.settings["n_trials"] = 4
    with pytest.raises(RequestError, match=r"sweep=bench searched recipe, ssr until now; .* sweep=NAME"):
        bench.search(ssr="interval(0.1,0.2)", recipe="mild").carry_on()
    with pytest.raises(RequestError, match="sweep=bench had other choices until now"):
        bench.search(recipe="choice(mild,hot)", ssr="interval(0.1,0.2)").carry_on()
    bench.settings["digits"] = 4
    with pytest.raises(RequestError, match=r"sweep=bench was begun with other settings: .* would be .*"):
        bench.search().carry_on()
    damaged = tmp_path / "damaged.journal"
    damaged.write_text("{\n" + bench.path.read_text())
    with pytest.raises(RequestError, match=r"damaged.journal is damaged \(.*\); remove it to start a new search"):
        open_study(damaged, "bench")


@pytest.mark.parametrize(
    ("param", "error"),
    {
        "tag(foo, interval(0,1))": "tag foo is unknown; there is log",
        "tag(log, interval(0,1))": "cannot be searched: .*low",
        "range(3,1)": "holds no value",
        "interval(0,inf)": "cannot be searched: it has no end",
        "interval(1,0)": "cannot be searched: .*",
        "0.3": "has nothing to search",
    }.items(),
)
def test_wrong_spaces_are_refused(param: str, error: str) -> None:
    loader: Any = Loader()
    with pytest.raises(RequestError, match=error) as raised:
        Space(loader, {"ssr": param}, [], 2)
    assert "\n" not in str(raised.value)


def test_space_holds_ranges() -> None:
    loader: Any = Loader()
    space = Space(loader, {"a": "range(2,9,3)", "b": "range(0.1,0.5,0.1)", "c": "int(interval(1,4))"}, [], 2)
    drawn = [space.overrides(trial.params) for trial in preview(space, 200)]
    assert {point[0] for point in drawn} == {"a=2", "a=5", "a=8"}
    assert {point[1] for point in drawn} == {"b=0.1", "b=0.2", "b=0.3", "b=0.4"}
    assert {point[2] for point in drawn} == {"c=1", "c=2", "c=3", "c=4"}


def preview(space: Space, count: int) -> Any:
    settings = Settings(n_trials=count, parallel=1, seed=1, digits=2)
    return Search(open_study(None, "none"), space, settings, lambda *_: [], str).ask(count)
