"""Sweeps in files: which runs they ask for, and that these are carried out once."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_exp import cli
from resnet_exp.config.checks import validate
from resnet_exp.core import paths
from resnet_exp.core.files import read_json
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import RunFolder
from resnet_exp.sweep.planned import Sweep, write_sweep
from support.commands import RunCli
from support.paths import ROOT

NAMES = sorted(path.stem for path in paths.sweeps_dir().glob("*.yaml"))
IMAGENET = ("dataset.dir=/data/imagenet", "hardware=p4d.24xlarge")
DIGITS = ("dataset=digits", "data=imagefolder", "hardware=cpu", "data.num_workers=0")
OUTSIDE = "outside the range"

Asked = Callable[..., Sweep]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Asked:
    """The sweep that a command line asks for, through Hydra and all, but for carrying it out."""

    def ask(*args: str, code: int = 0) -> Any:
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")
        planned: list[Sweep] = []
        words = [f"runs_dir={tmp_path}/runs", *args]
        returned = cli.run_hydra(words, lambda config: 99, lambda sweep, launcher: planned.append(sweep) or 0, False)
        said = capfd.readouterr()
        assert returned == code, said.err
        if code:
            return said.err
        (sweep,) = planned
        return sweep

    return ask


def chosen(sweep: Sweep, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(run.config, key) for key in keys) for run in sweep.runs]


def text(name: str) -> str:
    return (paths.sweeps_dir() / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_keeps_what_its_comment_says(name: str, asked: Asked) -> None:
    sweep = asked("-cn", name, *(IMAGENET[1:] if name == "demo" else IMAGENET))
    said = re.search(r"^# Runs: (\d+)", text(name), re.MULTILINE)
    assert said and len(sweep.requested_ids) == int(said[1])
    assert sweep.name == name
    assert re.search(rf"^#\s+resnet_exp -cn {name}\b", text(name), re.MULTILINE)
    assert "hydra/launcher=slurm hardware=" in text(name).replace("hydra.sweeper.parallel=4 ", "")
    assert "# Cost" in text(name)
    outside = {run.config.recipe for run in sweep.runs if any(OUTSIDE in note for note in validate.notes(run.config))}
    assert outside == ({"medium", "hot"} if name == "demo" else set())
    assert not any("warm-up" in note for run in sweep.runs for note in validate.notes(run.config))


def test_costs_in_the_files_are_those_of_the_plan(warm_cli: RunCli) -> None:
    planned = warm_cli("-cn", "seeds", *IMAGENET, module="resnet_exp.plan")
    assert planned.returncode == 0, planned.stderr
    assert "$50.80" in planned.stdout and "$50.80" in text("seeds")
    planned = warm_cli("-cn", "frontier", *IMAGENET, module="resnet_exp.plan")
    for hours, cost in (("8.16 h", "$179.07"), ("31.93 h", "$701.08"), ("19.69 h", "$432.25")):
        assert f"{hours} {cost}" in re.sub(r" +", " ", planned.stdout)
        assert f"{float(hours.split()[0]):.1f} h ${float(cost[1:]):.0f}" in re.sub(r" +", " ", text("frontier"))


def test_plan_of_a_search_makes_up_no_runs(warm_cli: RunCli) -> None:
    planned = warm_cli("-cn", "adaptive", *IMAGENET, "hydra.sweeper.n_trials=7", module="resnet_exp.plan").stdout
    head, space, time, cost, *rest = planned.splitlines()
    assert head == "adaptive: a search of 7 trials with hydra/launcher=basic in runs"
    assert space.startswith("  space      recipe=choice(baseline,mild) ssr=tag(log, interval(0.1, 0.75)); the search ")
    for name, line in (("time", time), ("cost", cost)):
        assert re.match(rf"  {name}       \d runs at random points of these ranges: about ", line)
    assert all(line.startswith("  basis") for line in rest)


def test_frontier_is_whole_with_one_seed_before_the_next(asked: Asked) -> None:
    sweep = asked("-cn", "frontier", *IMAGENET)
    assert [seed for (seed,) in chosen(sweep, "seed")] == [17] * 16 + [18] * 16 + [19] * 16
    counts = Counter(recipe for (recipe,) in chosen(sweep, "recipe"))
    assert counts == {"mild": 15, "medium": 15, "hot": 9, "baseline": 9}


def test_command_line_wins_over_the_file(asked: Asked) -> None:
    part = asked("-cn", "frontier", *IMAGENET, "recipe=mild", "seed=1")
    assert chosen(part, "recipe", "ssr", "seed") == [("mild", ssr, 1) for ssr in (0.2, 0.32, 0.36, 0.5, 0.75)]
    two = asked("-cn", "frontier", *IMAGENET, "recipe=hot,mild")
    assert Counter(recipe for (recipe,) in chosen(two, "recipe")) == {"mild": 15, "hot": 9}
    length = asked("-cn", "frontier", *IMAGENET, "ssr=0.4", "seed=1,2")
    assert sorted(chosen(length, "recipe", "ssr", "seed")) == [
        (recipe, 0.4, seed) for recipe in ("baseline", "hot", "medium", "mild") for seed in (1, 2)
    ]
    assert chosen(asked("-cn", "seeds", *IMAGENET, "recipe=medium", "ssr=1.5"), "recipe", "ssr")[0] == ("medium", 1.5)


def test_ablation_removes_one_algorithm_at_a_time(asked: Asked) -> None:
    sweep = asked("-cn", "ablation", *IMAGENET)
    assert [run.overrides[-1] for run in sweep.runs[1:3]] == ["~algorithms.blurpool", "~algorithms.channels_last"]
    full, *others = [set(run.config.algorithms) for run in sweep.runs]
    assert len(full) == 5
    assert [full - other for other in others] == [{name} for name in sorted(full)]
    assert all(other < full for other in others)


GRIDS = """\
      - {recipe: mellow, ssr: "0.5,0.6"}
      - {recipe: "mild,baseline", "+algorithms": mixup, model.sync_batchnorm: false}
"""
OWN = f"""\
defaults: [config, _self_]
sweep: mine
hydra:
  mode: MULTIRUN
  sweeper:
    params: {{data: imagefolder, seed: "range(1,3)"}}
    grids:
{GRIDS}"""
MELLOW = "# @package _global_\ndefaults: [mild]\nrecipe: mellow\n"


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """Options for a folder of the user's own with a sweep and a recipe; arguments are replaced in the sweep."""

    def write(old: str = "", new: str = "", name: str = "mine") -> tuple[str, ...]:
        folder = tmp_path / "own"
        (folder / "recipe").mkdir(parents=True, exist_ok=True)
        (folder / "recipe" / "mellow.yaml").write_text(MELLOW)
        assert old in OWN
        (folder / f"{name}.yaml").write_text(OWN.replace(old, new) if old else OWN)
        return ("-cd", str(folder), "-cn", name)

    return write


def test_own_folder(asked: Asked, own: Callable[..., tuple[str, ...]]) -> None:
    sweep = asked(*own(), "hardware=cpu")
    assert chosen(sweep, "seed", "recipe", "ssr") == [
        (seed, *point)
        for seed in (1, 2)
        for point in (("mellow", 0.5), ("mellow", 0.6), ("mild", 1.0), ("baseline", 1.0))
    ]
    assert ["mixup" in run.config.algorithms for run in sweep.runs] == [False, False, True, True] * 2
    assert chosen(asked(*own(), "hardware=cpu", "recipe=mellow", "seed=5"), "ssr", "seed") == [(0.5, 5), (0.6, 5)]
    # One of the same name comes before ours, and ours are found beside an own folder too.
    assert asked(*own(name="demo"), "hardware=cpu").name == "mine"
    options = own()
    assert chosen(asked(*options[:2], "-cn", "seeds", *IMAGENET, "recipe=mellow"), "recipe")[0] == ("mellow",)


def test_manifest_of_a_continued_sweep_keeps_its_earlier_runs(asked: Asked, tmp_path: Path) -> None:
    first, second = (asked("-cn", "seeds", *IMAGENET, f"seed={seeds}") for seeds in ("1,2", "2,3"))
    write_sweep(first, "basic", {})
    write_sweep(replace(second, continued=True), "basic", {})
    record = sweep_manifest.read_manifest(tmp_path / "runs", "seeds")
    assert record is not None
    assert [run.run_id for run in record.runs] == [first.requested_ids[0], *second.requested_ids]


# What is changed in the own sweep, further arguments, and the line that answers.
WRONG = {
    "unknown key": (('ssr: "0.5', 'sssr: "0.5'), (), r"sssr is not a setting \(did you mean ssr\?\); .*"),
    "unknown option": (("recipe: mellow", "recipe: melow"), (), "recipe=melow is not available; use one of .*"),
    "not in grids": ((), ("recipe=hot",), r"recipe=hot is in no entry of hydra\.sweeper\.grids; they have recipe=ba.*"),
    "not together": (
        (GRIDS, "      - {recipe: mellow, model: resnet18}\n      - {recipe: mild, model: resnet50}\n"),
        ("recipe=mild", "model=resnet18"),
        r"model=resnet18 recipe=mild: no entry of hydra\.sweeper\.grids has them together",
    ),
    "in both": (("model.sync_batchnorm: false", "data: ffcv"), (), r".*grids\[1\]\.data is in .*params too; give it.*"),
    "a list": (('"0.5,0.6"', "[0.5,0.6]"), (), r"hydra\.sweeper\.grids\[0\]\.ssr=\[0\.5, 0\.6\]: write several .*"),
    "an interval": (('0.5,0.6', "interval(0,1)"), (), r"ssr=interval\(0,1\): a grid needs values such as .*"),
    "not removable": (('"+algorithms": mixup', "~algorithms.sam: null"), (), ".*algorithms.sam.*"),
    "no mapping": (
        ('{recipe: mellow, ssr: "0.5,0.6"}', "recipe"), (),
        r"hydra\.sweeper\.grids\[0\]=recipe: each entry maps .*",
    ),
    "no sweeper key": (("grids:", "grid:"), (), ".*grid.*"),
    "unreadable": (('"0.5,0.6"', '"0.5,{"'), (), "ssr=0.5,{ cannot be read as key=value; .*"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_sweeps_are_refused_in_one_line(case: str, asked: Asked, own: Callable[..., tuple[str, ...]]) -> None:
    change, arguments, line = WRONG[case]
    said = str(asked(*own(*change), "hardware=cpu", *arguments, code=2))
    assert re.fullmatch(line, said.rstrip("\n")), said


def test_runs_that_differ_never_share_a_folder(asked: Asked) -> None:
    said = str(asked("-m", "hardware=cpu", "run_id=mine", "seed=1,2,1", code=2))
    line = "run_id=mine would be the folder of seed=1 and of seed=2; leave run_id out, and each run gets its own\n"
    assert said == line
    assert chosen(asked("-m", "hardware=cpu", "run_id=mine", "seed=1,1"), "seed") == [(1,)]


def test_installed_wheel_has_the_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    line = [sys.executable, "-m", "resnet_exp", "-cn", "seeds", "--info", "searchpath"]
    shown = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"{tmp_path}/site/resnet_exp/sweeps" in shown and str(ROOT / "sweeps") not in shown


@pytest.mark.soak
def test_demo_is_trained_once(train_cli: RunCli, tmp_path: Path) -> None:
    line = ("-cn", "demo", *DIGITS, "recipe=baseline,mild", "ssr=0.0112", "seed=17")
    first = train_cli(*line)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 runs: 2 done" in first.stdout
    record = sweep_manifest.read_manifest(tmp_path / "runs", "demo")
    assert record is not None
    results = [read_json(RunFolder(tmp_path / "runs" / run.run_id).result) for run in record.runs]
    assert [result["recipe"] for result in results if result] == ["baseline", "mild"]
    stamps = [path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*-*/*")]
    again = train_cli(*line)
    assert again.returncode == 0 and "2 of 2 runs are already done and are skipped" in again.stdout
    assert [path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*-*/*")] == stamps
