"""What `mkdocs.yml` adds to the pages of docs/: the Explorer page, written by the code of this checkout."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from resnet_exp.reporting.markdown import Wanted
from resnet_exp.reporting.write import Content, write_page
from resnet_exp.results.collect import collect_runs
from resnet_exp.results.published_runs import published

EXPLORER = "demo/explorer.html"
# Records of the runs of `make frontier`; the report reads them as it reads run folders.
RUNS = Path("demo/runs")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the Explorer page of the demo sweep and of the published runs."""
    runs = collect_runs([Path(config.docs_dir) / RUNS])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "explorer.html"
        write_page(Content(runs, published(), Wanted("baseline", None)), page)
        files.append(File.generated(config, EXPLORER, content=page.read_bytes()))
    return files
