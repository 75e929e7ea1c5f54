"""What `mkdocs.yml` adds to the pages of docs/: the Explorer page, and the titles of pages as the texts of links."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from resnet_exp.reporting.markdown import Wanted
from resnet_exp.reporting.write import Content, write_page
from resnet_exp.results.collect import collect_runs
from resnet_exp.results.published_runs import published

EXPLORER = "demo/explorer.html"
# Of each run, result.json and metrics.jsonl (CONTRIBUTING.md).
RUNS = "demo/runs/*"
LINK = re.compile(r"\[([\w-]+\.md)\](?=\(\1[#)])")
CODE_IN_TABLE = re.compile(r"^\|.*`.*\\\|.*`.*$", re.MULTILINE)
_titles: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the Explorer page: the published runs, and those in docs/demo/runs."""
    runs = collect_runs(sorted(Path(config.docs_dir).glob(RUNS)))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "explorer.html"
        write_page(Content(runs, published(), Wanted("baseline", None)), page)
        files.append(File.generated(config, EXPLORER, content=page.read_bytes()))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Learn the titles of the pages."""
    _titles.update({page.file.src_path: str(page.title) for page in nav.pages})
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write for the site what is written for GitHub: ``[cluster.md](cluster.md)``, and pipes of code in tables."""
    markdown = CODE_IN_TABLE.sub(lambda found: found[0].replace(r"\|", "|"), markdown)
    return LINK.sub(lambda found: f"[{_titles.get(found[1], found[1])}]", markdown)
