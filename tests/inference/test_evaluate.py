"""A model is evaluated with the numbers of its run, on other images, at other sizes; what cannot be is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError
from torchvision import models

from resnet_exp import api, evaluate
from resnet_exp.core.errors import RequestError
from resnet_exp.inference.evaluation import evaluate_model
from resnet_exp.inference.metrics import BINS, Calibration, PerClass
from resnet_exp.inference.models import open_model
from resnet_exp.launch.config_file import read_config
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from support.paths import TESTS
from support.trained_sweep import TrainedSweep

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def mild_run(trained_sweep: TrainedSweep) -> RunFolder:
    """A finished run on image files."""
    return RunFolder(next(path.parent for path in sorted(trained_sweep.runs.glob("*/result.json"))))


@pytest.mark.parametrize("name", ["mild_run", "hot_run"])
def test_the_numbers_are_those_of_the_runs_last_evaluation(name: str, request: pytest.FixtureRequest) -> None:
    run: RunFolder = request.getfixturevalue(name)
    result = read_result(run)
    assert result is not None
    # A checkpoint has the average too.
    for model in (run.path, *([run.latest_checkpoint.resolve()] if name == "hot_run" else [])):
        found = api.evaluate(model)
        assert (found.top1, found.top5, found.loss) == (result.top1, result.top5, result.eval_loss)
        assert (found.images, found.notes) == (result.val_images, ())


def test_what_is_measured_beside_adds_up(hot_run: RunFolder) -> None:
    found = api.evaluate(hot_run.path, crops=(24, 64))
    assert [(one.name, one.images) for one in found.classes] == [("china", 4), ("flower", 4)]
    assert sum(one.top1 * one.images for one in found.classes) == found.top1 * found.images
    assert len(found.bins) == BINS
    assert sum(one.images for one in found.bins) == found.images
    expected = sum(one.images * abs(one.confidence - one.accuracy) for one in found.bins) / found.images
    assert found.ece == pytest.approx(expected, abs=1e-6)
    assert [(one.resize, one.crop) for one in found.sizes] == [(30, 24), (80, 64)]
    assert len({one.loss for one in found.sizes} | {found.loss}) == 3


def test_metrics_are_torchmetrics_own_and_leave_padding_out() -> None:
    logits, labels = torch.randn(40, 5, generator=torch.Generator().manual_seed(3)), torch.arange(40) % 5
    reference = MulticlassCalibrationError(num_classes=5, n_bins=BINS, norm="l1")
    reference.update(logits.softmax(1), labels)
    calibration, per_class = Calibration(), PerClass(5)
    padded = torch.cat([logits, logits[:3]]), torch.cat([labels, torch.full((3,), -100)])
    for part in (slice(0, 30), slice(30, 43)):
        calibration.update(padded[0][part], padded[1][part])
        per_class.update(padded[0][part], padded[1][part])
    assert calibration.compute().item() == pytest.approx(reference.compute().item(), abs=1e-6)
    right = (logits.argmax(1) == labels).float()
    assert per_class.compute().item() == pytest.approx(right.mean().item())
    assert [images for _, images, _ in per_class.table] == [8] * 5


def test_images_get_the_models_class_numbers(hot_run: RunFolder) -> None:
    """A model with its classes in another order than the folders: right answers become wrong ones, as there are two."""
    model = open_model(str(hot_run.path))
    turned = replace(model, description=replace(model.description, classes=("flower", "china")))
    found, other = evaluate_model(model), evaluate_model(turned)
    assert other.top1 == 1 - found.top1
    assert [(one.name, one.images) for one in other.classes] == [("flower", 4), ("china", 4)]


def test_val_is_enough(mild_run: RunFolder, hot_run: RunFolder, tmp_path: Path) -> None:
    """A folder without ``train``; what the run was trained on may be converted files, which would need it."""
    for run in (mild_run, hot_run):
        config, folder = read_config(run), tmp_path / run.path.name
        folder.mkdir()
        (folder / "val").symlink_to(Path(config.dataset.root) / "val")
        found = api.evaluate(run.path, f"dataset.dir={folder}")
        result = read_result(run)
        assert result is not None and found.images == result.val_images
        if config.data.name == "imagefolder":
            assert (found.top1, found.loss) == (result.top1, result.eval_loss)
    with pytest.raises(RequestError, match=r"/train does not exist"):
        api.evaluate(
            hot_run.path, f"dataset.dir={tmp_path / hot_run.path.name}", "data=ffcv", f"data.cache_dir={tmp_path}"
        )


def test_a_library_gives_models_too(tmp_path: Path, photo_tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision's weights, here random ones where torchvision keeps what it has downloaded."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = models.ResNet18_Weights.DEFAULT.url
    torch.save(models.resnet18().state_dict(), folder / url.rpartition("/")[2])
    (prediction,) = api.predict("torchvision:resnet18", [photo_tree() / "val" / "china" / "00.jpg"])
    assert {guess.label for guess in prediction.guesses} <= set(models.ResNet18_Weights.DEFAULT.meta["categories"])
    with pytest.raises(ValueError, match=r"has 2 classes, such as china, resnet18 IMAGENET1K_V1 knows 1000 others"):
        api.evaluate("torchvision:resnet18", f"dataset.dir={photo_tree()}", "eval_batch_size=8")


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("nowhere", [], "nowhere: there is no such run or file"),
        ("torchvision:resnet51", [], "torchvision:resnet51: torchvision has no weights of that name"),
        ("RUN", ["ssr=1"], "ssr=1 has no effect in an evaluation"),
        ("RUN", ["other"], "other is not key=value"),
        ("RUN", [f"dataset.dir={TESTS}/none"], "tests/none is not a folder"),
        ("RUN", ["dataset=digits", "data=imagefolder"], "has 10 classes, such as 0, hot knows 2 others"),
        ("RUN/metrics.jsonl", [], "metrics.jsonl is damaged or holds no weights"),
        (str(TESTS), [], "is not a run folder: it has no config.yaml"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(
    model: str, words: list[str], said: str, hot_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = [f"data.cache_dir={tmp_path}"] * any(word.startswith("data") for word in words)
    assert evaluate.main([model.replace("RUN", str(hot_run.path)), *words, *cache]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_file_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "was_run",)  # pyright: ignore

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    assert evaluate.main([str(tmp_path / "evil.pt")]) == 2
    assert "holds more than weights, which is not run" in capsys.readouterr().err
    assert not (tmp_path / "was_run").exists()


def test_the_command_prints_and_draws(hot_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "evaluation.svg"
    assert evaluate.main([str(hot_run.path), "--crops", "24", "--json", "--picture", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"top1", "top5", "loss", "ece", "classes", "bins", "sizes"} <= set(found)
    assert picture.read_text().startswith("<?xml")
    assert evaluate.main([str(hot_run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "hot" and any(line.split() == ["top-1", f"{found['top1']:.2%}"] for line in lines)
    again = json.loads(json.dumps(asdict(api.evaluate(hot_run.path))))
    assert [again[key] for key in ("top1", "ece", "bins")] == [found["top1"], found["ece"], found["bins"]]
