"""A data format of the user's own: the example of docs/config.md, and a loader that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import RunCli
from support.paths import TESTS
from support.photos import PhotoTree

Setup = Callable[[str], list[str]]


@pytest.fixture
def own_format(tmp_path: Path, photo_tree: PhotoTree, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Overrides of a run whose ``data`` is the example, with other code at its end."""
    page = (TESTS.parent / "docs" / "config.md").read_text().split("### A data format")[1]
    module = page.split('```python title="my_data.py"\n')[1].split("```")[0]
    entry = page.split('```yaml title="my_conf/data/memory.yaml"\n')[1].split("```")[0]

    def write(more: str) -> list[str]:
        (tmp_path / "my_data.py").write_text(module + more)
        (tmp_path / "my_conf" / "data").mkdir(parents=True)
        (tmp_path / "my_conf" / "data" / "memory.yaml").write_text(entry)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        folder = ("dataset=imagefolder", f"dataset.dir={photo_tree()}")
        return [*tiny, "--config-dir", "my_conf", "data=memory", *folder, "run_id=mine"]

    return write


def test_the_example_trains_on_two_ranks(own_format: Setup, train_cli: RunCli, tmp_path: Path) -> None:
    done = train_cli(*own_format(""), "recipe=mild", "hardware.devices=2")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "runs" / "mine" / "result.json").read_text())
    assert (result["train_images"], result["val_images"]) == (32, 8)
    assert result["hardware"]["devices"] == 0  # two ranks on the CPU are not GPUs


def test_what_a_loader_lacks_is_named(own_format: Setup, train_cli: RunCli) -> None:
    done = train_cli(*own_format("\ndel InMemory.seek, InMemory.__len__\n"), "recipe=mild")
    assert done.returncode == 2
    assert "data.loader: my_data.InMemory makes a InMemory without seek, __len__; a loader has" in done.stderr
