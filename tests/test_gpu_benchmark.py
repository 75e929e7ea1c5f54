"""``benchmarks/gpu.sh``: what a rehearsal without a GPU cannot run, what it refuses, what it shows; and a rehearsal."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPT = BENCHMARKS / "gpu.sh"


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    """The program of the parts, whose modules lie beside the other benchmarks."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("gpu.__main__")
    finally:
        sys.path.remove(str(BENCHMARKS))


def names_of_torch(source: str) -> set[str]:
    """Every dotted name that begins with ``torch.``, up to what is called."""
    nodes = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return {name for name in nodes if name.startswith("torch.") and "(" not in name}


def test_what_is_called_of_torch_exists() -> None:
    """The calls of CUDA are in one class, which only a GPU can run: none of them is misspelled."""
    for path in (BENCHMARKS / "gpu").glob("*.py"):
        for dotted in names_of_torch(path.read_text()):
            found: object = torch
            for part in dotted.split(".")[1:]:
                # Tensors are not a module: what follows them is not looked up.
                if not isinstance(found, (ModuleType, type)):
                    break
                assert hasattr(found, part), f"{path.name}: {dotted}"
                found = getattr(found, part)


def test_the_cpu_has_all_that_cuda_has(gpu: Any) -> None:
    device = importlib.import_module("gpu.device")
    mine, base = vars(device.CudaDevice), vars(device.Device)
    assert {name for name in mine if not name.startswith("__")} <= set(base)


def test_every_part_exists(gpu: Any) -> None:
    for part in gpu.PARTS:
        module, function = part.place.split(":")
        tree = ast.parse((BENCHMARKS / "gpu" / f"{module}.py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, part
    docs = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    names = [part.name for part in gpu.PARTS]
    assert len(set(names)) == len(names) and not [name for name in names if name not in docs]


def test_the_whole_is_expected_to_take_less_than_its_limit(gpu: Any) -> None:
    parts = importlib.import_module("gpu.parts")
    assert all(part.estimate < part.limit for part in parts.PARTS)
    assert parts.estimate() < 0.95 * gpu.LIMIT <= 0.95 * 480
    grouped = [[part.name for part in group] for group in parts.groups(parts.PARTS, rehearse=False)]
    assert grouped[0] == ["machine"] and ["throughput"] in grouped, "nothing runs beside what is timed"
    assert [name for group in grouped for name in group] == [part.name for part in parts.PARTS]


def test_spans_of_time(gpu: Any) -> None:
    device = importlib.import_module("gpu.device")
    assert device.merge([(3, 4), (0, 1), (0.5, 2)]) == [(0, 2), (3, 4)]
    assert device._common([(0, 2), (3, 4)], [(1, 3.5)]) == 1.5


def script(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environ}
    return subprocess.run(["bash", str(SCRIPT), *words], capture_output=True, text=True, env=own, check=False)


def test_what_it_cannot_use_is_refused_in_one_line(
    gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = str(Path(sys.base_prefix) / "bin" / "python3")
    for words, environ, line in (
        (("-o", str(tmp_path / "out")), {"PYTHON": bare}, f"{bare} has no torch"),
        (("--wheels", str(tmp_path / "w")), {}, f"{tmp_path}/w is not a folder; make it with benchmarks/gpu.sh --pack"),
    ):
        done = script(*words, **environ)
        assert done.returncode == 2 and done.stderr.startswith(f"gpu.sh: {line}") and done.stderr.count("\n") == 1
    for words in (["--only", "everything"], ["--only"], ["--rehearsal"]):
        monkeypatch.setattr(sys, "argv", ["gpu", *words])
        with pytest.raises(SystemExit) as refused:
            gpu.main()
        assert refused.value.code == 2
    assert "gpu.sh: error: argument --only: invalid choice: 'everything' (choose from " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_fails_or_takes_too_long_costs_only_itself(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parts run in processes of their own, which read the real list: `missing` is not in it.
    parts = (gpu.Part(0, "missing", "device:nothing", 1, 60), gpu.Part(0, "network", "correctness:network", 1, 0.02))
    late = gpu.Part(7, "fed", "loading:alone", 1, 60)
    monkeypatch.setenv("PYTHONPATH", f"{BENCHMARKS.parent}{os.pathsep}{BENCHMARKS}")
    said: list[str] = []
    monkeypatch.setattr(gpu, "say", said.append)
    run = gpu.Run(tmp_path, tmp_path / "results.jsonl", rehearse=True)
    missing, slow = map(run.run, parts)
    assert missing.said.startswith("failed: ValueError") and slow.said == "stopped after 0 s"
    monkeypatch.setattr(gpu, "REHEARSAL_LIMIT", gpu.LEAST)
    assert run.run(late).said == "skipped: too late"
    assert said[0].startswith("missing: failed: ValueError") and said[1].startswith("network: stopped after 0 s, ")


@pytest.mark.parametrize(("wrong", "code"), [(False, 0), (True, 1)])
def test_the_table(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bool, code: int) -> None:
    rows = [
        {"part": "bits", "what": "optimizer", "ok": not wrong},
        {"part": "bits", "what": "SAM", "norm_difference": 1.23456e-7, "ok": True},
        {"part": "throughput", "px": 88, "images_per_second": 18000.6, "milliseconds": [14.25, 14.5]},
    ]
    lines = tmp_path / "results.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    monkeypatch.setattr(gpu, "say", said.append)
    outcomes = [gpu.Outcome(gpu.Part(2, "bits", "", 1, 2), 12.34, "done")]
    outcomes += [gpu.Outcome(gpu.Part(5, "throughput", "", 1, 2), 3.0, "done")]
    outcomes += [gpu.Outcome(gpu.Part(8, "memory", "", 1, 2), 0.0, "skipped: too late")]
    assert gpu._show(lines, outcomes, 15.6) == code
    assert said == [
        "\npart                   seconds  outcome",
        f"2 bits                    12.3  done{', 1 of 2 WRONG' if wrong else ''}",
        f"    what optimizer, ok {not wrong}",
        "    what SAM, norm_difference 1.235e-07, ok True",
        "5 throughput               3.0  done",
        "    px 88, images_per_second 18,001, milliseconds [14.25, 14.5]",
        "8 memory                   0.0  skipped: too late",
        f"3 parts in 16 s: 0 failed, 1 skipped, {int(wrong)} results WRONG",
    ]
    lines.unlink()
    assert gpu._show(lines, [gpu.Outcome(gpu.Part(2, "bits", "", 1, 2), 1.0, "failed: KeyError")], 1.0) == 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_part_is_rehearsed_in_one_call(gpu: Any, tmp_path: Path) -> None:
    refused = script("-o", str(tmp_path / "none"), PYTHON=sys.executable)
    line = f"gpu.sh: {sys.executable} sees no GPU; --rehearse runs every part on the CPU\n"
    assert (refused.returncode, refused.stderr) == (2, line) and not (tmp_path / "none").exists()
    done = script("--rehearse", "-o", str(tmp_path / "out"), PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {row["part"] for row in rows} == {part.name for part in gpu.PARTS}
    assert done.stdout.rstrip().endswith(": 0 failed, 0 skipped, 0 results WRONG")
