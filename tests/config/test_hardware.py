"""The hardware presets: schema, names, and prices that agree with the price table and the docs."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resnet_exp import plan
from resnet_exp.config import hydra_versions, resolvers
from resnet_exp.core import paths
from resnet_exp.results import prices
from support.configs import make_config
from support.paths import ROOT

CONF = paths.conf_dir()
PRICES = Path(__file__).parent / "prices.csv"
PRESETS = sorted(path.name.removesuffix(".yaml") for path in (CONF / "hardware").glob("*.yaml"))
# Presets that a provider calls by another name than their file.
INSTANCES = {
    "ND96asr_v4": "Standard_ND96asr_v4",
    "ND96isr_H100_v5": "Standard_ND96isr_H100_v5",
    "ND96isr_H200_v5": "Standard_ND96isr_H200_v5",
    "ND128isr_NDR_GB200_v6": "Standard_ND128isr_NDR_GB200_v6",
    "lambda_8xa100": "8x A100 80GB SXM",
    "lambda_8xa100_40gb": "8x A100 40GB SXM",
    "lambda_8xh100": "8x H100 SXM",
    "lambda_8xb200": "8x B200 SXM6",
    "lambda_1xgh200": "1x GH200",
}
# A primary configuration of this group alone, so that a broken recipe or dataset cannot fail these tests.
APP = """
import hydra
from resnet_exp import plan
from resnet_exp.config import hydra_versions, resolvers
from resnet_exp.core import paths

resolvers.register()
node = {"defaults": ["schema", {"hardware": "cpu"}, "_self_"]}
hydra_versions.store("hardware_only", node)

@hydra.main(config_path=str(paths.conf_dir()), config_name="hardware_only", version_base="1.3")
def main(cfg):
    print(cfg.hardware.name, cfg.hardware.devices)

main()
"""


@cache
def compose_hardware(override: str) -> dict[str, Any]:
    resolvers.register()
    hydra_versions.store("hardware_only", {"defaults": ["schema", {"hardware": "cpu"}, "_self_"]})
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        cfg = compose("hardware_only", overrides=[override])
    hardware = OmegaConf.to_container(cfg.hardware)
    assert isinstance(hardware, dict)
    return {str(key): value for key, value in hardware.items()}


def run_command_line(tmp_path: Path, *arguments: str) -> list[str]:
    folders = [f"hydra.run.dir={tmp_path}", f"hydra.sweep.dir={tmp_path}"]
    command = [sys.executable, "-c", APP, *arguments, *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def read_table() -> dict[str, list[dict[str, str]]]:
    """The price table: instance name to its rows, oldest first."""
    table: dict[str, list[dict[str, str]]] = {}
    with PRICES.open(newline="") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["instance"], []).append(row)
    return {instance: sorted(rows, key=lambda row: row["date"]) for instance, rows in table.items()}


def read_docs(section: str = "") -> dict[str, list[str]]:
    """The table below a heading of docs/hardware.md, or the first before all headings: preset name to other cells."""
    text = (ROOT / "docs" / "hardware.md").read_text()
    rows: dict[str, list[str]] = {}
    sections = (part for part in text.split("\n## ") if part.startswith(section))
    for line in next(sections).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_the_promised_presets_are_there() -> None:
    own = {"cpu", "a100x1", "a100x8", "h100x1", "h100x8", "h200x1", "h200x8", "b200x1", "b200x8"}
    own |= {"gh200x1", "l40sx1", "rtx4090x1", "rtx5090x1"}
    aws = {"p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5en.48xlarge", "p6-b200.48xlarge", "g6e.48xlarge"}
    gcp_azure_oci = {"a2-highgpu-8g", "a3-highgpu-8g", "ND96asr_v4", "ND96isr_H100_v5", "BM.GPU.H100.8"}
    gcp_azure_oci |= {"a3-ultragpu-8g", "a4-highgpu-8g", "ND96isr_H200_v5", "ND128isr_NDR_GB200_v6"}
    lambda_cloud = {"lambda_8xa100", "lambda_8xa100_40gb", "lambda_8xh100", "lambda_8xb200", "lambda_1xgh200"}
    assert own | aws | gcp_azure_oci | lambda_cloud <= set(PRESETS)
    assert not any(compose_hardware(f"hardware={preset}")["usd_per_node_hour"] for preset in own)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_fits_the_schema(preset: str) -> None:
    hardware = compose_hardware(f"hardware={preset}")
    assert hardware["name"] == preset
    assert hardware["nodes"] == 1
    assert hardware["device"] in {"cpu", "gpu", "auto"}
    assert hardware["precision"] in {"amp_fp16", "amp_bf16", "fp32", "auto"}
    if hardware["device"] == "cpu":
        assert hardware["devices"] == 0
    elif hardware["device"] == "gpu":
        assert hardware["devices"] > 0 and hardware["gpu"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_price_has_a_date_and_a_source(preset: str) -> None:
    hardware = compose_hardware(f"hardware={preset}")
    price = [hardware[key] for key in ("usd_per_node_hour", "price_date", "price_source")]
    assert all(price) or not any(price)
    # A cloud may list no price on demand; then the preset says why.
    assert hardware["cloud"] or not any(price)
    assert any(price) or not hardware["cloud"] or "# No price: " in (CONF / "hardware" / f"{preset}.yaml").read_text()
    assert hardware["cloud"] in {None, "aws", "gcp", "azure", "oci", "lambda"}
    assert re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", hardware["price_date"] or "2026")


def test_prices_are_the_newest_in_the_table() -> None:
    table = read_table()
    hardware = {preset: compose_hardware(f"hardware={preset}") for preset in PRESETS}
    priced = {INSTANCES.get(name, name): keys for name, keys in hardware.items() if keys["usd_per_node_hour"]}
    assert set(priced) == set(table)
    for instance, keys in priced.items():
        newest = table[instance][-1]
        assert (keys["cloud"], keys["gpu"]) == (newest["provider"].lower(), newest["gpu"]), instance
        assert (keys["devices"], keys["cpus"]) == (int(newest["gpus"]), int(newest["vcpus"])), instance
        assert keys["memory_gib"] == float(newest["memory_gib"]), instance
        assert keys["usd_per_node_hour"] == float(newest["usd_per_hour"]), instance
        assert (keys["price_date"], keys["price_source"]) == (newest["date"], newest["source"]), instance


def test_published_cost_follows_from_the_old_price() -> None:
    """The published $14.77 is 27.04 min at the price of 2022, not at today's."""
    old, new = (float(row["usd_per_hour"]) for row in read_table()["p4d.24xlarge"])
    assert round(27.04 / 60 * old, 2) == 14.77
    assert round(27.04 / 60 * new, 2) == 9.90


def test_docs_equal_the_presets() -> None:
    docs = read_docs()
    assert set(docs) | {"auto"} == set(PRESETS) | {"auto"}
    for preset in sorted(set(PRESETS) - {"auto"}):
        hardware = compose_hardware(f"hardware={preset}")
        gpus = f"{hardware['devices']}x {hardware['gpu']}" if hardware["devices"] else "none"
        keys = ("cpus", "memory_gib", "usd_per_node_hour")
        numbers = [None if cell == "" else float(cell) for cell in docs[preset][1:4]]
        assert docs[preset][0] == gpus
        assert numbers == [hardware[key] for key in keys]
        assert docs[preset][4:] == [hardware["price_date"] or "", hardware["price_source"] or ""]


def test_spot_prices_are_dated_and_lower_and_in_the_docs() -> None:
    spot = {price.name: price for price in prices.collect_prices().values() if price.spot_usd_per_node_hour}
    docs = {name: (float(usd), date) for name, (usd, date) in read_docs("Spot prices").items()}
    assert docs == {name: (price.spot_usd_per_node_hour, price.spot_date) for name, price in spot.items()}
    for price in spot.values():
        assert 0 < (price.spot_usd_per_node_hour or 0) < (price.usd_per_node_hour or math.inf)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", price.spot_date or "")


def test_prices_without_hydra_are_those_of_the_presets() -> None:
    found = prices.collect_prices()
    assert sorted(found) == PRESETS
    for preset, price in found.items():
        hardware = compose_hardware(f"hardware={preset}")
        keys = ("name", "cloud", "gpu", "devices", "usd_per_node_hour", "spot_usd_per_node_hour", "price_date")
        keys = (*keys, "price_source", "spot_price_date", "spot_price_source")
        assert dataclasses.astuple(price) == tuple(hardware[key] for key in keys)


def test_prices_need_neither_hydra_nor_torch() -> None:
    heavy = "{'hydra', 'omegaconf', 'torch', 'numpy', 'matplotlib'}"
    script = (
        f"import sys; from resnet_exp.results import prices; prices.collect_prices(); print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "set()"


def test_misspelled_key_is_an_error() -> None:
    with pytest.raises(Exception, match="device_count"):
        compose_hardware("hardware.device_count=8")


def test_dotted_names_need_no_quotes_in_a_sweep(tmp_path: Path) -> None:
    names = "p4d.24xlarge,BM.GPU.H100.8,a2-highgpu-8g"
    words = [sys.executable, "-m", "resnet_exp.plan", "-m", f"hardware={names}", "recipe=mild", "dataset=imagenet"]
    done = subprocess.run(
        [*words, "dataset.dir=/data", f"runs_dir={tmp_path}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in names.split(","):
        assert name in done.stdout


def test_own_preset_of_the_docs_works(tmp_path: Path) -> None:
    example = re.search(r"```yaml title=.*?\n(.*?)```", (ROOT / "docs" / "hardware.md").read_text(), re.DOTALL)
    assert example is not None and len(example[1].splitlines()) == 6
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "mybox.yaml").write_text(example[1])
    assert run_command_line(tmp_path, "--config-dir", str(tmp_path), "hardware=mybox") == ["mybox 4"]


def today() -> str:
    """Not the day on which the tests began."""
    return f"{datetime.date.today().isoformat()}, given by hand"


AWS = ("2026-11-09", "datareceipts/data-receipts hyperscalers.json, us-east-1; AWS price list SKU H7NGEAC6UEHNTKSJ")


@pytest.mark.parametrize(
    ("words", "dated"),
    {
        "hardware=p4d.24xlarge": AWS,
        "hardware=p4d.24xlarge hardware.usd_per_node_hour=10": ("today", "given by hand"),
        "hardware=p4d.24xlarge hardware.spot_usd_per_node_hour=10": AWS,
        "hardware=p4d.24xlarge hardware.usd_per_node_hour=10 hardware.price_date=2027": ("2027", "given by hand"),
        "hardware=p4d.24xlarge hardware.usd_per_node_hour=10 hardware.price_source=quote": ("today", "quote"),
        "hardware=cpu hardware.usd_per_node_hour=1": ("today", "given by hand"),
        "hardware=cpu": (None, None),
    }.items(),
)
def test_a_price_given_by_hand_has_not_the_date_of_another(words: str, dated: tuple[str | None, str | None]) -> None:
    hardware = make_config(*words.split(), "dataset=imagenet", "dataset.dir=/data").hardware
    expected = (today(), dated[1]) if dated[0] == "today" else dated
    assert (hardware.price_date, hardware.price_source) == expected


def test_a_price_in_a_file_of_ones_own_is_by_hand_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("# @package _global_\nhardware: {usd_per_node_hour: 10}\n")
    words = ["recipe=mild", "ssr=0.36", "dataset=imagenet", "hardware=p4d.24xlarge", f"runs_dir={tmp_path}/runs"]
    assert plan.main(["--config-dir", str(tmp_path), *words]) == 0
    shown = capfd.readouterr().out
    assert f"$10.00 an hour (price of {today()})" in shown
    (row,) = [line for line in shown.splitlines() if line.startswith("  p4d.24xlarge")]
    assert today() in row and "2026-11-09" not in row and "$4.63" in row
    assert plan.main(["-m", *words, "seed=1,2", "hardware.usd_per_node_hour=10"]) == 0
    (row,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("  p4d.24xlarge")]
    assert today() in row and "$9.25" in row


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hardware=a100x8",), None),
        (("hardware=a100x8", "hardware.devices=4"), 256),
        (("hardware=p4d.24xlarge", "hardware.devices=2"), 256),
        (("hardware=h100x8", "hardware.devices=2", "hardware.nodes=2"), 256),
        (("hardware=h100x8", "hardware.devices=4", "hardware.nodes=2"), None),
        (("hardware=a100x8", "hardware.name=mybox", "hardware.gpu=null", "hardware.devices=1"), 256),
        (("hardware=a100x8", "hardware.devices=4", "train_batch_size=1024"), None),
        (("hardware=a100x8", "hardware.devices=4", "hardware.device_train_microbatch_size=512"), 512),
        (("hardware=a100x8", "hardware.devices=4", "hardware.device_train_microbatch_size=auto"), "auto"),
        (("hardware=cpu",), None),
    ],
)
def test_a_gpu_takes_as_many_images_at_once_as_in_the_original(words: tuple[str, ...], expected: int | None) -> None:
    """BatchNorm would see 512 images where the recipe has 256, and 2,048 do not fit the memory of a GPU."""
    assert make_config("recipe=mild", "dataset=imagenet", "dataset.dir=/data", *words).hardware.microbatch == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [("hardware=a100x1", 256), ("hardware=a100x8", 256), ("hardware=a100x8 hardware.nodes=2", 128)],
)
def test_a_gpu_evaluates_no_more_images_at_a_time_than_24_gb_hold(words: str, expected: int) -> None:
    config = make_config("recipe=mild", "dataset=imagenet", "dataset.dir=/data", *words.split())
    assert config.rank_eval_batch == expected
