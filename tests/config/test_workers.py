"""How many workers load the images of a run: as many as cores, and memory that they share, are there for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resnet_exp.config.checks import workers
from resnet_exp.config.checks.workers import MOST_WORKERS, RECIPE_WORKERS, core_notes, num_workers, shared_bytes
from resnet_exp.config.schema import RunConfig
from resnet_exp.data.imagefolder.decoders import DECODERS
from resnet_exp.launch.summary import header
from support.configs import make_config


def config_of(words: str) -> RunConfig:
    return make_config("dataset=imagenet", "dataset.dir=/none", *words.split())


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(workers, "free_shared", lambda: 2**40)
    return monkeypatch


def allow(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(os, "sched_getaffinity", lambda process: set(range(count)))


@pytest.mark.parametrize(
    ("words", "count", "expected"),
    [
        ("recipe=hot hardware=h100x8", 192, 24),
        ("recipe=mild hardware=h100x8 data=ffcv", 192, 24),
        ("recipe=mild hardware=h100x8 data=ffcv", 12, 1),
        ("recipe=mild hardware=h100x8 data=ffcv", 1, 1),
        ("recipe=hot hardware=h100x1", 12, 12),
        ("recipe=hot hardware=h100x1", 192, MOST_WORKERS),
        ("recipe=hot hardware=h100x1 data.num_workers=192", 4, 192),
        ("recipe=hot hardware=cpu", 192, 0),
    ],
)
def test_workers_are_the_share_of_a_rank(words: str, count: int, expected: int, cores: pytest.MonkeyPatch) -> None:
    allow(cores, count)
    assert num_workers(config_of(words)) == expected


def test_processes_are_no_more_than_have_room_for_their_batches(cores: pytest.MonkeyPatch) -> None:
    allow(cores, 192)
    names = ("imagefolder data.loader.decoder=pillow", "ffcv")
    files, ffcv = (config_of(f"recipe=mild hardware=h100x8 data={name}") for name in names)
    room = shared_bytes(files)
    assert num_workers(files) == 24
    for free, expected in ((room, 24), (room - 1, 23), (room // 2, 11), (0, RECIPE_WORKERS)):
        cores.setattr(workers, "free_shared", lambda free=free: free)
        assert num_workers(files) == expected
        assert num_workers(ffcv) == 24
        assert shared_bytes(files) <= max(free, room // 2)


@pytest.mark.parametrize(
    ("words", "count", "said"),
    [
        ("hardware=h100x8 data=ffcv", 32, None),
        ("hardware=h100x8 data=synthetic", 1, None),
        ("hardware=cpu data=ffcv", 1, None),
        ("hardware=h100x8 data=ffcv", 31, "31 CPU cores for 8 GPUs; one loads about 4,100 images/s with data=ffcv: the "
         "GPUs will wait for data; ask for 4 cores or more for each"),
        ("hardware=h100x1 data=imagefolder", 2, "2 CPU cores for 1 GPU; one "
         "loads about 1,900 images/s with data=imagefolder: the GPUs will wait for data; ask for 4 cores or more for "
         "each, or use data=ffcv"),
        ("hardware=h100x1 data=imagefolder data.loader.decoder=pillow", 1, "1 CPU core for 1 GPU; one loads about 630 "
         "images/s with data=imagefolder: the GPUs will wait for data; ask for 4 cores or more for each, or use "
         "data=ffcv"),
    ],
)  # fmt: skip
def test_a_run_says_that_its_gpus_will_starve(
    words: str, count: int, said: str | None, cores: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allow(cores, count)
    config = config_of(f"recipe=mild {words} runs_dir={tmp_path}")
    assert core_notes(config) == ([] if said is None else [said])
    assert ("GPUs will wait" in header(config, config.folder)) == (said is not None)


def test_compiled_image_files_have_threads_not_processes(cores: pytest.MonkeyPatch) -> None:
    allow(cores, 192)
    cores.setattr(workers, "free_shared", lambda: 0)
    words = "recipe=hot hardware=h100x8 data=imagefolder data.loader.decoder={}"
    pillow, compiled = (config_of(words.format(name)) for name in DECODERS)
    assert (num_workers(pillow), num_workers(compiled)) == (RECIPE_WORKERS, 24)
    assert shared_bytes(pillow) > 0 == shared_bytes(compiled)
