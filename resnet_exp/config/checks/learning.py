"""Whether a run can learn anything: said before it costs time."""

from __future__ import annotations

from resnet_exp.config.checks.algorithm_values import known_class
from resnet_exp.config.schedule import duration, scaled_duration
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import plural
from resnet_exp.data.images import shipped

# Batches below which fresh weights learn next to nothing; and the part of an average that may be the initial weights.
FEWEST_BATCHES, MOST_INITIAL = 50, 0.05


def learning_notes(config: RunConfig) -> list[str]:
    """Why a run would learn little or nothing."""
    remarks: list[str] = []
    length, unit = scaled_duration(config)
    warmup, warmup_unit = duration(config.schedule.warmup, "schedule.warmup")
    if unit == warmup_unit and length <= warmup:
        remarks.append(
            f"{length}{unit} never leave the warm-up of {warmup}{warmup_unit} (ssr does not scale it): "
            "the learning rate only rises, accuracy stays low"
        )
    batches = _batches(config)
    if batches is None:
        return remarks
    if batches < FEWEST_BATCHES and config.init_from is None:
        remarks.append(
            f"{plural(batches, 'batch')} are few to learn from fresh weights; use a higher ssr, a smaller "
            "train_batch_size, or init_from="
        )
    for name, entry in config.algorithms.items():
        if known_class(entry) == "EMA":
            remarks += _average_notes(f"algorithms.{name}", entry.get("half_life"), entry["update_interval"], batches)
    return remarks


def _batches(config: RunConfig) -> int | None:
    """Batches of the run; None if they are not known."""
    length, unit = scaled_duration(config)
    in_the_box = shipped.ALL.get(config.dataset.name)
    images = config.dataset.train_images if in_the_box is None else in_the_box.train_images
    if unit == "ba":
        return length
    return None if images is None else length * (images // config.train_batch_size)


def _average_notes(key: str, half_life: str | None, update_interval: str, batches: int) -> list[str]:
    interval, unit = duration(update_interval, f"{key}.update_interval")
    if unit != "ba":
        return []
    if batches < interval:
        return [
            f"EMA never averages in {plural(batches, 'batch')} ({key}.update_interval={update_interval}): the initial "
            f"weights would be evaluated; use ~{key}"
        ]
    if half_life is None:
        return []
    initial = 0.5 ** (batches / duration(half_life, f"{key}.half_life")[0])
    if initial < MOST_INITIAL:
        return []
    return [
        f"after {plural(batches, 'batch')}, {initial:.0%} of what EMA evaluates are still the initial weights "
        f"({key}.half_life={half_life}); use a shorter one, or ~{key}"
    ]
