"""Runs that share one composition are those that Hydra composes one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config import finalize, resolvers
from resnet_exp.config.schema import RunConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from resnet_exp.sweep import composition
from resnet_exp.sweep.compose import RunComposer
from support.photos import write_photos

COMMON = ("recipe=hot", "hardware=cpu", "dataset=digits", "loggers=[progress,wandb,csv]")


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    resolvers.register()
    with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        yield hydra.config_loader


def one_by_one(loader: ConfigLoader, master: DictConfig, overrides: list[str]) -> RunConfig:
    """What the command line makes of one run."""
    composed = loader.load_sweep_config(master, overrides)
    with open_dict(composed):
        del composed["hydra"]
    return finalize.finalize(composed, overrides)


def check(loader: ConfigLoader, common: tuple[str, ...], *axes: tuple[str, ...]) -> None:
    """Compare all combinations of overrides, each axis in its order."""
    master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    composer = RunComposer(loader, master)
    for point in itertools.product(*axes):
        overrides = [*common, *point]
        expected = one_by_one(loader, master, overrides)
        assert repr(composer.compose(overrides)) == repr(expected), overrides
        # Nothing that becomes of one run is seen in another.
        composer.compose(overrides).model.layers.append(7)
        assert composer.compose(overrides) == expected


@pytest.mark.parametrize(
    ("axes", "resolved"),
    [
        ([("seed=17", "seed=18", "seed=17", "seed=19"), ("ssr=1", "ssr=0.5")], 1),
        ([("seed=1", "seed=2"), ("dataset.image_scale=1", "dataset.image_scale=0.25")], 2),
        ([("seed=1", "seed=2"), ("runs_dir=a", "runs_dir=/b")], 2),
        ([("seed=1", "seed=2"), ("sweep=a", "sweep=b", "sweep=null")], 3),
        ([("seed=1", "seed=2"), ("dataset.lr_scale=0.5", "dataset.lr_scale=1"), ("dataset.batch_scale=1",)], 2),
        ([("model.num_classes=10", "dataset.num_classes=10"), ("seed=1", "seed=2")], 2),
        ([("seed=1", "seed=2"), ("train_batch_size=64",)], 1),
        # Each time, three times a run here.
        ([("seed=1", "seed=2"), ("train_batch_size=${eval_batch_size}",)], 6),
        ([("algorithms.mixup.alpha=1", "algorithms.mixup.alpha=1.0"), ("seed=1", "seed=2")], 1),
        ([("+loggers.csv.note=1", "+loggers.csv.note=true"), ("seed=1", "seed=2")], 2),
        ([("data.num_workers=2", "data.num_workers=null"), ("trace=true", "trace=0")], 1),
        ([("model.layers=[1,1,1,1]", "model.layers=[2,2,2,2]"), ("seed=1",)], 2),
        ([("hardware.cloud=here", "hardware.cloud=there"), ("hardware.device=auto", "hardware.device=cpu")], 2),
    ],
    ids=lambda value: " ".join(axis[0] for axis in value) if isinstance(value, list) else "",
)
def test_all_runs_are_as_one_by_one(
    loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch, axes: list[tuple[str, ...]], resolved: int
) -> None:
    calls: list[object] = []

    def counted(closed: DictConfig) -> dict[str, Any]:
        calls.append(closed)
        return finalize.fill_in(closed)

    monkeypatch.setattr(composition, "fill_in", counted)
    check(loader, COMMON, *axes)
    assert len(calls) == resolved


def test_what_depends_on_the_machine_is_seen(loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many images a GPU takes at once depends on a key that is read only where the machine has GPUs."""
    gpus = [devices.Gpu("NVIDIA A100-SXM4-80GB", (8, 0))] * 2
    monkeypatch.setattr(devices, "visible_gpus", lambda: gpus)
    sizes = ("train_batch_size=256", "train_batch_size=2048", "train_batch_size=512")
    for hardware in ("hardware=auto", "hardware=a100x8"):
        check(loader, ("recipe=mild", "dataset=digits", hardware), sizes, ("hardware.device=auto", "seed=3"))


def test_what_depends_on_the_dataset_is_seen(loader: ConfigLoader, tmp_path: Path) -> None:
    """The number of classes is that of the folder, which may itself be made of other keys."""
    one = write_photos(tmp_path / "one")
    (tmp_path / "two").symlink_to(one)
    places = tuple(f"dataset.dir={tmp_path}/{name}" for name in ("one", "two"))
    check(loader, ("recipe=mild", "hardware=cpu", "dataset=imagefolder"), places, ("seed=1", "seed=2"))


@pytest.mark.parametrize(
    "wrong",
    [
        ("seed=x",), ("seed=-1",), ("ssr=0",), ("ssr=x", "seed=x"), ("seed=x", "ssr=x"), ("seed=???",), ("seed=null",),
        ("dataset.image_scale=x",), ("hardware.device=tpu",), ("train_batch_size=${nothing}",), ("runs_dir=",),
        ("optimizer.lr=nan",), ("dataset.lr_scale=nan",), ("model.block=none", "seed=-1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_errors_are_as_one_by_one(loader: ConfigLoader, wrong: tuple[str, ...]) -> None:
    master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    composer = RunComposer(loader, master)
    composer.compose([*COMMON, "seed=1", "ssr=0.5"])
    with pytest.raises((RequestError, OmegaConfBaseException)) as caught:
        composer.compose([*COMMON, *wrong])
    with pytest.raises((RequestError, OmegaConfBaseException)) as expected:
        set_and_finalize(loader, master, wrong)
    assert str(caught.value) == str(expected.value)


def set_and_finalize(loader: ConfigLoader, master: DictConfig, overrides: tuple[str, ...]) -> None:
    """What becomes of one run whose values are set one after the other."""
    composed = loader.load_sweep_config(master, [*COMMON])
    with open_dict(composed):
        del composed["hydra"]
    closed = finalize.close(composed, [*COMMON])
    for override in OverridesParser.create(config_loader=loader).parse_overrides([*overrides]):
        OmegaConf.update(closed, override.key_or_group, override.value())
    finalize.finish(finalize.fill_in(closed), overrides)


def test_no_resolver_of_ours_is_left(loader: ConfigLoader) -> None:
    check(loader, COMMON, ("seed=1",))
    assert not OmegaConf.has_resolver(composition.OBSERVED)
