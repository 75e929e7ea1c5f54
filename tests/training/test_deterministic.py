"""``deterministic=true`` reaches every library in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resnet_exp.launch.summary import header
from support.commands import TINY, RunCli
from support.configs import make_config
from support.paths import TESTS

IMAGES = ("data=synthetic", "data.loader.train_images=16", "data.loader.val_images=8", "loggers=[]")
DATA = ("recipe=mild", "dataset=imagenet", "dataset.dir=/data", "hardware=a100x8")


def test_kernels_that_repeat_themselves(train_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuBLAS reads its variable when CUDA starts, which is before Composer sets it."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    look = ("+callbacks.look._target_=support.look.Look", f"+callbacks.look.file={tmp_path / 'look.json'}")
    done = train_cli(*TINY, *IMAGES, *look, "recipe=mild", "deterministic=true")
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "look.json").read_text())
    assert seen == {"cublas": ":4096:8", "order": "PCI_BUS_ID", "deterministic": True, "cudnn": True}


def test_other_kernels_are_another_run() -> None:
    assert make_config(*DATA, "deterministic=false").run_id == make_config(*DATA).run_id
    assert make_config(*DATA, "deterministic=true").run_id != make_config(*DATA).run_id


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("hardware.precision=fp32",), "8 x A100, fp32 (TF32 in convolutions and matrix products)"),
        ((), "8 x A100, amp_fp16"),
        (("hardware=cpu",), " CPU cores, fp32"),
    ],
)
def test_what_fp32_is_on_a_gpu_is_said(words: tuple[str, ...], shown: str) -> None:
    config = make_config(*DATA, *words)
    assert any(line.endswith(shown) for line in header(config, config.folder).splitlines())
