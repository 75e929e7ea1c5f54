"""The tables of files in docs/concepts.md have everything that a run writes, whatever its loggers are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resnet_exp.runs.folder import RunFolder
from support.commands import TINY, RunCli
from support.paths import ROOT

LOGGERS = [path.stem for path in sorted((ROOT / "conf" / "loggers").glob("*.yaml"))]


def listed() -> list[set[str]]:
    """The files of each table: of a run folder, and of the folder of runs."""
    text = (ROOT / "docs" / "concepts.md").read_text()
    tables = re.findall(r"^\| file \| content \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [" ".join(row.split("|")[1] for row in table.splitlines()) for table in tables]
    return [set(re.findall(r"`([^`]+)`", each)) for each in cells]


def names(folder: Path) -> set[str]:
    return {f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir()}


def test_every_path_of_a_run_is_listed() -> None:
    run = RunFolder(Path("run"))
    kinds = [name for name, kind in vars(RunFolder).items() if isinstance(kind, property)]
    paths = {getattr(run, name) for name in kinds} - {run.latest_checkpoint}
    assert {path.name for path in paths} <= {name.rstrip("/") for name in listed()[0]}
    assert {run.rank_log(0).name, run.node_report(0).name} <= listed()[0]


@pytest.mark.soak
def test_every_file_of_a_real_run_is_listed(train_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    of_run, of_runs = listed()
    words = ("dataset=digits", "data=imagefolder", *TINY, "train_batch_size=64", "eval_batch_size=64", "run_id=all")
    loggers = f"loggers=[{','.join(LOGGERS)}]"
    done = train_cli("-m", "recipe=mild", *words, loggers, "trace=true")
    assert done.returncode == 0, done.stdout + done.stderr
    found = names(tmp_path / "runs" / "all")
    assert found <= of_run and {"train.csv", "eval.jsonl", "trace.jsonl", "wandb/", "weights.pt"} <= found
    assert "checkpoints/" not in found
    assert names(tmp_path / "runs") - {"all/"} <= of_runs and {"mlflow.db", "tensorboard/"} <= names(tmp_path / "runs")
