"""Runs that must have come to the same, wherever they were carried out."""

from __future__ import annotations

from pathlib import Path

import torch

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.runs.folder import RunFolder


def only_run(runs: Path) -> RunFolder:
    """The run of a folder that has one."""
    (run,) = (path for path in runs.iterdir() if not path.name.startswith("."))
    return RunFolder(run)


def assert_same(one: RunFolder, other: RunFolder) -> None:
    """The same numbers and weights, to the last bit."""
    results = [read_json(run.result) for run in (one, other)]
    kept = ("run_id", "epochs", "batches", "top1", "top5", "eval_loss")
    assert len({tuple(result[key] for key in kept) for result in results if result}) == 1
    assert list(read_lines(one.trace)) == list(read_lines(other.trace))
    expected, actual = (torch.load(run.weights) for run in (one, other))
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
