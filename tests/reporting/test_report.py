"""``resnet_exp report``: from run folders to tables and pictures; explorer.html has tests of its own."""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from resnet_exp import plot, report
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json, write_json
from resnet_exp.core.terminal.text import printable
from resnet_exp.reporting import figures, table_files
from resnet_exp.reporting.curves import collect_curve, draw_curves
from resnet_exp.results import collect, frontier, published_runs
from resnet_exp.runs import environment, sweep_manifest
from resnet_exp.runs.command import git
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from support.run_folders import OTHER_COMMIT, OUR_COMMIT, result_of, rows_of, write_run, write_wandb_files
from support.trained_sweep import USD_PER_HOUR, TrainedSweep

FILES = [
    *("curves.svg", "explorer.html", "frontier.md", "frontier.png", "frontier.svg"),
    *("runs.csv", "runs.parquet", "unfinished.csv"),
]


def make(*arguments: str | Path) -> int:
    return report.main([str(argument) for argument in arguments])


def sections_of(folder: Path) -> dict[str, str]:
    """The parts of ``frontier.md`` by their headings."""
    parts = (folder / "frontier.md").read_text().split("\n## ")
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def cells_of(table: str) -> list[list[str]]:
    """The cells of each line of a table that has no escaped bars."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]


@pytest.fixture
def trained(trained_sweep: TrainedSweep) -> Path:
    """Folder of a real sweep of two seeds."""
    return trained_sweep.folder


@pytest.mark.slow
def test_a_trained_sweep_becomes_a_report(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(trained / "runs", "-o", tmp_path / "new" / "out", "--no-published") == 0
    assert capsys.readouterr().out.splitlines()[1] == "2 runs: 2 done; 0 published"
    first, second = rows_of(tmp_path / "new" / "out")
    assert first["group"] == second["group"] and (first["seed"], second["seed"]) == ("1", "2")
    assert first["algorithms"].split() == sorted(first["algorithms"].split()) and "mixup" in first["algorithms"].split()
    data_set = read_json(RunFolder(Path(first["path"])).data_set)
    assert data_set is not None and data_set["classes"] == ["china", "flower"]
    assert first["dataset"] == f"photos ({data_set['fingerprint'][:8]})", "photos alone is a data set in the box"
    assert first["sweep"] == "two" and first["protocol"] == "32 px" and first["clock"] == "training"
    code = git()
    assert first["commits"] == (code.commit if code else "")
    result = read_json(RunFolder(Path(first["path"])).result)
    assert result is not None and result["data_set_fingerprint"] == data_set["fingerprint"]
    seconds = result["timing"]["train_seconds"]
    assert float(first["train_seconds"]) == seconds and float(first["top1"]) == result["top1"]
    assert float(first["cost_usd"]) == pytest.approx(seconds / 3600 * USD_PER_HOUR)
    own_runs = collect.collect_runs([trained / "runs"]).runs
    assert own_runs[0].curve[-1] == (pytest.approx(seconds, rel=0.1), result["top1"])


@pytest.mark.slow
def test_the_written_results_are_those_of_training(trained: Path) -> None:
    """Else the other tests here would test something else."""
    result = read_json(RunFolder(next((trained / "runs").glob("mild*"))).result)
    made = result_of("x")
    assert result is not None and list(result) == list(made)
    assert {key: list(result[key]) for key in ("timing", "hardware", "evaluation")} == {
        key: list(made[key]) for key in ("timing", "hardware", "evaluation")
    }


@pytest.mark.slow
def test_the_command_of_a_run_makes_the_same_run(trained: Path) -> None:
    run = collect.collect_runs([trained / "runs"]).runs[0]
    assert run.command is not None
    words = shlex.split(run.command)
    assert words[0] == "resnet_exp" and f"seed={run.seed}" in words
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=trained, capture_output=True, text=True, check=True, timeout=300
    )
    assert f"already done: {run.path}" in done.stdout


def test_a_run_remembers_the_commits_that_it_goes_on_from(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    now = git()
    ours = [now.commit] if now else []
    write_json(run.environment, {"commits": [OTHER_COMMIT], "dirty": True})
    environment.describe(run)
    facts = read_json(run.environment)
    assert facts is not None and facts["commits"] == ours  # there is nothing to go on from
    write_json(run.environment, {"commits": [OTHER_COMMIT], "dirty": True})
    run.checkpoints.mkdir()
    (run.checkpoints / "ep1-ba9-rank0.pt").touch()
    for _ in range(2):
        environment.describe(run)
        facts = read_json(run.environment)
        assert facts is not None and facts["commits"] == [OTHER_COMMIT, *ours] and facts["dirty"] is True


def test_neither_torch_nor_hydra_is_imported(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one")
    program = (
        "import sys; from resnet_exp import report; "
        f"code = report.main(['{tmp_path / 'runs'}', '-o', '{tmp_path / 'out'}']); "
        "print(code, [name for name in ('torch', 'hydra', 'omegaconf', 'wandb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("0 []", "")


def test_all_runs_are_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    write_run(runs, "done")
    for name in ("failed-1", "failed-2", "stopped", "running"):
        (runs / name).mkdir()
        (runs / name / "config.yaml").write_text("recipe: mild\n")
    for name in ("failed-1", "failed-2"):
        write_json(RunFolder(runs / name).failure, {"error": "RunFailed: loss is nan", "exit_code": 1})
    (runs / "notes").mkdir()
    listed = tuple(SweepRun(name) for name in ("done", "failed-1", "never"))
    sweep_manifest.write_manifest(runs, SweepManifest(sweep="demo", launcher="basic", runs=listed))
    holder = subprocess.Popen(
        [sys.executable, "-c", f"from resnet_exp.runs import folder; from pathlib import Path\n"
         f"folder.acquire(folder.RunFolder(Path('{runs / 'running'}'))); print('held', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert make(runs, "-o", tmp_path / "out", "--no-published") == 0
    finally:
        holder.communicate(b"\n", timeout=300)
    said = capsys.readouterr().out
    assert "6 runs: 1 done, 1 running, 2 failed, 1 stopped, 1 missing" in said
    assert "2 failed (RunFailed: loss is nan): failed-1, ..." in said and "notes" not in said
    listed = sections_of(tmp_path / "out")["Not in these tables"]
    for name in ("failed-1", "running", "stopped", "never"):
        assert name in listed
    assert [row["run_id"] for row in rows_of(tmp_path / "out")] == ["done"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"top1": float("nan")}, "top1=nan must be a number from 0 to 1"),
        ({"top1": 1.7}, "top1=1.7 must be a number from 0 to 1"),
        ({"top1": -0.1}, "top1=-0.1 must be"),
        ({"top1": True}, "top1=True must be"),
        ({"top1": None}, "top1=None must be"),
        ({"timing__train_seconds": float("inf")}, "timing.train_seconds=inf must be"),
        ({"timing__train_seconds": 0}, "timing.train_seconds=0 must be above 0"),
        ({"timing__train_seconds": -3.0}, "timing.train_seconds=-3.0 must be"),
        ({"timing": None}, "it has no timing"),
        ({"hardware__usd_per_node_hour": float("nan")}, "hardware.usd_per_node_hour=nan must be"),
        ({"hardware__nodes": 0}, "hardware.nodes=0 must be a whole number from 1"),
        ({"hardware__nodes": 10**400}, "must be a whole number from 1"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number"),
        ({"recipe": "\ud800"}, "must be a text"),
        ({"algorithms": "ema"}, "algorithms='ema' must be a list of texts"),
        ({"evaluation__eval_crop": None}, "evaluation.eval_crop=None must be"),
        ({"schema": 2}, "it is not a result of this version"),
    ],
    ids=str,
)
def test_what_cannot_be_is_no_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], why: str
) -> None:
    write_run(tmp_path / "runs", "good")
    write_run(tmp_path / "runs", "bad", **changes)
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "2 runs: 1 done, 1 unreadable" in said
    (line,) = [line for line in said.splitlines() if line.startswith("not shown: ")]
    assert "result.json: " in line and why in line and line.endswith(": bad")
    assert [row["run_id"] for row in rows_of(tmp_path / "out")] == ["good"]


@pytest.mark.parametrize("key", ["algorithms", "group", "sweep", "command", "commits", "dirty", "top1", "hardware"])
def test_a_result_without_a_key_is_named(tmp_path: Path, key: str) -> None:
    folder = write_run(tmp_path, "run")
    result = json.loads((folder / "result.json").read_text())
    del result[key]
    (folder / "result.json").write_text(json.dumps(result))
    found = collect.collect_runs([tmp_path])
    assert found.unreadable == [(folder, f"result.json: it has no {key}")] and not found.runs


def test_a_result_that_calls_its_speed_by_the_old_name_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "run", samples_per_second=123.0)
    result = json.loads((folder / "result.json").read_text())
    del result["images_per_second"]
    (folder / "result.json").write_text(json.dumps(result))
    found = collect.collect_runs([tmp_path])
    assert [run.images_per_second for run in found.runs] == [123.0] and not found.unreadable


@pytest.mark.parametrize("loss", [3.4e13, math.inf, math.nan])
def test_a_result_of_a_model_that_has_diverged_is_read(tmp_path: Path, loss: float) -> None:
    folder = write_run(tmp_path, "run")
    result = {**json.loads((folder / "result.json").read_text()), "eval_loss": loss}
    (folder / "result.json").write_text(json.dumps(result))
    found = read_result(RunFolder(folder))
    assert found is not None and str(found.eval_loss) == str(loss)


@pytest.mark.parametrize("content", ["", "{", "[]", "1", '{"schema": 1}', "\udcff"])
def test_a_damaged_result_is_named(tmp_path: Path, content: str) -> None:
    folder = write_run(tmp_path, "run")
    (folder / "result.json").write_bytes(content.encode(errors="surrogateescape"))
    found = collect.collect_runs([tmp_path])
    assert found.counts() == {"unreadable": 1} and "result.json: it " in found.unreadable[0][1]


@pytest.mark.timeout(60)
def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    for seed, name in enumerate(("result.json", "metrics.jsonl", "progress.json")):
        folder = write_run(tmp_path, f"no-{name}", seed=seed)
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    found = collect.collect_runs([tmp_path])
    assert found.counts() == {"done": 2, "unreadable": 1}
    ((folder, why),) = found.unreadable
    assert (folder.name, why) == ("no-result.json", "result.json: not a regular file")
    with pytest.raises(RequestError, match="not a regular file"):
        read_result(RunFolder(folder))


@pytest.mark.parametrize("content", ["", "{}\n", "nonsense\n", '{"train_seconds": NaN, "top1": 0.5}\n'])
def test_a_damaged_curve_costs_the_curve_only(tmp_path: Path, content: str) -> None:
    folder = write_run(tmp_path, "run")
    (folder / "metrics.jsonl").write_text(content)
    (run,) = collect.collect_runs([tmp_path]).runs
    assert run.curve == ()


def test_a_cut_off_evaluation_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "train_sec')
    (run,) = collect.collect_runs([folder]).runs
    assert run.curve == ((811.2, 0.383), (1622.4, 0.766))


def test_a_run_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "run")
    write_run(tmp_path / "others", "run", timing__train_seconds=1600.0)
    shutil.copytree(folder, tmp_path / "copies" / "backup")
    (tmp_path / "runs" / "link").symlink_to("run")
    (tmp_path / "runs" / "begun").mkdir()
    (tmp_path / "runs" / "begun" / "config.yaml").touch()
    folders = [tmp_path / "runs", folder, tmp_path / "runs", tmp_path / "copies", tmp_path / "others"]
    found = collect.collect_runs(folders)
    assert sorted(run.run_id for run in found.runs) in (["link", "run"], ["run", "run~2"])
    assert len({run.run_id for run in found.runs}) == 2 and [state.run_id for state in found.states] == ["begun"]


def test_marks_of_runs_that_need_a_second_look(tmp_path: Path) -> None:
    odd = {"resumed": 1, "commits": [OUR_COMMIT, OTHER_COMMIT], "dirty": True, "hardware__usd_per_node_hour": 3.0}
    for number, (key, value) in enumerate(odd.items()):
        write_run(tmp_path / "runs", f"{number}-1", group=key[:8], timing__train_seconds=100.0 + number)
        write_run(tmp_path / "runs", f"{number}-2", **{"group": key[:8], key: value})
    write_run(tmp_path / "runs", "plain", group="plain")
    write_run(tmp_path / "runs", "c1", group="two", timing__train_seconds=9.0)
    write_run(tmp_path / "runs", "c2", group="two", commits=[OTHER_COMMIT], timing__train_seconds=8.0)
    assert make(tmp_path / "runs", "-o", tmp_path / "out", "--no-published") == 0
    table = sections_of(tmp_path / "out")["imagenet, evaluated at 224 px"]
    marks = {cells[-1]: cells[-2] for cells in cells_of(table)}
    assert marks["resumed"] == "1 of 2 resumed" and marks["commits"] == "1 of 2 of mixed commits"
    assert marks["dirty"] == "1 of 2 with uncommitted changes" and marks["hardware"] == "2 prices"
    assert marks["plain"] == "" and marks["two"] == "seeds of 2 commits"


def test_protocols_and_datasets_have_tables_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "a")
    write_run(tmp_path / "runs", "b", evaluation__eval_crop=256, top1=0.79, timing__train_seconds=1.0)
    write_run(tmp_path / "runs", "c", dataset="digits", evaluation__eval_crop=24, timing__train_seconds=2.0)
    assert make(tmp_path / "runs", "-o", tmp_path / "out", "--no-published", "--target", "0.76") == 0
    sections = sections_of(tmp_path / "out")
    titles = [title for title in sections if "evaluated" in title]
    assert titles == ["imagenet, evaluated at 224 px", "imagenet, evaluated at 256 px", "digits, evaluated at 24 px"]
    for title in titles:
        assert sections[title].count("| t\\$ |") == 1  # each is the best of its kind
    assert (
        "Cheapest to 76.0%: recipe=mild ssr=0.36 on p4d.24xlarge (A100 40GB), 76.60 % in \\$9.90."
        in sections[titles[0]]
    )


def test_speed_up_and_saving_against_the_baseline(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number, (top1, seconds) in enumerate(((0.75, 1000.0), (0.77, 3000.0))):
        write_run(
            runs, f"base-{number}", recipe="baseline", group=f"b{number}", top1=top1, timing__train_seconds=seconds
        )
    write_run(runs, "same", group="same", top1=0.76, timing__train_seconds=500.0)
    write_run(runs, "above", group="above", top1=0.78, timing__train_seconds=1500.0)
    write_run(runs, "elsewhere", group="elsewhere", top1=0.76, hardware__name="p5.48xlarge")
    assert make(runs, "-o", tmp_path / "out", "--no-published") == 0
    table = sections_of(tmp_path / "out")["imagenet, evaluated at 224 px"]
    cells = {cells[-1]: cells[10:12] for cells in cells_of(table)}
    assert cells["same"] == ["4.00×", "75%"] and cells["above"] == ["≥ 2.00×", "≥ 50%"]
    assert cells["b0"] == ["1.00×", "0%"] and cells["elsewhere"] == ["–", "–"]


def test_compiled_and_finetuned_runs_are_series_of_their_own(tmp_path: Path) -> None:
    others = (("c", 0.36, {"speed": "fast"}), ("d", 0.36, {"init_from": "first"}))
    for group, ssr, changes in (("a", 0.2, {}), ("b", 0.36, {}), *others):
        write_run(tmp_path / "runs", group, group=group, ssr=ssr, top1=0.5 + ssr / 2, **changes)
    assert make(tmp_path / "runs", "-o", tmp_path / "out", "--no-published") == 0
    table = sections_of(tmp_path / "out")["imagenet, evaluated at 224 px"]
    recipes = {cells[-1]: cells[1] for cells in cells_of(table)}
    assert [recipes[group] for group in "abcd"] == ["mild", "mild", "mild speed=fast", "mild init\\_from=first"]
    groups = {group.key: group for group in groups_of(tmp_path / "runs")}
    lengths = frontier.all_lengths_of(list(groups.values()), groups["a"].runs[0])
    assert [group.key for group in lengths] == ["a", "b"], "nothing is interpolated between them"


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one", sweep=None, hardware__cloud=None, hardware__usd_per_node_hour=None)
    mixed = {"commits": [OUR_COMMIT, OTHER_COMMIT], "dirty": True, "command": None}
    write_run(tmp_path / "runs", "two", timing__train_seconds=1600.5, **mixed)
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    table = pyarrow.parquet.read_table(tmp_path / "out" / "runs.parquet")
    with (tmp_path / "out" / "runs.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == table.column_names == list(table_files.COLUMNS)
    assert len(rows) == 1 + 2 + len(published_runs.published())
    for row, values in zip(rows[1:], table.to_pylist(), strict=True):
        for text, value in zip(row, values.values(), strict=True):
            assert text == ("" if value is None else str(value).lower() if isinstance(value, bool) else str(value))


HOSTILE = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>", "a|b`c`$x^$", "_hidden", "𝒳 \u202e"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_data(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = text.replace("/", "")
    write_run(tmp_path / "runs", name, recipe=text, dataset=text, sweep=text, hardware__name=text)
    (tmp_path / "runs" / f"{name}\nX").mkdir()
    (tmp_path / "runs" / f"{name}\nX" / "config.yaml").touch()
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    assert r"\nX" in capsys.readouterr().out  # the line is not broken
    (row,) = rows_of(tmp_path / "out")
    assert row["recipe"] == (f"'{text}" if text[0] in "=+-@" else text)
    (value,) = pyarrow.parquet.read_table(tmp_path / "out" / "runs.parquet").to_pylist()[:1]
    assert value["recipe"] == text and value["run_id"] == printable(name)
    lines = (tmp_path / "out" / "frontier.md").read_text().splitlines()
    assert not any("<script>" in line for line in lines)
    head, _, row_of_run = [line for line in lines if line.startswith("|")][:3]
    assert row_of_run.replace(r"\|", "").count("|") == head.count("|")
    for name in ("frontier.svg", "curves.svg"):
        ElementTree.parse(tmp_path / "out" / name)


def test_no_finished_runs_leave_the_published_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    assert make(tmp_path / "runs", "-o", tmp_path / "out", "--published") == 0
    assert "note: no finished runs: this shows only published ones" in capsys.readouterr().out
    published = sections_of(tmp_path / "out")["Published runs"]
    assert "mosaicml-mild-2022" in published and "27.0 min" in published and "\\$14.77" in published
    assert set(FILES) <= set(path.name for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "-o", "out"], "nowhere is not a folder; give run folders, or the runs_dir of a sweep"),
        (["file", "-o", "out"], "file is not a folder; give run folders"),
        (["runs", "-o", "file"], "-o file is a file; give a folder"),
        (["runs", "-o", "file/out"], "-o file/out cannot be written (Not a directory); give another folder"),
        (["runs", "-o", "/proc/out"], "-o /proc/out cannot be written ("),
        (["runs", "-o", "taken"], "-o taken cannot be written (Is a directory); give another folder"),
        (["empty", "-o", "out"], "0 runs: nothing to report; --published shows published runs of ImageNet"),
        (["empty", "-o", "out", "--no-published"], "0 runs: nothing to report; --published shows"),
        (["runs", "-o", "out", "--target", "76.6"], "--target 76.6 is not a fraction; use --target 0.766 for 76.6 %"),
        (["runs", "-o", "out", "--target", "76.6%"], "--target 76.6% is not a fraction; use --target 0.766 for 76.6 %"),
        (["runs", "-o", "out", "--target", "nan"], "--target nan is not a fraction"),
        (
            [".", "-o", "out", "--no-published"],
            "0 runs: nothing to report; . has no runs itself, give the folders below it that have: runs",
        ),
        (["runs", "-o", "out", "--wandb", "project"], "--wandb project: use --wandb ENTITY/PROJECT"),
        (["copied", "-o", "out"], "copied has only W&B's files, the results are in the run folder; give that, or "),
        (["copied/run-1", "-o", "out"], "copied/run-1 has only W&B's files, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs", "run")
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "curves.svg" / "x").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    write_wandb_files(tmp_path / "copied")
    assert make(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and said in captured.err
    assert not list(tmp_path.glob("*/.report.*"))


def test_a_report_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one")
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    again = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(first) >= set(FILES) and all(first[name] == again[name] for name in FILES if name != "explorer.html")
    write_run(tmp_path / "runs", "two", timing__train_seconds=1.0)
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    assert len(rows_of(tmp_path / "out")) == 2 and len(list((tmp_path / "out").iterdir())) == len(first)


def groups_of(folder: Path, published: bool = False) -> list[frontier.Group]:
    others = published_runs.published() if published else []
    return frontier.aggregate([*collect.collect_runs([folder]).runs, *others])


def test_the_picture_shows_means_errors_and_fronts(tmp_path: Path) -> None:
    for seed, top1 in enumerate((0.76, 0.77)):
        write_run(tmp_path, f"pair-{seed}", group="pair", seed=seed, top1=top1, timing__train_seconds=600.0 + seed)
    write_run(tmp_path, "single", group="single", recipe="hot", top1=0.78, timing__train_seconds=1200.0)
    write_run(tmp_path, "other", group="other", evaluation__eval_crop=256, top1=0.8, timing__train_seconds=900.0)
    figure = figures.draw_frontier(groups_of(tmp_path))
    times, costs = figure.axes
    assert times.get_xlabel() == "training time (min)" and costs.get_xlabel() == "cost of training ($)"
    marks = {
        (str(line.get_color()), str(line.get_marker())): line for line in times.lines if line.get_marker() in ("o", "s")
    }
    pair, single = marks[figures.COLORS["mild"], "o"], marks[figures.COLORS["hot"], "o"]
    assert list(map(float, pair.get_xdata())) == [pytest.approx(600.5 / 60)]  # pyright: ignore[reportArgumentType]
    assert list(map(float, pair.get_ydata())) == [pytest.approx(76.5)]  # pyright: ignore[reportArgumentType]
    assert pair.get_markerfacecolor() != "white" and single.get_markerfacecolor() == "white"
    assert marks[figures.COLORS["mild"], "s"].get_markerfacecolor() == "white"
    fronts = [line for line in times.lines if line.get_linestyle() == "-" and line.get_color() == figures.LINE]
    ends = sorted((float(line.get_ydata()[0]), float(line.get_ydata()[-1])) for line in fronts)  # pyright: ignore
    assert ends == [pytest.approx((76.5, 78)), pytest.approx((80, 80))]  # the other protocol is never joined
    words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert words == [
        "mild",
        "hot",
        "Pareto front of own runs",
        "one seed",
        "evaluated at 224 px",
        "evaluated at 256 px",
    ]


def test_the_picture_without_prices_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "run", hardware__usd_per_node_hour=None)
    figure = figures.draw_frontier(groups_of(tmp_path))
    (panel,) = figure.axes
    assert panel.get_title("right") == "no costs: no run recorded a price"


def test_a_wide_span_has_a_logarithmic_axis(tmp_path: Path) -> None:
    write_run(tmp_path, "fast", group="a", timing__train_seconds=10.0)
    write_run(tmp_path, "middle", group="b", timing__train_seconds=99.0)
    assert figures.draw_frontier(groups_of(tmp_path)).axes[0].get_xscale() == "linear"
    write_run(tmp_path, "slow", group="c", timing__train_seconds=101.0)
    assert figures.draw_frontier(groups_of(tmp_path)).axes[0].get_xscale() == "log"


def test_names_in_the_picture_do_not_cover_anything(tmp_path: Path) -> None:
    write_run(tmp_path, "run", group="a", top1=0.762)
    figure = figures.draw_frontier(groups_of(tmp_path, published=True))
    figure.draw_without_rendering()
    for panel in figure.axes:
        boxes = [text.get_window_extent() for text in panel.texts]
        assert boxes
        marks = [
            panel.transData.transform(line.get_xydata()) for line in panel.lines if line.get_marker() in ("o", "s")
        ]
        for number, box in enumerate(boxes):
            assert not box.count_overlaps(boxes[:number])
            assert not any(box.contains(x, y) for points in marks for x, y in points)


def test_many_marks_are_pixels_and_many_recipes_share_a_color(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{n}", group=f"{n}", recipe=f"r{n % 9}", seed=n) for n in range(600)]
    figure = figures.draw_frontier(groups_of(tmp_path))
    assert all(line.get_rasterized() for line in figure.axes[0].lines if line.get_marker() == "o")
    assert figures.OTHER in [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    curves = figures.draw_curves(collect.collect_runs([tmp_path]).runs)
    assert curves.get_suptitle() == f"{figures.MAX_CURVES} of {len(runs)} runs, some of each configuration"


def test_curves_without_evaluations(tmp_path: Path) -> None:
    (write_run(tmp_path, "run") / "metrics.jsonl").unlink()
    assert figures.draw_curves(collect.collect_runs([tmp_path]).runs).get_suptitle() == "no run has evaluations to show"


def legend_of(figure: Any) -> Any:
    """The only legend of a figure that is laid out; it must lie within."""
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    return [text.get_text() for text in legend.get_texts()]


def test_legends_are_never_cut(tmp_path: Path) -> None:
    """Long names, many recipes, and more ways to evaluate than there are marks."""
    for n in range(40):
        name = f"{n:02d}-recipe-{'of-many-words-' * 4}"
        write_run(tmp_path, f"r{n}", group=f"{n}", recipe=name, evaluation__eval_crop=100 + n % 12, seed=n)
    runs = collect.collect_runs([tmp_path]).runs
    names = legend_of(figures.draw_frontier(groups_of(tmp_path, published=True)))
    assert names.count(figures.OTHER) == 1 and names.count(figures.OTHER_PROTOCOLS) == 1 and len(names) < 18
    assert all(len(name) < 60 for name in names)
    legend_of(figures.draw_curves(runs))
    few = figures.draw_frontier(groups_of(tmp_path)[:1])
    height = few.get_figheight()
    assert figures.draw_frontier(groups_of(tmp_path)).get_figheight() > height, "room for its lines"
    drawn = [collect_curve(RunFolder(tmp_path / f"r{n}")) for n in range(40)]
    drawn = [replace(curve, name=f"_$x{curve.name * 90}", dataset=f"d{n % 2}" * 60) for n, curve in enumerate(drawn)]
    names = legend_of(draw_curves(drawn))
    assert len(names) == 12 and names[-1] == "29 other runs" and all(r"\$x" in name for name in names[:-1])


def test_published_runs_of_imagenet_are_shown_beside_imagenet_or_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "digits", "one", dataset="digits")
    write_run(tmp_path / "both", "one", dataset="digits")
    write_run(tmp_path / "both", "two", timing__train_seconds=9.0)
    known = len(published_runs.published())
    for words, count in (
        (["digits"], 0), (["digits", "--published"], known), (["digits", "--no-published"], 0), (["both"], known),
        (["both", "--no-published"], 0), ([], known),
    ):  # fmt: skip
        folders = [tmp_path / word if not word.startswith("-") else word for word in words]
        assert make(*folders, "-o", tmp_path / "out") == 0
        assert f"; {count} published\n" in capsys.readouterr().out, words


def test_plot_says_when_it_mixes_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = {
        "a": "{name: digits}",
        "b": "{name: digits}",
        "c": "{name: own, dir: /data/c}",
        "d": "{name: own, dir: /d}",
    }
    for name, dataset in {**configs, "e": "[]"}.items():
        (write_run(tmp_path, name) / "config.yaml").write_text(f"dataset: {dataset}\n")
    said = {}
    for names in ("ab", "ac", "cd", "ae"):
        assert plot.main([*(str(tmp_path / name) for name in names), "-o", str(tmp_path / "curves.svg")]) == 0
        said[names] = capsys.readouterr().out.splitlines()[1:]
    note = "note: runs of 2 datasets, whose top-1 do not compare: "
    assert said == {
        "ab": [],
        "ac": [f"{note}digits, own in /data/c"],
        "cd": [f"{note}own in /data/c, own in /d"],
        "ae": [],
    }


def test_an_error_is_never_shown_as_0(tmp_path: Path) -> None:
    for seed, (top1, seconds) in enumerate(((0.766, 828.0), (0.76601, 828.24))):
        write_run(tmp_path / "runs", f"{seed}", seed=seed, top1=top1, timing__train_seconds=seconds)
    assert make(tmp_path / "runs", "-o", tmp_path / "out", "--no-published", "--target", "0.766005") == 0
    (section,) = [text for title, text in sections_of(tmp_path / "out").items() if "evaluated" in title]
    assert "| 76.6005 ± 0.0005 | 13.802 ± 0.002 min | \\$5.051 ± \\$0.001 |" in section
    assert "76.6005 ± 0.0005 % in 13.8 min on average; 1 of 2 seeds reached it." in section


def test_why_there_is_no_interval(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for length, seconds in enumerate((800.0, 900.0)):
        for seed, top1 in enumerate((0.70, 0.712, 0.701, 0.711)):
            write_run(runs, f"{length}-{seed}", group=f"{length}", seed=seed, top1=top1 - 0.05 * (1 - length),
                      timing__train_seconds=seconds)  # fmt: skip
    assert make(runs, "-o", tmp_path / "out", "--target", "0.7059") == 0
    assert (
        "(no interval: too many draws of the seeds do not reach it, or reach more)"
        in (tmp_path / "out" / "frontier.md").read_text()
    )
    for folder in runs.glob("*-[123]"):
        shutil.rmtree(folder)
    assert make(runs, "-o", tmp_path / "out", "--target", "0.68") == 0
    assert "(no interval: each length has one seed)" in (tmp_path / "out" / "frontier.md").read_text()


def test_ten_thousand_reasons_are_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(200):
        (tmp_path / "runs" / f"{number}").mkdir(parents=True)
        write_json(RunFolder(tmp_path / "runs" / f"{number}").failure, {"error": f"RunFailed: {number % 100}"})
        (tmp_path / "runs" / f"{number}" / "config.yaml").touch()
    assert make(tmp_path / "runs", "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 12 and "not shown: 188 more for other reasons" in lines
