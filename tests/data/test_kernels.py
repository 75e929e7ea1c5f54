"""Compiled code: it gives the same bits on every machine, and what is kept of it is of the sources as they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

import resnet_exp
from resnet_exp.core.locks import is_locked
from resnet_exp.data.kernels import jit
from resnet_exp.data.kernels.batch import make_scratch, resized
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.jpeg import Window
from resnet_exp.data.kernels.resize import Floats, Pixels, area_taps
from support.paths import TESTS
from support.twice import compiles, make_twice

KERNELS = Path(jit.__file__).parent
MARK = re.compile(r"^@(inner|inlined|intrinsic)$|= kernel\(|return kernel\(", re.MULTILINE)


def test_all_compiled_code_is_in_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    having = [path for path in Path(resnet_exp.__file__).parent.rglob("*.py") if MARK.search(path.read_text())]
    assert len(having) > 5 and {path.parent for path in having} == {KERNELS, KERNELS / "lossless", KERNELS / "decoder"}
    shutil.copytree(KERNELS, tmp_path / "kernels")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "kernels" / "jit.py"))
    digests = {jit.sources_digest()}
    for path in having:
        with (tmp_path / "kernels" / path.relative_to(KERNELS)).open("a") as file:
            file.write("# changed\n")
        digests.add(jit.sources_digest())
    assert len(digests) == len(having) + 1


def reduced(values: Floats, length: float, size: int, start: float) -> Floats:
    """Weighted sums along the first axis in the order of the pixels, with no more precision than float32 has."""
    first, weights = np.zeros(size, np.int64), np.zeros(2 * (len(values) + 2 * size), np.float32)
    taps = area_taps(start, length, len(values), first, weights)
    out = np.empty((size, *values.shape[1:]), np.float32)
    for position in range(size):
        own = weights[position * taps : (position + 1) * taps]
        total = own[0] * values[first[position]]
        for tap in range(1, taps):
            total = total + own[tap] * values[first[position] + tap]
        out[position] = total
    return out


def rounded(rows: Floats, length: float, size: int, start: float) -> Pixels:
    """The same along the second axis, from a half upward and cut off: pixels."""
    columns = np.ascontiguousarray(rows.transpose(1, 0, 2))
    first, weights = np.zeros(size, np.int64), np.zeros(2 * (len(columns) + 2 * size), np.float32)
    taps = area_taps(start, length, len(columns), first, weights)
    out = np.empty((len(rows), size, 3), np.uint8)
    for position in range(size):
        total = np.full((len(rows), 3), 0.5, np.float32)
        for tap in range(taps):
            total = total + weights[position * taps + tap] * columns[first[position] + tap]
        out[:, position] = total.astype(np.uint8)
    return out


@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 500), st.booleans(), st.integers(0, 2**32))
def test_a_resized_crop_is_sums_of_floats_in_a_fixed_order(size: int, side: int, flip: bool, seed: int) -> None:
    random, side = np.random.default_rng(seed), max(size, side)
    pixels = random.integers(0, 256, (side, side + 7, 3), dtype=np.uint8)
    pixels[:, -1] = 255
    high, wide = (int(random.integers(size, limit + 1)) for limit in pixels.shape[:2])
    top, left = int(random.integers(0, side - high + 1)), side + 7 - wide
    scratch, out = make_scratch(sizes_of(side, side + 7), size), np.empty((size, size, 3), np.uint8)
    box = (float(top), float(left), float(high), float(wide))
    resized(
        pixels.reshape(-1), Window(0, 0, side, side + 7), (side, side + 7), box, box, False, flip, out,
        scratch.row, scratch.numbers, scratch.weights,
    )  # fmt: skip
    expected = rounded(reduced(pixels.astype(np.float32), high, size, top), wide, size, left)
    assert np.array_equal(out, expected[:, ::-1] if flip else expected)


def test_one_of_several_processes_compiles(tmp_path: Path) -> None:
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS)}
    words = [sys.executable, "-m", "support.twice"]
    processes = [
        subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=300)[0] for process in processes) == ["0\n", "0\n", "1\n"]


def test_compiled_code_of_a_folder_that_cannot_be_written_is_used(tmp_path: Path) -> None:
    """As in a container whose root file system is read-only."""
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS)}
    remount = 'mount --bind "$NUMBA_CACHE_DIR" "$NUMBA_CACHE_DIR" && mount -o remount,ro,bind "$NUMBA_CACHE_DIR"'
    read_only = ["unshare", "-m", "sh", "-c", f'{remount} && exec "$@"', "sh"]
    if subprocess.run([*read_only, "true"], env=environ, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    for prefix, compiled in (([], "1\n"), (read_only, "0\n")):
        words = [*prefix, sys.executable, "-m", "support.twice"]
        assert subprocess.run(words, env=environ, input="\n", stdout=subprocess.PIPE, text=True).stdout == compiled


def test_what_a_crash_has_left_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    assert [compiles("sources"), compiles("sources")] == [1, 0]
    (index,), (code,) = tmp_path.rglob("*.nbi"), tmp_path.rglob("*.nbc")
    for damaged in (index, code):
        damaged.write_bytes(damaged.read_bytes()[:20])
        assert [compiles("sources"), compiles("sources")] == [1, 0], damaged


def test_a_kernel_that_cannot_be_compiled_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    def wrong(number: int) -> Any:
        return number.missing  # pyright: ignore[reportAttributeAccessIssue]

    kernel: Any = jit.kernel(wrong)
    for _ in range(2):
        with pytest.raises(TypingError):
            kernel(21)
        (lock,) = tmp_path.rglob(".*.lock")
        assert not is_locked(lock)


def test_code_that_cannot_be_kept_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    kept = make_twice("sources")
    monkeypatch.setattr("numba.config.CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    monkeypatch.setattr("numba.config.CACHE_DIR", "/proc/none")
    assert [compiles(sources) for sources in "ab"] == [1, 1]
    fix = "every start compiles it anew, for about a minute; set NUMBA_CACHE_DIR=PATH to a folder that can be written\n"
    why = f"neither {KERNELS} nor ~/.cache can be written"
    assert capsys.readouterr().out == f"compiled code cannot be kept ({why}): {fix}"
    shutil.rmtree(kept._cache.cache_path)
    Path(kept._cache.cache_path).write_text("in the way")
    assert kept(21)[0] == 42
    assert capsys.readouterr().out == f"compiled code cannot be kept ({kept._cache.cache_path}: File exists): {fix}"


def test_the_row_of_sums_reaches_one_number_beyond_the_last_pixel() -> None:
    assert len(make_scratch(sizes_of(375, 500), 176).row) == 3 * 500 + 1
