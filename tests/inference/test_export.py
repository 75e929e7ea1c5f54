"""What is exported answers as the run does, loads as its card says, and is written whole or not at all."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from torchvision import models

from resnet_exp import api, export
from resnet_exp.core.errors import RunFailed
from resnet_exp.inference import exporting
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result

NETWORK = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def exported(hot_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run of Hot in all formats, and what the check of each has found."""
    folder = tmp_path_factory.mktemp("export") / "model"
    return folder, api.export(hot_run.path, folder)


def run_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the code of a card in its folder; returns the names that it has set."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "model", raising=False)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.+?)```", (folder / "README.md").read_text(), re.DOTALL):
        assert len(block.splitlines()) <= 3
        exec(block, names)
    return names


def test_each_file_has_the_top1_of_the_run(exported: tuple[Path, dict[str, Any]], hot_run: RunFolder) -> None:
    folder, found = exported
    result = read_result(hot_run)
    assert result is not None
    assert {name: (one.images, one.top1, one.changed) for name, one in found.items()} == dict.fromkeys(
        exporting.FORMATS, (result.val_images, result.top1, 0)
    )
    with safe_open(folder / "model.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["resnet_exp"])
    assert facts["classes"] == ["china", "flower"]
    assert (facts["top1"], facts["recipe"], facts["resize"], facts["crop"]) == (result.top1, "hot", 40, 32)
    evaluated = api.evaluate(folder, f"dataset.dir={hot_run.path.parents[1] / 'photos'}", "eval_batch_size=8")
    assert evaluated.top1 == result.top1


def test_the_code_of_the_card_gives_the_network_of_the_run(
    exported: tuple[Path, dict[str, Any]], hot_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = exported
    names = run_blocks(folder, monkeypatch)
    trained = api.load_model(hot_run.path).network
    with torch.no_grad():
        for network in (names["network"], names["model"].network):
            assert torch.equal(network(NETWORK), trained(NETWORK))
    with pytest.raises(RuntimeError, match="Unexpected key"):  # not silently another network
        models.resnet50(num_classes=2).load_state_dict(names["network"].state_dict())
    _, block, text = (folder / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(block)
    assert facts["pipeline_tag"] == "image-classification"
    assert facts["model-index"][0]["results"][0]["metrics"][0]["value"] == round(
        100 * names["model"].description.top1, 2
    )
    assert "![" in text and (folder / "curve.png").stat().st_size > 1000


def test_plain_networks_load_into_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    plain = models.resnext50_32x4d(num_classes=7).eval()
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in plain.state_dict().items()}}, tmp_path / "a.pth"
    )
    words = [str(tmp_path / "a.pth"), "-o", str(tmp_path / "out"), "--no-check", "--formats", "safetensors"]
    assert export.main(words) == 0
    names = run_blocks(tmp_path / "out", monkeypatch)
    with torch.no_grad():
        assert torch.equal(names["network"].eval()(NETWORK), plain(NETWORK))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md", "config.json", "model.py", "model.safetensors",
    ]  # fmt: skip


def test_a_file_with_other_answers_is_not_written(
    hot_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_torch", lambda pixels, *_: lambda images: -pixels(images))
    with pytest.raises(RunFailed, match=r"pt2: 8 of 8 answers are others than the network's; nothing was written"):
        api.export(hot_run.path, tmp_path / "made" / "out", formats=["pt2"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["torchvision:resnet18", "-o", "TMP/out"], "is not a run: name a run folder"),
        (["RUN", "-o", "TMP"], "exists and is not an earlier export"),
        (["RUN", "-o", "/proc/out"], "-o /proc/out cannot be written"),
        (["RUN", "-o", "TMP/out", "--formats", "tflite"], "tflite is not a format; use one of safetensors, onnx, pt2"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(
    words: list[str], said: str, hot_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    places = {"RUN": str(hot_run.path), "TMP": str(tmp_path)}
    try:
        code = export.main([word.replace("TMP", places["TMP"]).replace("RUN", places["RUN"]) for word in words])
    except SystemExit as ended:  # of argparse
        code = ended.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
