"""Run ids: the same for ever, wherever code lies and whatever keys are added."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.config import identity
from resnet_exp.config.schema import DataConfig, ModelConfig, RunConfig, run_config
from resnet_exp.core.machine import devices
from resnet_exp.data import formats
from support.configs import make_config

# Finished runs are found by these: one that changes orphans them all. A key that is added needs a default.
GOLDEN = {
    "recipe=baseline hardware=cpu": "baseline-ssr1.0-cpu-s17-cf88ea59",
    "recipe=baseline hardware=cpu data.loader.decoder=pillow": "baseline-ssr1.0-cpu-s17-631038fe",
    "recipe=mild hardware=cpu": "mild-ssr1.0-cpu-s17-36e8ea0c",
    "recipe=medium hardware=cpu ssr=0.3 seed=18": "medium-ssr0.3-cpu-s18-839ddfba",
    "recipe=hot hardware=cpu ssr=0.5": "hot-ssr0.5-cpu-s17-b7037dc7",
    "recipe=hot hardware=cpu ssr=0.5 data.loader.decoder=pillow": "hot-ssr0.5-cpu-s17-ef20103d",
    "recipe=hot hardware=a100x8 dataset=imagenet dataset.dir=/data/imagenet": "hot-ssr1.0-a100x8-s17-bada4afd",
    "recipe=hot hardware=h100x8 dataset=imagenet dataset.dir=/data/imagenet ~algorithms.sam": (
        "hot-ssr1.0-h100x8-s17-522347cd"
    ),
    "recipe=mild hardware=p4d.24xlarge dataset=imagenet dataset.dir=/data/imagenet ssr=0.36": (
        "mild-ssr0.36-p4d.24xlarge-s17-573b4135"
    ),
    "recipe=mild hardware=p5.48xlarge hardware.nodes=2 dataset=imagenet dataset.dir=/data/imagenet "
    "model=resnet101": "mild-ssr1.0-p5.48xlarge-s17-a6a914c8",
    "recipe=medium hardware=a2-highgpu-8g dataset=imagenet dataset.dir=/data/imagenet "
    "model=resnet18": "medium-ssr1.0-a2-highgpu-8g-s17-a1258d2f",
    "recipe=medium hardware=ND96asr_v4 dataset=imagenet dataset.dir=/data/imagenet model=resnet34 "
    "~algorithms.ema": "medium-ssr1.0-ND96asr_v4-s17-c618cb68",
    "recipe=mild hardware=lambda_8xh100 dataset=imagenet dataset.dir=/data/imagenet model=resnet152 "
    "data.decode=scheduled": "mild-ssr1.0-lambda_8xh100-s17-39902162",
    "recipe=mild hardware=cpu dataset=imagefolder dataset.dir=/data/flowers dataset.num_classes=102": (
        "mild-ssr1.0-cpu-s17-d895eaae"
    ),
    "recipe=mild hardware=cpu data=imagefolder data.loader.decoder=pillow data.num_workers=4 data.prefetch_factor=4": (
        "mild-ssr1.0-cpu-s17-2e15f401"
    ),
    "recipe=mild hardware=cpu data=imagefolder": "mild-ssr1.0-cpu-s17-86a76b6a",
    "recipe=mild hardware=cpu data=streaming data.loader.max_resolution=null": "mild-ssr1.0-cpu-s17-de562e1f",
    "recipe=baseline hardware=cpu data=synthetic trace=true": "baseline-ssr1.0-cpu-s17-8ab98809",
    "recipe=mild hardware=cpu data.loader.write_mode=raw data.loader.train_file=/data/train.ffcv "
    "data.loader.val_file=/data/val.ffcv": "mild-ssr1.0-cpu-s17-888e475f",
    "recipe=baseline hardware=cpu +algorithms=[mixup,cutmix] algorithms.mixup.alpha=0.4": (
        "baseline-ssr1.0-cpu-s17-97297567"
    ),
    "recipe=mild hardware=cpu optimizer.lr=0.7 optimizer.nesterov=true train_batch_size=32 "
    "eval_interval=2ep": "mild-ssr1.0-cpu-s17-6122ae09",
    "recipe=mild hardware=cpu +callbacks.memory._target_=composer.callbacks.MemoryMonitor": (
        "mild-ssr1.0-cpu-s17-4ec51a3d"
    ),
    "recipe=mild hardware=cpu +algorithms.mine._target_=fractions.Fraction "
    "+algorithms.mine.numerator=3": "mild-ssr1.0-cpu-s17-97b2772c",
    "recipe=baseline hardware=cpu model=resnet50 model.sync_batchnorm=false "
    "schedule.max_duration=630ba schedule.warmup=56ba": "baseline-ssr1.0-cpu-s17-60189e43",
    "recipe=mild hardware=cpu speed=fast": "mild-ssr1.0-cpu-s17-af48b5d1",
}


LOADERS = {each.loader for each in formats.ALL}


def moved(value: Any) -> Any:
    """The same settings, with every class and function in another module of its package."""
    if not isinstance(value, dict):
        return value
    return {name: move(inner) if name == "_target_" else moved(inner) for name, inner in value.items()}


def move(target: str) -> str:
    if target in LOADERS:  # users write these: they stay where they are
        return target
    package, *_, name = target.split(".")
    return f"{package}.elsewhere.{name}" if package in ("resnet_exp", "composer") else target


@dataclass
class Dropout:
    """A part that the schema does not have yet."""

    rate: float = 0.0


@dataclass
class LaterModel(ModelConfig):
    dilation: int = 1
    stages: list[int] = field(default_factory=lambda: [64, 128])


@dataclass
class LaterData(DataConfig):
    mirror: str | None = None


@dataclass
class LaterRun(RunConfig):
    clip: float | None = None
    dropout: Dropout = field(default_factory=Dropout)


def of_later_version(config: RunConfig) -> LaterRun:
    values = {name: getattr(config, name) for name in vars(config)}
    values |= {"model": LaterModel(**asdict(config.model)), "data": LaterData(**asdict(config.data))}
    return LaterRun(**values)


@pytest.mark.parametrize("overrides", GOLDEN)
def test_ids_stay(overrides: str) -> None:
    config = make_config(*overrides.split())
    assert config.run_id == GOLDEN[overrides]
    assert identity.run_id(run_config(moved(asdict(config)))) == GOLDEN[overrides]
    assert identity.run_id(of_later_version(config)) == GOLDEN[overrides]


def test_ids_are_those_of_different_runs() -> None:
    assert len(set(GOLDEN.values())) == len(GOLDEN) >= 20


@pytest.mark.parametrize(
    "change",
    [
        {"clip": 1.0},
        {"dropout": Dropout(rate=0.1)},
        {"model": LaterModel(name="resnet50", dilation=2)},
        {"model": LaterModel(name="resnet50", stages=[64, 256])},
        {"data": LaterData(name="ffcv", mirror="there")},
    ],
)
def test_a_later_key_counts_where_it_differs(change: dict[str, Any]) -> None:
    plain = LaterRun(model=LaterModel(name="resnet50"), data=LaterData(name="ffcv"))
    assert identity.digest(replace(plain, **change)) != identity.digest(plain)


def test_a_later_setting_of_a_loader_counts_where_it_differs() -> None:
    config = make_config("hardware=cpu", "data=ffcv")
    without = {name: value for name, value in config.data.loader.items() if name != "os_cache"}
    loaders = without, without | {"os_cache": True}, without | {"os_cache": False}
    ids = [identity.run_id(replace(config, data=replace(config.data, loader=loader))) for loader in loaders]
    assert ids[0] == ids[1] == config.run_id != ids[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("resnet_exp.training.algorithms.EMA", "composer.algorithms.EMA"),
        ("resnet_exp.training.algorithms.EMA", "resnet_exp.training.algorithms.SAM"),
        ("mine.EMA", "mine.later.EMA"),
    ],
)
def test_other_classes_are_other_runs(one: str, other: str) -> None:
    first, second = (RunConfig(algorithms={"ema": {"_target_": target}}) for target in (one, other))
    assert identity.digest(first) != identity.digest(second)


def test_seeds_are_a_group_and_lengths_a_family() -> None:
    config = make_config("recipe=mild", "hardware=cpu")
    seed, shorter = replace(config, seed=18), replace(config, seed=18, ssr=0.5)
    assert identity.group(config) == identity.group(seed) != identity.group(shorter)
    assert identity.family(config) == identity.family(shorter)


def test_what_is_found_on_a_machine_without_gpus_is_hardware_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for words in (["recipe=hot", "ssr=0.5"], ["recipe=mild", "data=imagefolder", "seed=3"]):
        assert make_config("hardware=auto", *words) == make_config("hardware=cpu", *words)


def test_a_microbatch_of_ones_own_is_kept_on_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "visible_gpus", lambda: [devices.Gpu("NVIDIA A100-SXM4-80GB", (8, 0))] * 2)
    words = ("hardware=auto", "dataset=imagenet", "dataset.dir=/data")
    assert make_config(*words).hardware.microbatch == 256
    assert make_config(*words, "hardware.device_train_microbatch_size=64").hardware.microbatch == 64


@pytest.mark.parametrize("target", ["mine.Mine", "package.Mine", "package.deep.Mine"])
def test_own_code_counts(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # pyright: ignore[reportUnknownMemberType]
    module = target.removesuffix(".Mine")
    (tmp_path / "package").mkdir()
    for name in ("mine.py", "other.py", "package/__init__.py", "package/deep.py"):
        (tmp_path / name).write_text("class Mine: ...\n")
    config = RunConfig(callbacks={"mine": {"_target_": target}})
    first = identity.digest(config)
    (tmp_path / "other.py").write_text("class Mine: changed = True\n")
    assert identity.digest(config) == first
    changed = tmp_path / ("mine.py" if module == "mine" else "package/deep.py")
    changed.write_text("class Mine: changed = True\n")
    assert identity.digest(config) != first
    changed.write_text("class Mine: ...\n")
    assert identity.digest(config) == first
