"""A run as the report sees it: one of this project's run folders, or a published one. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        run_id: name of the run folder; of a published run a slug such as ``mosaicml-mild-2022``.
        published: whether it is from `published_runs`, not from a folder.
        recipe: mild, medium, hot, baseline; others have names of their own, such as ``ffcv_rn50``.
        cloud: as in the hardware presets.
        hardware: a hardware preset (``p4d.24xlarge``), else a description (``8x A100 80GB``).
        devices: GPUs of one node.
        cpus: CPUs of one node.
        top1: fraction.
        top5: fraction.
        train_seconds: what `clock` covers; None if it was not published.
        eval_seconds: time of the evaluations, where that is known.
        usd_per_node_hour: the price that the run recorded.
        price_date: of that price.
        published_cost_usd: what the source itself states.
        eval_resize: short side in pixels that images are resized to for evaluation.
        eval_crop: side in pixels of the centre crop that is evaluated.
        tta: test-time augmentation: empty, or ``flip``.
        clock: what `train_seconds` covers, such as ``training``.
        group: the same text for runs that differ in nothing but the seed.
        resumed: how often it went on from a checkpoint.
        commits: of the code; more than one if it was resumed with another.
        dirty: whether the code had changes that were not committed.
        data_wait_seconds: how long training waited for the data.
        energy_kwh: None: not known.
        source: of a published run where it is from; empty for others.
        path: its folder; None for published runs.
        command: command line that runs the same again.
        curve: training seconds and top-1 (fraction) of each evaluation.
    """

    run_id: str
    published: bool
    recipe: str
    model: str
    dataset: str
    data: str
    algorithms: tuple[str, ...]
    cloud: str | None
    hardware: str
    gpu: str | None
    devices: int
    nodes: int
    cpus: int | None
    ssr: float | None
    seed: int | None
    epochs: float | None
    top1: float
    top5: float | None
    train_seconds: float | None
    eval_seconds: float | None
    usd_per_node_hour: float | None
    price_date: str | None
    published_cost_usd: float | None
    eval_resize: int | None
    eval_crop: int | None
    tta: str
    clock: str
    group: str
    resumed: int
    commits: tuple[str, ...]
    dirty: bool
    samples_per_second: float | None
    data_wait_seconds: float | None
    energy_kwh: float | None
    source: str
    path: str | None
    sweep: str | None
    command: str | None
    curve: tuple[tuple[float, float], ...]

    @property
    def protocol(self) -> str:
        """How it was evaluated: ``224 px``, ``256 px, flip TTA``, or ``unknown``."""
        if self.eval_crop is None:
            return "unknown"
        return f"{self.eval_crop} px" + (f", {self.tta} TTA" if self.tta else "")

    @property
    def cost_usd(self) -> float | None:
        """Dollars of `train_seconds` on all nodes at the recorded price; None if the time or the price is unknown."""
        if self.train_seconds is None or self.usd_per_node_hour is None:
            return None
        return self.train_seconds / 3600 * self.nodes * self.usd_per_node_hour
