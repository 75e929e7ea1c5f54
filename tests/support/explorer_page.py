"""A page of made runs for the tests of the Explorer in a browser, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from resnet_exp.reporting import explorer
from resnet_exp.results.prices import collect_prices
from resnet_exp.results.published_runs import published
from resnet_exp.results.record import RunRecord

HOSTILE = "<img src=x onerror=document.title='pwned'></script>=1+1"


def own(number: int, seed: int = 1, **changes: Any) -> RunRecord:
    """A run of a tiny grid: longer is better, hot is better and slower than mild."""
    recipe = changes.pop("recipe", "mild")
    slower = {"mild": 1.0, "hot": 1.5, "baseline": 3.0}[recipe]
    seconds = 60.0 * number * slower + seed
    return RunRecord(
        run_id=f"{recipe}-{number}-s{seed}", published=False, recipe=recipe, model="resnet14", dataset="digits",
        data="imagefolder", algorithms=("blurpool", "ema") if recipe != "baseline" else (), cloud="aws",
        hardware="p4d.24xlarge", gpu="A100 40GB", devices=8, nodes=1, cpus=96, ssr=0.1 * number, seed=seed,
        epochs=9 * number, top1=0.5 + 0.1 * number + 0.01 * seed + (0.02 if recipe == "hot" else 0), top5=0.99,
        train_seconds=seconds, eval_seconds=1.0, usd_per_node_hour=36.0, price_date="2025-01-01",
        published_cost_usd=None, eval_resize=24, eval_crop=24, tta="", clock="training",
        group=f"{recipe}-{number}", resumed=0, commits=("abc",), dirty=False, images_per_second=100.0,
        data_wait_seconds=6.0, energy_kwh=None, source="", path=f"runs/{recipe}-{number}", sweep="s",
        command=f"resnet_exp recipe={recipe} ssr={number}", curve=((seconds / 2, 0.3), (seconds, 0.6)),
    )  # fmt: skip


OWN = [
    own(number, seed, recipe=recipe)
    for recipe in ("mild", "hot", "baseline")
    for number in (1, 2, 3)
    for seed in (1, 2)
]
ODD = [
    replace(own(4, recipe="hot"), run_id=HOSTILE, group=HOSTILE, recipe=HOSTILE, resumed=2,
            commits=("a", "b"), dirty=True),
    replace(own(4), run_id="single", group="single", model="resnet50", hardware="mybox", cloud=None, data="ffcv",
            usd_per_node_hour=None, price_date=None, cpus=8),
    replace(own(2), run_id="large", group="large", eval_crop=48, tta="flip", top1=0.99),
]  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a grid of 18 runs, three odd ones and the published ones."""
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    configs = {"mild-1-s1": "recipe: mild\nhostile: </script><b>\n"}
    explorer.write_page([*OWN, *ODD, *published()], collect_prices(), {"done": 21, "failed": 2}, path, configs)
    return path


def rows(page: Page) -> list[dict[str, str]]:
    """The table by its headings."""
    found = page.evaluate(
        "() => [...document.querySelectorAll('#table tr')].map(row => [...row.children].map(cell => cell.innerText))"
    )
    return [dict(zip((cell.strip() for cell in found[0]), row, strict=True)) for row in found[1:]]


def column(page: Page, name: str) -> list[str]:
    return [row[name] for row in rows(page)]


def href(page: Page) -> str:
    """The address of the page as it is: `Page.url` is what Playwright has heard of."""
    return page.evaluate("location.href")


def chart(page: Page, expression: str) -> Any:
    """An expression of Plotly's `chart` in the page."""
    return page.locator("#chart").evaluate(f"chart => {expression}")


def points(page: Page) -> int:
    """Points that the chart shows."""
    return chart(page, "chart.hidden ? 0 : chart.data.filter(d => d.meta.kind === 'marks').flatMap(d => d.x).length")


def cards(page: Page) -> list[str]:
    """The answers, each in one line."""
    return [" ".join(card.split()) for card in page.locator("#answer .card").all_inner_texts()]
