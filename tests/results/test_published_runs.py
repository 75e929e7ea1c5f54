"""The published runs: every row parses, and the file agrees with what the sources say of it as a whole."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import statistics
import subprocess
import sys
from collections import Counter

import pytest

from resnet_exp.core import paths
from resnet_exp.results import frontier, prices, published_runs
from resnet_exp.results.record import RunRecord

RUNS = {run.run_id: run for run in published_runs.published()}
GROUPS = {group.key: group for group in frontier.aggregate(RUNS.values())}
PRICES = prices.collect_prices()
MILD, VANILLA = RUNS["mosaicml-mild-2022"], RUNS["mosaicml-vanilla-2022"]
# As stated by the submitters' tables: runs, minutes from run_start to run_stop (the olympic mean, or their range).
MLPERF = {
    "mosaicml-mlperf2.0-methods": (5, 23.789),
    "mosaicml-mlperf2.0-baseline": (5, 110.513),
    "ailiverse-mlperf3.1-mild": (5, 28.985),
    "nvidia-mlperf2.0-dgxa100": (4, (28.41, 28.75)),
    "azure-mlperf2.0-a100": (5, 29.37),
    "nvidia-mlperf2.1-dgxh100": (5, 14.68),
    "nvidia-mlperf3.0-dgxh100": (4, (13.42, 13.62)),
    "azure-mlperf3.0-h100": (5, 13.76),
    "nvidia-mlperf3.1-eos": (4, (13.40, 13.52)),
    "nvidia-mlperf4.0-eos": (5, 13.27),
    "nvidia-mlperf4.0-h200": (5, 12.03),
    "dell-mlperf4.0-h100": (4, (13.15, 13.17)),
    "dell-mlperf4.0-l40s": (5, 85.96),
    "tinycorp-mlperf4.0-green": (4, (121.5, 122.3)),
    "tinycorp-mlperf4.0-red": (5, (162.8, 173.8)),
}


def minutes_of(group: str) -> list[float]:
    return sorted((run.train_seconds or math.nan) / 60 for run in GROUPS[group].runs)


def cost_at(run: RunRecord, usd_per_node_hour: float | None) -> float | None:
    return dataclasses.replace(run, usd_per_node_hour=usd_per_node_hour).cost_usd


def test_every_row_is_one_run_and_has_all_columns() -> None:
    with published_runs.FILE.open(newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(cell == cell.strip() for row in rows for cell in row)
    assert len(RUNS) == len(rows) - 1
    assert len(RUNS) == len(published_runs.published())


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_numbers_are_in_range_and_in_their_units(run: RunRecord) -> None:
    assert run.published and run.path is None and run.source
    # Percent and fractions cannot be confused: no ResNet is below 50 %.
    assert 0.5 < run.top1 < 0.82
    assert run.top5 is None or run.top1 < run.top5 < 0.96
    assert run.train_seconds is None or 600 < run.train_seconds < 60 * 3600
    assert run.epochs is None or 16 <= run.epochs <= 600
    assert run.ssr is None or run.epochs in (int(90 * run.ssr), None) or run.clock.startswith("to 75.9 %")
    assert (run.train_seconds is None) == (run.clock == "")
    assert run.eval_crop in (224, 256) and run.eval_resize in (None, 232, 235, 256)
    assert run.tta in ("", "flip")
    assert run.recipe and run.model in ("resnet18", "resnet50", "resnet101")
    assert re.fullmatch(r"[\w.-]+", run.run_id) and run.group


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_time_has_hardware_and_an_instance_has_a_price(run: RunRecord) -> None:
    if run.train_seconds is not None:
        assert run.hardware != "not stated" and run.gpu and run.devices > 0
    price = PRICES.get(run.hardware)
    if price is not None:
        assert price.usd_per_node_hour and (run.cloud, run.gpu, run.devices) == (price.cloud, price.gpu, price.devices)
    else:
        assert run.usd_per_node_hour is None
        # The one instance that has no preset, for want of a dated price.
        assert run.cloud in (None, "mosaicml") or run.hardware == "ND96amsr_A100_v4"
    assert (run.usd_per_node_hour is None) == (run.price_date is None)


def test_algorithms_are_called_as_in_the_configuration() -> None:
    known = {path.stem for path in (paths.conf_dir() / "algorithms").glob("*.yaml")}
    assert {name for run in RUNS.values() for name in run.algorithms or ()} <= known
    assert all(len(run.algorithms or ()) == 5 for run in RUNS.values() if run.recipe == "mild")


def test_the_headline_costs_what_was_said_at_the_price_of_then_and_less_today() -> None:
    assert MILD.top1 == 0.766 and MILD.train_seconds == pytest.approx(27.04 * 60)
    assert MILD.usd_per_node_hour == 32.7726
    assert MILD.published_cost_usd == 14.77 and MILD.cost_usd == pytest.approx(14.77, abs=0.005)
    assert cost_at(MILD, PRICES[MILD.hardware].usd_per_node_hour) == pytest.approx(9.90, abs=0.005)
    assert cost_at(MILD, PRICES[MILD.hardware].spot_usd_per_node_hour) == pytest.approx(7.34, abs=0.005)


@pytest.mark.parametrize("run", [run for run in RUNS.values() if run.published_cost_usd and run.train_seconds])
def test_stated_costs_follow_from_stated_times_as_far_as_these_were_rounded(run: RunRecord) -> None:
    assert run.cost_usd == pytest.approx(run.published_cost_usd, rel=0.02)


def test_the_saving_against_vanilla_is_the_published_one() -> None:
    assert (VANILLA.top1, VANILLA.hardware) == (MILD.top1, MILD.hardware)
    ratios = frontier.against_baseline(
        [GROUPS[MILD.group], GROUPS[VANILLA.group]], lambda run: run == VANILLA, "cost_usd"
    )
    assert ratios[0] is not None and ratios[0].value == pytest.approx(116 / 14.77, rel=0.02)


def test_the_run_that_the_recipes_refer_to() -> None:
    run = RUNS["fks-short-timing-r6z2-seed-17-ssr0.32"]
    assert (run.recipe, run.ssr, run.seed, run.top1, run.train_seconds) == ("mild", 0.32, 17, 0.7619, None)


@pytest.mark.parametrize("group", MLPERF)
def test_mlperf_groups_have_their_runs_and_times(group: str) -> None:
    n, expected = MLPERF[group]
    minutes = minutes_of(group)
    assert len(minutes) == n and len({run.seed for run in GROUPS[group].runs}) == n
    assert all(run.clock == "to 75.9 %, with evaluation" and run.top1 >= 0.759 for run in GROUPS[group].runs)
    if isinstance(expected, tuple):
        assert (minutes[0], minutes[-1]) == pytest.approx(expected, abs=0.05)
    else:
        assert statistics.fmean(minutes[1:-1]) == pytest.approx(expected, abs=0.006)


def test_groups_are_the_mlperf_submissions_and_else_single_runs() -> None:
    sizes = Counter(group.n for group in GROUPS.values())
    assert {key for key, group in GROUPS.items() if group.n > 1} == set(MLPERF)
    assert sizes == {5: 10, 4: 5, 1: 32}
    for group in GROUPS.values():
        differing = ("run_id", "seed", "top1", "train_seconds", "epochs", "source")
        alike = {dataclasses.replace(run, **dict.fromkeys(differing)) for run in group.runs}  # type: ignore[arg-type]
        assert len(alike) == 1


@pytest.mark.parametrize(
    ("group", "mean_minutes", "mean_top1", "deviation"),
    [
        ("mosaicml-mlperf2.0-methods", 23.89, 0.76166, 0.0008),
        ("mosaicml-mlperf2.0-baseline", 110.731, 0.76667, None),
        ("ailiverse-mlperf3.1-mild", 29.034, 0.76122, 0.00097),
    ],
)
def test_mosaicml_means(group: str, mean_minutes: float, mean_top1: float, deviation: float | None) -> None:
    found = GROUPS[group]
    assert found.train_seconds is not None and found.top1.sem is not None
    assert found.train_seconds.mean / 60 == pytest.approx(mean_minutes, abs=0.005)
    assert found.top1.mean == pytest.approx(mean_top1, abs=5e-6)
    if deviation is not None:
        assert found.top1.sem * math.sqrt(5) == pytest.approx(deviation, abs=5e-6)


def test_the_published_frontier_never_mixes_protocols() -> None:
    fronts = frontier.fronts(list(GROUPS.values()), "train_seconds")
    assert set(fronts) == {("imagenet", "224 px"), ("imagenet", "256 px, flip TTA")}
    for (_, protocol), front in fronts.items():
        assert front and {run.protocol for group in front for run in group.runs} == {protocol}
    flipped = fronts["imagenet", "256 px, flip TTA"]
    assert [group.key for group in flipped] == [f"ffcv-rn50-{epochs}" for epochs in (16, 24, 32, 40, 56, 88)]


def test_published_runs_need_neither_hydra_nor_torch() -> None:
    heavy = "{'hydra', 'omegaconf', 'torch', 'numpy', 'yaml', 'matplotlib'}"
    imports = "import sys; from resnet_exp.results import frontier, published_runs"
    script = f"{imports}; published_runs.published(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "set()"
