"""The import contracts of pyproject.toml notice what breaks them; that nothing does is part of `make lint`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MOST_LOOSE_TYPES = 40
ROOT = Path(__file__).resolve().parents[1]
# An import for a module of ours, and a part of the name of the contract that it breaks.
OFFENSES = {
    "core.text": ("resnet_exp.runs.states", "Imports point downward"),
    "runs.folder": ("resnet_exp.data.images.image_tree", "Imports point downward"),
    "data.kernels.rng": ("resnet_exp.data.imagefolder", "Inside data"),
    "launch.summary": ("resnet_exp.data.contract", "No torch"),
    "results.prices": ("omegaconf", "No Hydra"),
    "reporting.figures": ("wandb", "Weights & Biases only"),
    "data.streaming.mds": ("fsspec", "Object stores only"),
    "runs.states": ("submitit", "submitit only"),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the package that has all of the offenses, and a package of no layer."""
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "resnet_exp", folder / "resnet_exp", ignore=shutil.ignore_patterns("__pycache__"))
    for module, (imported, _) in OFFENSES.items():
        with folder.joinpath("resnet_exp", *module.split(".")).with_suffix(".py").open("a") as file:
            file.write(f"\nimport {imported}\n")
    (folder / "resnet_exp" / "newcomer.py").write_text("")
    program = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environ = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "300"}
    done = subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", OFFENSES)
def test_a_contract_that_is_broken_fails(report: str, module: str) -> None:
    imported, contract = OFFENSES[module]
    assert any(contract in line and " BROKEN" in line for line in report.splitlines())
    assert f"resnet_exp.{module} -> {imported} (l." in report


def test_two_packages_that_import_each_other_fail(report: str) -> None:
    assert "No two files import each other, directly or around a corner BROKEN" in report
    assert "- .core -> .runs (1 import)" in report


def test_a_module_that_is_in_no_layer_fails(report: str) -> None:
    assert "newcomer" in report


def test_values_without_a_type_stay_at_the_borders() -> None:
    texts = (path.read_text() for path in (ROOT / "resnet_exp").rglob("*.py"))
    count = sum(len(re.findall(r"([dD]ict|Mapping)\[str, Any\]", text)) for text in texts)
    assert 0 < count <= MOST_LOOSE_TYPES
