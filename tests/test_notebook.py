"""The notebook of the docs in a real kernel; and what an interrupt of the kernel leaves."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from resnet_exp.core.files import read_json
from resnet_exp.runs.folder import RunFolder
from support.paths import ROOT

WORDS = "recipe=mild hardware=cpu model=resnet14 data=imagefolder data.num_workers=0 ssr=0.0223 run_id=mine"
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def execute(notebook: Any, folder: Path) -> list[str]:
    """Execute a notebook; returns what each of its cells of code shows."""
    NotebookClient(notebook, timeout=900, allow_errors=True, resources={"metadata": {"path": str(folder)}}).execute()
    return [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> str:
    """All that a cell shows, as text."""
    texts = ("".join(output.get("traceback", ())) for output in cell.outputs)
    plain = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return "".join(one + other for one, other in zip(plain, texts, strict=True))


def test_the_notebook_of_the_docs(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    imported, composed, planned, trained, table, predicted = execute(notebook, tmp_path)
    assert imported == "" and composed.startswith("'mild-ssr0.0334-cpu-s17-")
    assert "$10.16" in planned and re.search(r"epoch 3/3  top-1 +\d+\.\d\d%", trained)
    assert "train_seconds" in table and "mild" in table and "probability=" in predicted
    assert "already done" in execute(notebook, tmp_path)[3], "nothing is trained again"


def test_an_interrupted_kernel_leaves_a_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "mine")
    train = f"from resnet_exp.api import train; train({WORDS!r}).resumed"
    # What a notebook's stop button sends, as soon as the run has made progress.
    cells = ["import os; open('pid', 'w').write(str(os.getpid()))", train, train]
    ended = threading.Event()

    def interrupt() -> None:
        while not run.progress.exists() and not ended.wait(0.2):
            pass
        time.sleep(1)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        _, stopped, again = execute(new_notebook(cells=[new_code_cell(cell) for cell in cells]), tmp_path)
    finally:
        ended.set()
        thread.join()
    assert re.search(r"RunStopped: stopped; rerun the same command to continue: \S+/mine\Z", stopped.strip()), stopped
    assert "Traceback" not in stopped and "resuming" in again and again.strip().endswith("1")
    result = read_json(run.result)
    assert result is not None and result["resumed"] == 1
