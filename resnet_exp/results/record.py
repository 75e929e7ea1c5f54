"""What the report knows about one training run, your own or a published one."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_exp.core import cost

UNKNOWN = "unknown"
# In tables, where an empty cell is unknown.
NO_ALGORITHMS = "none"


@dataclass(frozen=True)
class RunRecord:
    """One run that ended with an accuracy. Accuracies are fractions (0 to 1), durations in seconds, money in dollars.

    `None` means not recorded.
    """

    run_id: str  # folder name; for a published run a slug such as "mosaicml-mild-2022"
    published: bool
    # mild, medium, hot, baseline; other recipes have their own names. "mild speed=fast" is a series of its own.
    recipe: str
    model: str
    dataset: str
    data: str
    algorithms: tuple[str, ...] | None  # None: not stated; (): none
    cloud: str | None
    hardware: str  # name of a preset, or a text such as "8x A100 80GB"
    gpu: str | None
    devices: int  # of one node; 0 if it trains on its CPUs
    nodes: int
    cpus: int | None
    ssr: float | None
    seed: int | None
    epochs: float | None
    top1: float
    top5: float | None
    train_seconds: float | None
    eval_seconds: float | None
    usd_per_node_hour: float | None  # the price that the run recorded
    price_date: str | None
    published_cost_usd: float | None  # what the source itself states
    eval_resize: int | None  # pixels of the short side, before the crop
    eval_crop: int | None  # pixels of a side
    tta: str  # test-time augmentation: "" or "flip"
    clock: str  # what `train_seconds` covers: "training", "training and evaluation", "to 75.9 %, with evaluation"
    group: str  # the same for runs that differ only in the seed
    resumed: int
    commits: tuple[str, ...]  # commits of the code, in the order in which they trained the run
    dirty: bool  # the code had uncommitted changes
    images_per_second: float | None
    data_wait_seconds: float | None
    energy_kwh: float | None
    source: str  # published: where from; own: ""
    path: str | None  # own: the folder
    sweep: str | None
    command: str | None  # command line that reproduces it
    curve: tuple[tuple[float, float], ...]  # training seconds and top-1 of each evaluation
    # The same for runs of the same images, and where these were; see `resnet_exp.results.datasets`. Published: "".
    data_set_key: str = ""
    data_set_place: str = ""

    @property
    def protocol(self) -> str:
        """How top-1 was measured: only runs with the same protocol are comparable."""
        if self.eval_crop is None:
            return UNKNOWN
        return f"{self.eval_crop} px, {self.tta} TTA" if self.tta else f"{self.eval_crop} px"

    @property
    def evaluated(self) -> str:
        """The protocol, and the short side that the crop was cut from: ``224 px of 256``."""
        return f"{self.protocol} of {self.eval_resize}" if self.eval_crop and self.eval_resize else self.protocol

    @property
    def cost_usd(self) -> float | None:
        """Cost of the training time at the price that the run recorded; None without a time or a price."""
        return cost.cost_usd(self.train_seconds, self.usd_per_node_hour, self.nodes)
