"""Words of a command line that change nothing in what they are composed to: refused or noted, never ignored.

A word is one override, such as ``dataset.dir=PATH``. Only words count: a file of your own, such as
``conf/local/default.yaml``, may set what some runs do not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.data.images import shipped

# What ``hardware=auto`` finds on the machine.
FOUND = ("name", "devices", "gpu", "cpus")
# Hydra's own folders: this program writes below ``runs_dir`` only.
FOLDERS = ("hydra.run.", "hydra.sweep.", "hydra.output_subdir")
# Keys that nothing but these keys is computed from.
SCALES = {
    "dataset.image_scale": ("resolution.train",),
    "dataset.eval_scale": ("resolution.eval_resize", "resolution.eval_crop"),
    "dataset.batch_scale": ("train_batch_size", "eval_batch_size"),
    "dataset.lr_scale": ("optimizer.lr",),
}
DATED = {
    "hardware.usd_per_node_hour": ("cloud", "price_date", "price_source"),
    "hardware.spot_usd_per_node_hour": ("spot_price_date", "spot_price_source"),
}
LOADING = ("data.num_workers", "data.prefetch_factor", "dataset.crop_scale", "dataset.crop_ratio", "dataset.hflip")
WRITING = ("write_mode", "max_resolution", "compress_probability", "jpeg_quality", "images_per_shard")

# What ``dataset.dir=PATH`` means without a word that chooses a data set.
OWN_FOLDER = "dataset=imagefolder"

Words = Mapping[str, str]


def words_for_folder(overrides: Iterable[str], dataset: object) -> list[str]:
    """What is missing in words that name a folder of images while the digits, the default, are chosen.

    Args:
        overrides: of the run.
        dataset: ``dataset.name`` as it is composed.
    """
    words = words_by_key(overrides)
    alone = dataset == shipped.DIGITS.name and "dataset.dir" in words and not {"dataset", "dataset.name"} & set(words)
    return [OWN_FOLDER] if alone else []


def words_by_key(overrides: Iterable[str]) -> Words:
    """Overrides by the key that they set, without those that remove one, or leave it open (null)."""
    parts = ((word.lstrip("+").partition("="), word) for word in overrides if not word.startswith("~"))
    return {key: word for (key, _, value), word in parts if value != "null"}


def refuse_words(overrides: Iterable[str], dataset: object, device: object) -> None:
    """Refuse words with which one would get another run than the one asked for.

    Args:
        overrides: of the run.
        dataset: ``dataset.name`` as it is composed.
        device: ``hardware.device`` as it is composed: "auto" is not replaced yet.

    Raises:
        RequestError: a word has no effect.
    """
    words = words_by_key(overrides)
    if dataset in shipped.ALL and "dataset.dir" in words:
        raise RequestError(
            f"{words['dataset.dir']} has no effect with dataset={dataset}; leave out dataset={dataset}, or use "
            "dataset=imagenet for ImageNet"
        )
    for key in (f"hardware.{name}" for name in FOUND):
        if device == "auto" and key in words:
            raise RequestError(
                f"{words[key]} has no effect with hardware=auto, which takes all GPUs that it finds; set "
                "CUDA_VISIBLE_DEVICES, or name the hardware, such as hardware=a100x1"
            )
    if "command" in words:
        raise RequestError(f"{words['command']} has no effect: a run writes its own command; leave it out")


def refuse_folders(overrides: Iterable[str]) -> None:
    """Refuse words about Hydra's own folders; raises `RequestError`."""
    for word in overrides:
        if word.lstrip("+~").startswith(FOLDERS):
            raise RequestError(f"{word} has no effect: runs go below runs_dir; use runs_dir=PATH")


def idle_words(config: RunConfig) -> list[str]:
    """A remark for each word in the command of a run that changes nothing; harmless ones."""
    words = words_by_key(command_line.words_of(config.command or ""))
    found = {**_idle_numbers(config, words), **_idle_loading(config), **_idle_writing(config)}
    return [f"{words[key]} has no effect {why}" for key, why in found.items() if key in words]


def _idle_numbers(config: RunConfig, words: Words) -> dict[str, str]:
    """Why settings of dataset and hardware are idle, by key."""
    found = {
        scale: f"beside {' '.join(words[key] for key in scaled)}"
        for scale, scaled in SCALES.items()
        if all(key in words for key in scaled)
    }
    hardware = config.hardware
    for price, names in DATED.items():
        if getattr(hardware, price.rpartition(".")[2]) is None:
            found |= {f"hardware.{name}": f"without {price}" for name in names}
    if hardware.device == "cpu":
        found["hardware.gpu"] = f"on a CPU (hardware={hardware.name})"
    if hardware.world_size == 1 and config.model.sync_batchnorm:
        found["model.sync_batchnorm"] = "on one device"
    return found


def _idle_loading(config: RunConfig) -> dict[str, str]:
    data = config.data
    kind = formats.format_of(data.loader)
    if kind is formats.SYNTHETIC:
        return dict.fromkeys(LOADING, "with data=synthetic, whose images are made in memory")
    if formats.has_processes(data.loader) and (data.num_workers == 0 or (data.num_workers is None and _on_cpu(config))):
        return {"data.prefetch_factor": "without workers; set data.num_workers"}
    return {}


def _on_cpu(config: RunConfig) -> bool:
    return config.hardware.device == "cpu"


def _idle_writing(config: RunConfig) -> dict[str, str]:
    """Why settings of files are idle: those that a run would not write, or only in another mode."""
    loader: Mapping[str, Any] = config.data.loader
    kind = formats.format_of(loader)
    if kind is formats.FFCV and not formats.needs_folder(loader, config.data.cache_dir):
        return {f"data.loader.{name}": "on files that are there already" for name in WRITING}
    if kind is formats.STREAMING and loader.get("remote"):
        return {f"data.loader.{name}": "on shards that are there already" for name in WRITING}
    idle: dict[str, str] = {}
    mode = loader.get("write_mode")
    if kind is formats.FFCV and mode != "proportion":
        idle["data.loader.compress_probability"] = f"with data.loader.write_mode={mode}"
    if mode == "source":
        idle["data.loader.max_resolution"] = "with data.loader.write_mode=source, which keeps every size"
    if kind is formats.FFCV and mode == "raw":
        idle["data.loader.jpeg_quality"] = "with data.loader.write_mode=raw"
    return idle
