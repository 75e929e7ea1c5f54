"""Folders and files that nobody can use: named, counted and left out by all who read runs; the others are shown."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_exp import plan, plot, report, status
from resnet_exp.launch.config_file import stored_config
from resnet_exp.runs.folder import RunFolder
from support.run_folders import write_run
from support.warm import WarmPython

DEEP = "[" * 200_000
NESTED = "it is nested too deeply"


def deep(name: str) -> Callable[[Path], None]:
    """Make a run whose file `name` is nested more deeply than any parser goes."""

    def spoil(runs: Path) -> None:
        run = RunFolder(runs / "bad")
        if name == "metrics.jsonl":
            write_run(runs, "bad", seed=18)
        else:
            run.path.mkdir()
            run.config.write_text("recipe: mild\n")
        (run.path / name).write_text(DEEP + "\n")

    return spoil


def _sweep_file(name: str, content: str) -> Callable[[Path], None]:
    def spoil(runs: Path) -> None:
        (runs / ".sweeps").mkdir()
        (runs / ".sweeps" / name).write_text(content)

    return spoil


def _loop(path: str) -> Callable[[Path], None]:
    def spoil(runs: Path) -> None:
        (runs / path).parent.mkdir(exist_ok=True)
        (runs / path).symlink_to(runs / path)

    return spoil


# What status and report say of it, None where nothing is lost.
BAD: dict[str, tuple[Callable[[Path], None], str | None, str | None]] = {
    "a link to itself": (
        _loop("bad"),
        "bad  unreadable  TMP/runs/bad cannot be read (Too many levels of symbolic links); give the right to, or "
        "remove it",
        "1 unreadable (cannot be read (Too many levels of symbolic links); give the right to, or remove it): bad",
    ),
    "a configuration that is a link to itself": (
        _loop("bad/config.yaml"),
        "bad  unreadable  TMP/runs/bad cannot be read (Too many levels of symbolic links); give the right to, or "
        "remove it",
        "1 unreadable (cannot be read (Too many levels of symbolic links); give the right to, or remove it): bad",
    ),
    "a manifest that is not JSON": (
        _sweep_file("demo.json", "{"),
        ".sweeps/demo.json  unreadable  TMP/runs/.sweeps/demo.json is damaged (Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1)); remove it to run again",
        "1 unreadable (TMP/runs/.sweeps/demo.json is damaged (Expecting property name enclosed in double quotes: line "
        "1 column 2 (char 1)); remove it to run again): demo.json",
    ),
    "a manifest that is nested": (
        _sweep_file("demo.json", DEEP),
        f".sweeps/demo.json  unreadable  TMP/runs/.sweeps/demo.json is damaged ({NESTED}); remove it to run again",
        f"1 unreadable (TMP/runs/.sweeps/demo.json is damaged ({NESTED}); remove it to run again): demo.json",
    ),
    "a manifest that is a link to itself": (
        _loop(".sweeps/demo.json"),
        ".sweeps/demo.json  unreadable  TMP/runs/.sweeps/demo.json cannot be read (Too many levels of symbolic "
        "links); remove it to run again",
        "1 unreadable (TMP/runs/.sweeps/demo.json cannot be read (Too many levels of symbolic links); remove it to "
        "run again): demo.json",
    ),
    "a submission that is nested": (
        _sweep_file(".submission", DEEP),
        f".sweeps/.submission  unreadable  TMP/runs/.sweeps/.submission is damaged ({NESTED}); remove it to run again",
        None,
    ),
    "a nested result": (
        deep("result.json"),
        f"bad  failed  TMP/runs/bad/result.json is damaged ({NESTED}); remove it to run again",
        f"1 unreadable (result.json: it is damaged ({NESTED})): bad",
    ),
    "a nested failure": (
        deep("failure.json"),
        f"bad  failed  TMP/runs/bad/failure.json is damaged ({NESTED}); remove it to run again",
        f"1 failed (TMP/runs/bad/failure.json is damaged ({NESTED}); remove it to run again): bad",
    ),
    "nested progress": (
        deep("progress.json"),
        "bad  stopped  rerun the same command to continue",
        "1 stopped (rerun the same command to continue): bad",
    ),
    "nested evaluations": (deep("metrics.jsonl"), None, None),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_folder_does_not_hide_the_others(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil, in_status, in_report = BAD[name]
    write_run(tmp_path / "runs", "good")
    spoil(tmp_path / "runs")

    def lines() -> list[str]:
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.replace(str(tmp_path), "TMP").splitlines()

    code = status.main(["runs"])
    shown = lines()
    assert any(line.startswith("good  done") for line in shown)
    assert in_status is None or in_status in shown
    kind = in_status.split("  ")[1] if in_status else "done"
    assert f" {kind}" in shown[-1] and code == int(kind in ("failed", "unreadable"))

    assert report.main(["runs", "-o", "report", "--no-published"]) == 0
    shown = lines()
    assert in_report is None or f"not shown: {in_report}" in shown
    assert any(line.startswith("good,") for line in (tmp_path / "report" / "runs.csv").read_text().splitlines())

    assert plan.main(["target_top1=0.7", "dataset=imagenet", "dataset.dir=none", "runs_dir=runs"]) == 0
    shown = lines()
    assert any("unreadable run left out" in line for line in shown) == ("unreadable" in (in_report or ""))
    assert plan.main(["dataset=digits", "hardware=cpu", "runs_dir=runs"]) == 0
    shown = " ".join(" ".join(lines()).split())
    assert ("note left out: TMP/runs/" in shown) == ("unreadable" in (in_report or ""))


def _without_rights() -> None:
    """Root may read everything until it gives up the right to (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


ALL_OF_THEM = """
import sys
from resnet_exp import plan, report, status
codes = [
    status.main(["runs"]),
    report.main(["runs", "-o", "report", "--no-published"]),
    report.main(["runs/good", "runs/secret", "-o", "report", "--no-published"]),
    plan.main(["target_top1=0.7", "runs_dir=runs"]),
    status.main(["runs/secret"]),
]
print(codes)
"""


def test_a_folder_without_permission_does_not_hide_the_others(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "good")
    secret = write_run(tmp_path / "runs", "secret", seed=18)
    secret.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ALL_OF_THEM],
            cwd=tmp_path,
            preexec_fn=_without_rights,
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        secret.chmod(0o755)
    if "2 runs: 2 done" in done.stdout:
        pytest.skip("nothing is kept from this user")
    lines = done.stdout.splitlines()
    why = "cannot be read (Permission denied); give the right to, or remove it"
    assert lines[-1] == "[1, 0, 0, 0, 2]", done.stderr
    assert f"secret  unreadable  {secret} {why}" in lines
    assert lines.count(f"not shown: 1 unreadable ({why}): secret") == 2
    assert done.stderr == f"{secret} cannot be read (Permission denied); give a folder of runs that can\n"


def test_a_sweep_goes_on_without_its_bad_runs(tmp_path: Path, warm_python: WarmPython) -> None:
    runs = tmp_path / "runs"
    write_run(runs, "good")
    _loop("loop")(runs)
    _sweep_file("other.json", "{")(runs)
    words = ["-m", "dataset=digits", "hardware=cpu", "sweep=demo"]
    done = warm_python.run(["resnet_exp", *words, "run_id=good,loop"], tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"note: left out: {runs}/.sweeps/other.json is damaged (" in done.stdout
    assert "note: 1 of 2 runs are already done and are skipped" in done.stdout
    assert f"note: left alone: loop  unreadable  {runs}/loop" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 runs: 1 done, 1 unreadable"
    assert [run["run_id"] for run in json.loads((runs / ".sweeps" / "demo.json").read_text())["runs"]] == [
        *("good", "loop"),
    ]
    deep("result.json")(runs)
    done = warm_python.run(["resnet_exp", *words, "run_id=good,bad"], tmp_path)
    refusal = f"{runs}/bad/result.json is damaged ({NESTED}); remove it to run again\n"
    assert (done.returncode, done.stderr) == (2, refusal)
    planned = warm_python.run(["resnet_exp.plan", *words, "run_id=good,loop"], tmp_path)
    assert planned.returncode == 0
    assert "1 done, 1 unreadable" in planned.stdout
    assert f"left out: {runs}/.sweeps/other.json is damaged" in " ".join(planned.stdout.split())


def test_a_nested_configuration_ends_no_process(tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path, "bad"))
    for text in (f"a: {DEEP}", "- " * 200_000, f"a: {'{b: ' * 200_000}"):
        run.config.write_text(text)
        with pytest.raises(ValueError, match=NESTED):
            stored_config(run)


def test_bad_evaluations_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path, "bad")
    for text, why in ((DEEP + "\n", NESTED), ("{}\n", "some rows are not evaluations")):
        (folder / "metrics.jsonl").write_text(text)
        assert plot.main([str(folder), "-o", str(tmp_path / "curves.svg")]) == 2
        line = f"{folder}/metrics.jsonl cannot be drawn ({why}); leave this run out\n"
        assert capsys.readouterr().err == line
    shutil.rmtree(folder)
    assert plot.main([str(folder), "-o", str(tmp_path / "curves.svg")]) == 2
    assert "has no evaluations yet" in capsys.readouterr().err
