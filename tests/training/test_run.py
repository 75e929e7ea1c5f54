"""The main job, end to end, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_exp.core.files import append_line, read_json, read_lines, write_json
from resnet_exp.plot import main
from resnet_exp.reporting.curves import Curve, collect_curve, draw_curves
from resnet_exp.runs.folder import RunFolder
from support.commands import left_running
from support.parquet_files import write_parquet
from support.paths import TESTS

pytestmark = pytest.mark.usefixtures("compiled")


def only_run(runs: Path) -> RunFolder:
    (folder,) = (path for path in runs.iterdir() if path.is_dir())
    return RunFolder(folder)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_mild_learns_the_digits(tmp_path: Path, train_cli: Any) -> None:
    done = train_cli("recipe=mild", "ssr=0.5", "hardware=cpu", timeout=900)
    assert done.returncode == 0, done.stderr + done.stdout
    run = only_run(tmp_path / "runs")
    result = read_json(run.result)
    assert result is not None
    assert (result["epochs"], result["train_images"], result["val_images"]) == (45, 1437, 360)
    assert result["top1"] >= 0.97
    assert result["resumed"] == 0
    rows = list(read_lines(run.metrics))
    assert [row["epoch"] for row in rows] == list(range(1, 46))
    assert rows[-1]["top1"] == result["top1"]
    environment = json.loads(run.environment.read_text())
    assert environment["packages"]["mosaicml"] == "0.32.1"
    assert_weights_are_the_averaged_ones(run, result)


def assert_weights_are_the_averaged_ones(run: RunFolder, result: dict[str, Any]) -> None:
    """``weights.pt``, loaded into a plain model, must reach the very accuracy that the run reported."""
    import composer.functional as cf
    from composer.devices import DeviceCPU

    from resnet_exp.launch.config_file import read_config
    from resnet_exp.training.loaders import Normalize, build_loader
    from resnet_exp.training.model import build_model

    config = read_config(run)
    model = build_model(config.model)
    cf.apply_blurpool(model, min_channels=16)
    model.module.load_state_dict(torch.load(run.weights))
    model.eval()
    normalize = Normalize(DeviceCPU(), config.dataset.mean, config.dataset.std, torch.float32)
    right = total = 0
    with torch.no_grad():
        for batch in build_loader(config, train=False):
            images, labels = normalize(batch)
            right += int((model.module(images).argmax(1) == labels).sum())
            total += len(labels)
    assert total == result["val_images"]
    assert right / total == pytest.approx(result["top1"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["imagefolder", "ffcv"])
def test_two_ranks_evaluate_every_image_once(
    data: str, tmp_path: Path, train_cli: Any, tiny: list[str], photo_tree: Any
) -> None:
    tree = photo_tree()
    next((tree / "val" / "china").iterdir()).unlink()  # 7 images: no share of two ranks is whole
    common = [*tiny, f"data={data}", "dataset=imagefolder", f"dataset.dir={tree}", "recipe=mild", "eval_batch_size=4"]
    done = train_cli(*common, "hardware.devices=2")
    assert done.returncode == 0, done.stderr + done.stdout
    run = only_run(tmp_path / "runs")
    result = read_json(run.result)
    assert result is not None
    assert (result["val_images"], result["batches"]) == (7, 8)
    assert result["top1"] * 7 == pytest.approx(round(result["top1"] * 7), abs=1e-5), "a share of 7 images, not of 8"
    assert run.rank_log(1).exists()
    names = set(torch.load(run.weights))
    assert {"conv1.weight", "layer1.0.bn1.running_mean", "fc.bias"} <= names
    assert not any(name.startswith("module.") for name in names)


def test_the_time_left_is_known_after_an_evaluation(
    tmp_path: Path, train_cli: Any, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    data = ("data=synthetic", "data.loader.train_images=64", "data.loader.val_images=8")
    kept = ("+callbacks.kept._target_=support.kept_progress.KeptProgress", f"+callbacks.kept.runs={tmp_path / 'runs'}")
    done = train_cli("recipe=mild", *tiny, *data, *kept, f"+callbacks.kept.path={tmp_path / 'kept'}")
    assert done.returncode == 0, done.stderr + done.stdout
    progress = read_json(tmp_path / "kept")
    assert progress is not None and (progress["done"], progress["total"]) == (1, 2)
    assert progress["eta_seconds"] > 0


@pytest.mark.soak
@pytest.mark.parametrize(
    "data", ["ffcv", "imagefolder", "imagefolder data.loader.decoder=compiled", "streaming", "parquet"]
)
def test_hot_on_schedule_from_any_format(
    data: str, tmp_path: Path, train_cli: Any, tiny: list[str], photo_tree: Any
) -> None:
    """The batches that reach the model have the sizes of the original's progressive resizing."""
    data_words, tree = f"data={data}".split(), photo_tree()
    if data == "parquet":
        tree = write_parquet(tree, tmp_path / "parquet")
    common = [*tiny, *data_words, "dataset=imagefolder", f"dataset.dir={tree}", "recipe=hot", "ssr=0.1"]
    rows = {}
    for decode in ("full", "scheduled"):
        done = train_cli(*common, f"data.decode={decode}", "trace=true", f"runs_dir={tmp_path / decode}")
        assert done.returncode == 0, done.stderr + done.stdout
        rows[decode] = list(read_lines(only_run(tmp_path / decode).trace))
    full, scheduled = ([(row["height"], row["width"]) for row in rows[decode]] for decode in ("full", "scheduled"))
    assert full == scheduled
    assert len(set(full)) > 1


@pytest.mark.slow
def test_the_rank_that_fails_first_says_why(tmp_path: Path, train_cli: Any, tiny: list[str], photo_tree: Any) -> None:
    tree = photo_tree()
    broken = sorted((tree / "train" / "flower").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:200])
    common = [*tiny, "data=imagefolder", "dataset=imagefolder", f"dataset.dir={tree}", "recipe=mild"]
    done = train_cli(*common, "hardware.devices=2")
    assert done.returncode == 1
    assert done.stderr.startswith(f"image {broken} cannot be read")
    failure = read_json(only_run(tmp_path / "runs").failure)
    assert failure is not None
    assert failure["error"] in done.stderr
    assert left_running(tmp_path) == [], "something still runs"


def test_synthetic_data_needs_no_disk(tmp_path: Path, train_cli: Any, tiny: list[str]) -> None:
    images = ["data.loader.train_images=32", "data.loader.val_images=10", "dataset.num_classes=4"]
    done = train_cli("recipe=medium", *tiny, "data=synthetic", "dataset.dir=null", "dataset=imagefolder", *images)
    assert done.returncode == 0, done.stderr + done.stdout
    result = read_json(only_run(tmp_path / "runs").result)
    assert result is not None
    assert (result["batches"], result["val_images"]) == (8, 10)
    assert (result["data_set"], result["data_set_fingerprint"]) == ("synthetic", None)
    assert not (tmp_path / "cache").exists()


def write_evaluations(folder: Path, top1: list[float]) -> RunFolder:
    folder.mkdir()
    run = RunFolder(folder)
    for number, value in enumerate(top1, start=1):
        append_line(run.metrics, {"epoch": number, "batches": number, "train_seconds": 60.0 * number, "top1": value})
    return run


def test_curves_show_what_was_measured(tmp_path: Path) -> None:
    curve = collect_curve(write_evaluations(tmp_path / "a", [0.1, 0.5, 0.8]))
    assert curve == Curve("a", [60.0, 120.0, 180.0], [0.1, 0.5, 0.8])
    figure = draw_curves([curve])
    (axes,), (legend,) = figure.axes, figure.legends
    (line,) = axes.get_lines()
    assert line.get_xydata() == pytest.approx(np.array([[60, 10], [120, 50], [180, 80]]))
    assert [text.get_text() for text in legend.get_texts()] == ["a: 80.00%"]


def test_curves_are_written_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_evaluations(tmp_path / "a", [0.1, 0.5])
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "a"), "-o", str(tmp_path / "c.svg")]) == 0
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")
    assert main([str(tmp_path / "empty"), "-o", str(tmp_path / "d.svg")]) == 2
    assert main([str(tmp_path / "a"), "-o", str(tmp_path / "d.bmp")]) == 2
    assert "no evaluations yet" in capsys.readouterr().err
    assert not (tmp_path / "d.svg").exists()


def test_a_record_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    run = write_evaluations(tmp_path / "a", [0.1, 0.5])
    with run.metrics.open("a") as file:
        file.write('{"epoch": 3, "batc')
    assert [row["top1"] for row in read_lines(run.metrics)] == [0.1, 0.5]


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"top1": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"top1": float("nan")})
    assert json.loads(path.read_text()) == {"top1": 0.5}
    assert list(tmp_path.iterdir()) == [path]
