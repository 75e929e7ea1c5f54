"""The run configuration: what may be set, and its types.

The closed parts are dataclasses, so that a misspelled key or a wrong type fails when the configuration is composed.
The open parts (algorithms, callbacks, loggers, the data loader) are mappings of name to ``{_target_, kwargs}``.

Hydra composes against these classes, and `resnet_exp.config.finalize` makes instances of them: plain values, complete,
valid. They are not changed afterward but replaced (`dataclasses.replace`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from omegaconf import MISSING, DictConfig, OmegaConf

from resnet_exp.core import cost
from resnet_exp.core.records import is_object
from resnet_exp.runs.folder import RunFolder

# Open groups: mappings of name to {_target_, kwargs}.
OPEN_GROUPS = ("algorithms", "callbacks", "loggers")
TARGET = "_target_"
# These two are identified by name; any other dataset only by its folder.
NAMED_DATASETS = ("digits", "imagenet", "photos")
# One entry: ``_target_`` and its arguments. Only the class itself knows their types.
Entry = dict[str, Any]
# The entries of a group by name.
Entries = dict[str, Any]
# The recipes' 2,048 images over 8 devices. A GPU with a larger share splits it into microbatches of this size: they fit
# its memory, and BatchNorm sees as many images as in the original. An evaluation of 256 images fits 24 GB; of 2,048 it
# needs as much for BlurPool's largest activation alone.
ORIGINAL_DEVICE_BATCH = 256
# A whole or partial configuration, as OmegaConf and YAML represent it.
PlainValues = dict[str, object]


@dataclass
class ModelConfig:
    """A torchvision ``ResNet``: block kind, blocks per stage, widths, initial weights, loss."""

    name: str = MISSING
    block: str = MISSING
    layers: list[int] = MISSING
    num_classes: int = MISSING
    groups: int = 1
    width_per_group: int = 64
    initializers: list[str] = field(default_factory=list[str])
    loss: str = "soft_cross_entropy"
    sync_batchnorm: bool = False


@dataclass
class OptimizerConfig:
    """Settings of ``composer.optim.DecoupledSGDW``; ``lr`` is the peak learning rate of the schedule."""

    lr: float = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING
    dampening: float = 0.0
    nesterov: bool = False


@dataclass
class ScheduleConfig:
    """Linear warm-up, then cosine decay, stepped every batch; only ``max_duration`` is scaled by ``ssr``."""

    max_duration: str = MISSING
    warmup: str = MISSING
    alpha_f: float = 0.0


@dataclass
class ResolutionConfig:
    """Image sizes in pixels: the training crop, and for evaluation the resized short side and the center crop."""

    train: int = MISSING
    eval_resize: int = MISSING
    eval_crop: int = MISSING


@dataclass
class DatasetConfig:
    """The dataset. The four scales fit the recipes' ImageNet numbers to a small dataset."""

    name: str = MISSING
    title: str | None = None
    dir: str | None = None
    num_classes: int | None = None
    image_scale: float = 1.0
    eval_scale: float = 1.0
    batch_scale: float = 1.0
    lr_scale: float = 1.0
    crop_scale: list[float] = field(default_factory=lambda: [0.08, 1.0])
    crop_ratio: list[float] = field(default_factory=lambda: [3 / 4, 4 / 3])
    hflip: bool = True
    mean: list[float] = MISSING
    std: list[float] = MISSING
    min_images_per_class: int = 2
    fit: str = "auto"  # `resnet_exp.config.fit`; what it goes by and has changed is filled in
    train_images: int | None = None
    image_side: int | None = None
    fitted: Entry = field(default_factory=Entry)  # by key, the recipe's value

    @property
    def root(self) -> str:
        """The image folder; empty if none is read."""
        return self.dir or ""


@dataclass
class DataConfig:
    """The data format: how the images are stored and loaded."""

    name: str = MISSING
    num_workers: int | None = None
    prefetch_factor: int = 2
    cache_dir: str = MISSING
    decode: str = "full"
    loader: Entry = field(default_factory=Entry)


@dataclass
class HardwareConfig:
    """Devices, nodes, precision, and the dated prices of one node: on demand, and spot where one is known."""

    name: str = MISSING
    device: str = MISSING
    devices: int = MISSING
    nodes: int = 1
    precision: str = MISSING
    device_train_microbatch_size: str | None = None
    check_memory: bool | None = None
    gpu: str | None = None
    cpus: int | None = None
    memory_gib: float | None = None
    cloud: str | None = None
    usd_per_node_hour: float | None = None
    price_date: str | None = None
    price_source: str | None = None
    spot_usd_per_node_hour: float | None = None
    spot_price_date: str | None = None
    spot_price_source: str | None = None

    @property
    def ranks_per_node(self) -> int:
        """Ranks on each node: one per device; on a CPU one, unless ``devices`` asks for more."""
        return max(1, self.devices)

    @property
    def world_size(self) -> int:
        """Number of ranks of a run."""
        return self.ranks_per_node * self.nodes

    @property
    def gpus_per_node(self) -> int:
        """GPUs that a run uses on each node."""
        return self.devices if self.device == "gpu" else 0

    @property
    def microbatch(self) -> int | str | None:
        """Microbatch size of a device; "auto" for as many images as fit, None for its whole share of a batch."""
        size = self.device_train_microbatch_size
        return int(size) if size is not None and size.isdigit() else size

    def price_usd(self, seconds: float) -> float | None:
        """Cost of this hardware for `seconds`, in dollars; None without a price."""
        return cost.cost_usd(seconds, self.usd_per_node_hour, self.nodes)


@dataclass
class SpeedConfig:
    """``speed=NAME``: what is done otherwise than the original did it, to be faster; by default nothing.

    ``cuda_graphs_up_to`` is the largest side, in pixels, of images whose steps are replayed as CUDA graphs; 0: none.
    """

    name: str = "faithful"
    compile: bool = False
    cuda_graphs_up_to: int = 0
    async_checkpoints: bool = False


@dataclass
class RecipeInfo:
    """Source and purpose of a recipe; shown to the user, never part of a run's identity."""

    source: str = ""
    ssr_above: float = 0.0
    ssr_up_to: float | None = None
    published: str = "not published"


@dataclass
class RunConfig:
    """One training run."""

    recipe: str = MISSING
    recipe_info: RecipeInfo = field(default_factory=RecipeInfo)
    ssr: float = 1.0
    seed: int = 17
    train_batch_size: int = MISSING
    eval_batch_size: int = MISSING
    eval_interval: str = "1ep"
    checkpoint_interval: str = "1ep"
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    resolution: ResolutionConfig = field(default_factory=ResolutionConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    data: DataConfig = field(default_factory=DataConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    algorithms: Entries = field(default_factory=Entry)
    callbacks: Entries = field(default_factory=Entry)
    loggers: Entries = field(default_factory=Entry)
    init_from: str | None = None
    init_digest: str | None = None  # of the weights of `init_from`, filled in
    trace: bool = False
    keep_checkpoints: bool = False  # of a finished run, which otherwise keeps its weights alone
    deterministic: bool = False
    runs_dir: str = "runs"
    mirror: str | None = None  # a folder of an object store, to which the run folder is copied
    run_id: str | None = None
    sweep: str | None = None
    command: str | None = None

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Everything that has a ``_target_``, each with its key."""
        found: list[tuple[str, Any]] = [("data.loader", self.data.loader)]
        found += [(f"{group}.{name}", entry) for group in OPEN_GROUPS for name, entry in getattr(self, group).items()]
        return ((key, entry) for key, entry in found if is_object(entry) and TARGET in entry)

    @property
    def rank_batch(self) -> int:
        """Images of a training batch on one device."""
        return self.train_batch_size // self.hardware.world_size

    @property
    def rank_eval_batch(self) -> int:
        """Images that one device evaluates at a time; their number does not change the result."""
        return min(self.eval_batch_size // self.hardware.world_size, ORIGINAL_DEVICE_BATCH)

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        assert self.run_id is not None, "only a finalized configuration has a run id"
        return RunFolder(Path(self.runs_dir).absolute() / self.run_id)


def plain_values(composed: DictConfig) -> PlainValues:
    """A composed configuration as nested plain values, unresolved; raises OmegaConf's error if one is missing."""
    values = OmegaConf.to_container(composed, throw_on_missing=True)
    return cast(PlainValues, values)


def run_config(values: Mapping[str, object]) -> RunConfig:
    """A configuration from nested mappings, such as a ``config.yaml``, unchecked.

    Unknown keys are dropped, and missing keys get their defaults, because the file may be of an earlier
    version.
    """
    return part_config(RunConfig, values)


Part = TypeVar("Part")


def part_config(kind: type[Part], values: Mapping[str, object]) -> Part:
    """One part of a configuration, such as `HardwareConfig`; see `run_config`."""
    return kind(**{name: make(values[name]) for name, make in _makers(kind) if name in values})


@cache
def _makers(kind: type[Any]) -> list[tuple[str, Callable[[Any], Any]]]:
    """The fields of a dataclass, each with the function that makes its value: a nested part, or the value itself."""
    return [(each.name, _maker(each.default_factory)) for each in fields(kind)]


def _maker(make_default: object) -> Callable[[Any], Any]:
    if isinstance(make_default, type) and is_dataclass(make_default):
        return partial(part_config, make_default)
    return lambda value: value


@dataclass
class BasicLauncherConfig:
    """``hydra/launcher=basic``: the runs of a sweep (-m) one after the other, on this machine."""

    name: ClassVar[str] = "basic"
    _target_: str = "hydra_plugins.resnet_exp_sweeps.InTurn"


@dataclass
class LocalLauncherConfig:
    """``hydra/launcher=submitit_local``: ``parallel`` runs at a time; None: as many as the GPUs allow."""

    name: ClassVar[str] = "submitit_local"
    _target_: str = "hydra_plugins.resnet_exp_sweeps.Local"
    parallel: int | None = None


@dataclass
class SlurmLauncherConfig:
    """Types of ``conf/hydra/launcher/slurm.yaml``, which has the defaults and explains them."""

    name: ClassVar[str] = "slurm"
    _target_: str = MISSING
    host: str | None = None
    remote_dir: str | None = None
    remote_python: str = "python"
    wait: bool = MISSING
    max_requeues: int = MISSING
    timeout_min: int = MISSING
    signal_delay_s: int = MISSING
    array_parallelism: int = MISSING
    submitit_folder: str = MISSING
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_gb: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    exclusive: bool | None = None
    gres: str | None = None
    comment: str | None = None
    stderr_to_stdout: bool = True
    setup: list[str] | None = None
    container: list[str] | None = None
    python: str | None = None
    srun_args: list[str] | None = None
    additional_parameters: Entry = field(default_factory=Entry)


LauncherConfig = BasicLauncherConfig | LocalLauncherConfig | SlurmLauncherConfig


@dataclass
class GridConfig:
    """``hydra/sweeper=basic``: every combination of comma-separated values, for each of ``grids``."""

    _target_: str = "hydra_plugins.resnet_exp_sweeps.Grid"
    params: dict[str, Any] | None = field(default_factory=Entry)
    grids: list[Any] | None = None


@dataclass
class AdaptiveConfig:
    """``hydra/sweeper=adaptive``: searches ``params`` for more top-1 in less training time; docs/sweeps.md.

    With ``budget``, such as ``10min`` or ``10usd``, for the highest top-1 of runs that each take no more.
    """

    _target_: str = "hydra_plugins.resnet_exp_sweeps.Adaptive"
    params: dict[str, Any] | None = field(default_factory=Entry)
    n_trials: int = 20
    parallel: int = 1
    seed: int = 17
    digits: int = 2
    budget: str | None = None
