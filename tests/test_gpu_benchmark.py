"""``benchmarks/gpu.sh``: what a rehearsal without a GPU cannot run, and that it refuses in one line."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def gpu() -> Iterator[object]:
    """The package of the parts, whose modules lie beside the other benchmarks."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("gpu")
    finally:
        sys.path.remove(str(BENCHMARKS))


def names_of_torch(source: str) -> set[str]:
    """Every dotted name that begins with ``torch.``, up to what is called."""
    nodes = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return {name for name in nodes if name.startswith("torch.") and "(" not in name}


@pytest.mark.parametrize("name", sorted(path.name for path in (BENCHMARKS / "gpu").glob("*.py")))
def test_what_is_called_of_torch_exists(name: str) -> None:
    """The calls of CUDA are in one class, which only a GPU can run: none of them is misspelled."""
    for dotted in names_of_torch((BENCHMARKS / "gpu" / name).read_text()):
        found: object = torch
        for part in dotted.split(".")[1:]:
            # Tensors are no module: what follows them is not looked up.
            if not isinstance(found, (ModuleType, type)):
                break
            assert hasattr(found, part), dotted
            found = getattr(found, part)


def test_the_cpu_has_all_that_cuda_has(gpu: object) -> None:
    device = importlib.import_module("gpu.device")
    mine, base = vars(device.CudaDevice), vars(device.Device)
    assert {name for name in mine if not name.startswith("__")} - {"_first"} <= set(base)


def test_every_part_exists(gpu: object) -> None:
    main = importlib.import_module("gpu.__main__")
    for _, name, place, seconds in main.PARTS:
        module, function = place.split(":")
        assert callable(getattr(importlib.import_module(f"gpu.{module}"), function)) and seconds > 0, name


def test_spans_of_time(gpu: object) -> None:
    device = importlib.import_module("gpu.device")
    assert device.merge([(3, 4), (0, 1), (0.5, 2)]) == [(0, 2), (3, 4)]
    assert device._common([(0, 2), (3, 4)], [(1, 3.5)]) == 1.5


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    own = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    line = ["bash", str(BENCHMARKS / "gpu.sh"), "-o", str(tmp_path / "out")]
    done = subprocess.run(line, capture_output=True, text=True, env=own, timeout=120, check=False)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr == f"gpu.sh: {sys.executable} sees no GPU; --rehearse runs every part on the CPU\n"


def test_a_part_that_fails_costs_only_itself(gpu: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = importlib.import_module("gpu.__main__")
    parts = ((0, "missing", "device:nothing", 60), (0, "machine", "__main__:machine", 60))
    # The parts run in processes of their own, which read the real list: `missing` is not in it.
    monkeypatch.setattr(main, "PARTS", parts)
    monkeypatch.setenv("PYTHONPATH", f"{BENCHMARKS.parent}{os.pathsep}{BENCHMARKS}")
    said: list[str] = []
    monkeypatch.setattr(main, "say", said.append)
    assert main.run_all(tmp_path, rehearse=True, only=None) == 1
    assert any("missing" in line and "failed: ValueError" in line for line in said)
    assert any("machine" in line and "done" in line for line in said)
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 1
