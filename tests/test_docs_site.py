"""The docs site: it builds without a warning, links and anchors hold, and nothing of it comes from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

# Of a page: what a browser loads at once.
LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="?([^" >]+)')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: what it does not say, it does not count.
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    pages = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    home = (site / "index.html").read_text()
    assert [page for page in pages if f'href="{page}.html"' not in home and page != "index"] == []
    assert [page for page in pages if not (site / f"{page}.html").exists()] == []


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = LOADED.findall(page.read_text())
        assert any(place.endswith(".css") for place in loaded) and any(place.endswith(".js") for place in loaded)
        assert [place for place in loaded if "//" in place] == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"url\(\s*['\"]?(?:https?:)?//", sheet.read_text()) == [], sheet.name


def test_the_explorer_is_a_page_of_it(site: Path) -> None:
    assert "<title>resnet_exp Explorer</title>" in (site / "demo" / "explorer.html").read_text()
    assert 'href="demo/explorer.html"' in (site / "frontier.html").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_pages_outside_of_the_site_link_to_is_there(page: str) -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert linked and [place for place in linked if not (ROOT / place).exists()] == []
    anchors = re.findall(r"\]\((docs/[^)#]+)#([^)]+)\)", (ROOT / page).read_text())
    for place, anchor in anchors:
        headings = re.findall(r"^#+ (.+)$", (ROOT / place).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
