"""What a plan says of a run's course, held against the original system's record and against real models and files."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_exp.config import schedule
from resnet_exp.config.network import parameters
from resnet_exp.config.schema import ModelConfig, ResolutionConfig, RunConfig, ScheduleConfig
from resnet_exp.planning import schedule_text
from resnet_exp.planning.scaling import published_speeds
from resnet_exp.reporting.curves import save
from resnet_exp.results.published_runs import published
from support.configs import make_config
from support.original import original

IMAGENET = ("dataset=imagenet", "dataset.dir=/nowhere")
EPOCH_IMAGES = 625 * 2048


@pytest.mark.parametrize("recipe", ["baseline", "mild", "medium", "hot"])
@pytest.mark.parametrize(("length", "batches"), [("90ep", 1), ("90ep", 7), ("630ba", 7)])
def test_images_are_loaded_at_the_size_that_colout_leaves(recipe: str, length: str, batches: int) -> None:
    warmup = f"schedule.warmup={length.replace('90', '8').replace('630', '56')}"
    planned = make_config(f"recipe={recipe}", f"schedule.max_duration={length}", warmup, *IMAGENET)
    cut = planned.algorithms.get("colout", {"p_col": 0})["p_col"]
    for batch in range(90 * batches):
        loaded = schedule.loaded_size(planned, batch // batches, batch % batches, batches)
        elapsed = batch / batches / 90 if length == "630ba" else batch // batches / 90
        assert int((1 - cut) * loaded) == schedule.size_at(planned, elapsed)
    assert schedule.loaded_size(planned, 89, batches - 1, batches) == planned.resolution.train


@pytest.mark.parametrize("recipe", ["mild", "medium", "hot"])
def test_course_is_that_of_the_original(recipe: str) -> None:
    trace = original(recipe)
    planned = make_config(f"recipe={recipe}", f"ssr={trace['ssr']}", *IMAGENET)
    sizes = schedule.sizes(planned)
    assert len(sizes) == trace["epochs"]
    batches = len(trace["rows"]) / trace["epochs"]
    for row in trace["rows"]:
        assert [sizes[row["epoch"]]] * 2 == row["size"]
        assert schedule.learning_rate(planned, row["batch"] / batches) == pytest.approx(row["lr"], rel=1e-9, abs=0)


@given(
    initial=st.floats(0.1, 1), delay=st.floats(0, 1), finetune=st.floats(0, 1), step=st.integers(1, 16),
    side=st.integers(16, 256), epochs=st.integers(1, 300),
)  # fmt: skip
def test_images_only_grow(initial: float, delay: float, finetune: float, step: int, side: int, epochs: int) -> None:
    resizing = {"initial_scale": initial, "delay_fraction": delay, "finetune_fraction": finetune}
    planned = RunConfig(
        resolution=ResolutionConfig(train=side),
        algorithms={"progressive_resizing": {**resizing, "size_increment": step}},
        schedule=ScheduleConfig(max_duration=f"{epochs}ep", warmup="0ep"),
    )
    sizes = schedule.sizes(planned)
    assert len(sizes) == epochs and sizes == sorted(sizes) and sizes[-1] <= side
    counts = re.findall(r"px for ([\d,]+) epoch", schedule_text.sizes_text(planned))
    assert sum(int(count.replace(",", "")) for count in counts) == epochs


def test_course_in_words() -> None:
    mild = make_config("recipe=mild", "ssr=0.32", *IMAGENET)
    assert schedule_text.sizes_text(mild) == "88 px for 12 epochs, 96 to 172 px for 11 epochs, 176 px for 5 epochs"
    assert schedule_text.learning_rate_text(mild) == "0 to 2.048 in 8 epochs, then a cosine down to 0 over 20 epochs"
    short = make_config("recipe=baseline", "ssr=0.0334", *IMAGENET)
    assert schedule_text.sizes_text(short) == "224 px for 3 epochs"
    assert schedule_text.learning_rate_text(short).startswith("0 to 0.768 in 3 epochs: all of it is warm-up")


def test_drawn_course(tmp_path: Path) -> None:
    for name, overrides in {"mild.svg": ("ssr=0.36",), "short.png": ("ssr=0.05",), "one.svg": ("ssr=0.0112",)}.items():
        save(schedule_text.draw(make_config("recipe=mild", *overrides, *IMAGENET)), tmp_path / name, "picture=")
        assert (tmp_path / name).stat().st_size > 5000
    assert ">learning rate<" not in (tmp_path / "mild.svg").read_text(), "text is drawn as paths"


@pytest.mark.parametrize("length", ["90ep", "1999ba", "56250ba"])
def test_mean_area_is_that_of_all_steps(length: str) -> None:
    planned = make_config("recipe=mild", f"schedule.max_duration={length}", *IMAGENET)
    exact = statistics.fmean(side**2 for side in schedule.sizes(planned))
    assert schedule.mean_area(planned) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_parameters_are_those_of_torchvision(name: str) -> None:
    import torchvision

    network = getattr(torchvision.models, name)(num_classes=37)
    planned = make_config(f"model={name}", *IMAGENET)
    model = replace(planned.model, num_classes=37)
    assert parameters(model) == sum(weight.numel() for weight in network.parameters())


def test_parameters_of_other_widths() -> None:
    from torchvision.models.resnet import Bottleneck, ResNet

    shape = ModelConfig(block="bottleneck", layers=[1, 2, 1, 1], groups=32, width_per_group=4, num_classes=10)
    network = ResNet(Bottleneck, [1, 2, 1, 1], num_classes=10, groups=32, width_per_group=4)
    assert parameters(shape) == sum(weight.numel() for weight in network.parameters())


def planned_minutes(*overrides: str) -> dict[str, float]:
    planned = make_config(*IMAGENET, *overrides)
    epochs, _ = schedule.scaled_duration(planned)
    return {
        time.host.citation.split(",")[0]: time.seconds / 60
        for time in published_speeds.times(planned, EPOCH_IMAGES, epochs)
    }


def test_speeds_are_those_of_the_gpu_whatever_names_it() -> None:
    """A run with ``hardware=auto`` has the name that NVML gives, a preset that of the cloud."""
    by_preset, by_nvml = (
        planned_minutes("recipe=mild", "ssr=0.32", "hardware=a100x8", f"hardware.gpu={gpu}")
        for gpu in ("A100 40GB", "NVIDIA A100-SXM4-40GB")
    )
    assert by_preset and by_preset == by_nvml
    assert planned_minutes("recipe=mild", "ssr=0.32", "hardware=b200x8") == {}


def published_minutes(group: str) -> list[float]:
    return [run.train_seconds / 60 for run in published() if run.group == group and run.train_seconds]


def test_time_of_published_runs() -> None:
    """Their speeds are medians of some epochs; the minutes of the whole runs, evaluations and all, were not used."""
    planned = planned_minutes("recipe=mild", "ssr=0.32", "hardware=a100x8")
    # They were stopped one epoch before the end, which is one at full size.
    last_epoch = {"MosaicML": EPOCH_IMAGES / 20_094 / 60, "Ailiverse": EPOCH_IMAGES / 18_259 / 60}
    for whose, group in {"MosaicML": "mosaicml-mlperf2.0-methods", "Ailiverse": "ailiverse-mlperf3.1-mild"}.items():
        minutes = published_minutes(group)
        assert len(minutes) == 5
        assert planned[whose] - last_epoch[whose] == pytest.approx(statistics.fmean(minutes), rel=0.05)
    (p4d,) = planned_minutes("recipe=mild", "ssr=0.36", "hardware=p4d.24xlarge").values()
    assert [p4d] == pytest.approx(published_minutes("mosaicml-mild-2022"), rel=0.1)


def test_few_threads_limit_the_speed() -> None:
    few = planned_minutes("recipe=mild", "ssr=0.36", "hardware=p4d.24xlarge", "hardware.cpus=24")
    assert few["Ailiverse"] == pytest.approx(32 * EPOCH_IMAGES / (21_247 / 2) / 60, rel=1e-6)
    many = planned_minutes("recipe=mild", "ssr=0.36", "hardware=p4d.24xlarge", "hardware.cpus=240")
    assert list(many) == ["MosaicML"]
    assert many == planned_minutes("recipe=mild", "ssr=0.36", "hardware=p4d.24xlarge")


def test_sam_passes_twice_every_so_often() -> None:
    plain = ["recipe=medium", "ssr=1", "hardware=p4d.24xlarge"]
    (once,) = planned_minutes(*plain, "~algorithms.sam").values()
    (often,) = planned_minutes(*plain).values()
    cold = 120.5 / 60
    assert (often - cold) / (once - cold) == pytest.approx(1.1)
