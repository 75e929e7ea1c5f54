"""``benchmarks/data.py --peers``: what it does without the environments that ``benchmarks/peers.sh`` makes."""

from __future__ import annotations

import importlib
import io
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_environments_that_are_missing_are_named(
    module: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dali").mkdir()
    rows = module("loader_process").rows_in(tmp_path)
    assert {row.environment for row in rows} == {"", "dali"}
    assert "benchmarks/peers.sh simplejpeg spdl torchcodec" in capfd.readouterr().out


def test_every_peer_has_an_environment_and_a_script(module: Any) -> None:
    made = (BENCHMARKS / "peers.sh").read_text()
    for row in module("loader_process").ROWS:
        if row.environment:
            assert f"[{row.environment}]=" in made
            assert "--hash=sha256:" in (BENCHMARKS / "peers" / f"{row.environment}.lock").read_text()
            assert (BENCHMARKS / "peers" / f"{row.script}.py").is_file()


def test_peers_do_not_import_this_package() -> None:
    for path in (BENCHMARKS / "peers").glob("*.py"):
        assert "resnet_exp" not in path.read_text(), path


def test_an_unknown_peer_is_refused() -> None:
    done = subprocess.run([str(BENCHMARKS / "peers.sh"), "dalli"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "peers: dalli is no peer; use dali, simplejpeg, spdl or torchcodec\n"


def test_a_pass_counts_images_workers_and_waits(module: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    passes = module("peers.passes")
    spent = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    worker = subprocess.Popen([sys.executable, "-c", spent], stdin=subprocess.PIPE)

    def epoch() -> Iterator[int]:
        yield from (64, 64, 32)

    before = passes.cpu_seconds()
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    passes.serve(epoch, epochs=2)
    while passes.cpu_seconds() - before < 0.3:  # the time of a worker process is its parent's
        pass
    worker.communicate(b"\n")
    first, *found = map(json.loads, capfd.readouterr().out.splitlines())
    assert set(first) == {"first_pass", "first_cpu"}
    assert [answer["images"] for answer in found] == [320, 320]
    assert all(0 <= answer["waited"] <= 1 and answer["memory"] > 1 for answer in found)


def test_boxes_are_those_of_random_resized_crop(module: Any) -> None:
    passes = module("peers.passes")
    random.seed(17)
    for height, width in [(375, 500), (500, 60), (1, 1), (64, 640)] * 50:
        top, left, high, wide = passes.random_box(height, width)
        assert 0 <= top <= height - high and 0 <= left <= width - wide and high > 0 and wide > 0
        if (height, width) == (375, 500):
            assert 0.07 < high * wide / (height * width) <= 1
            assert abs(math.log(wide / high)) < math.log(4 / 3) + 0.05
