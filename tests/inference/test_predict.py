"""Images are classified as in the evaluations; what cannot be read is named, and the others are answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_exp import api, predict
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result


def photos_of(run: RunFolder) -> Path:
    return run.path.parents[1] / "photos"


def test_the_answers_are_those_of_the_evaluation(hot_run: RunFolder) -> None:
    paths = sorted((photos_of(hot_run) / "val").rglob("*.jpg"))
    model = api.load_model(hot_run.path)
    found = api.predict(model, paths)
    assert [one.image for one in found] == list(map(str, paths))
    for one in found:
        assert {guess.label for guess in one.guesses} == {"china", "flower"}
        assert sum(guess.probability for guess in one.guesses) == pytest.approx(1)
    right = sum(one.guesses[0].label == path.parent.name for one, path in zip(found, paths, strict=True))
    evaluated = api.evaluate(hot_run.path, "data=imagefolder")
    assert right / len(paths) == evaluated.top1
    result = read_result(hot_run)
    assert result is not None and model.description.top1 == result.top1


def test_arrays_and_pillow_images_are_taken_too(hot_run: RunFolder) -> None:
    path = next((photos_of(hot_run) / "val" / "china").iterdir())
    image = Image.open(path)
    answers = {one.guesses for one in api.predict(hot_run.path, [path, image, np.asarray(image)], top=1)}
    assert len(answers) == 1
    gray = Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16))
    (one,) = api.predict(hot_run.path, [gray])
    assert one.error is None


def test_bad_images_are_named_and_the_others_answered(
    hot_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, missing = tmp_path / "bad.jpg", tmp_path / "missing.png"
    bad.write_bytes(b"no image")
    sheet = tmp_path / "sheet.png"
    folder = photos_of(hot_run) / "val" / "flower"
    words = [str(hot_run.path), str(bad), str(folder), str(missing), "--json", "--top", "1", "--sheet", str(sheet)]
    assert predict.main(words) == 1
    said = capsys.readouterr()
    lines = list(map(json.loads, said.out.splitlines()))
    assert [line["image"] for line in lines] == [str(bad), *sorted(map(str, folder.iterdir())), str(missing)]
    assert [len(line.get("guesses", ())) for line in lines] == [0, 1, 1, 1, 1, 0]
    assert [line.split(" cannot be read")[0] for line in said.err.splitlines()] == [f"image {bad}", f"image {missing}"]
    pixels = np.asarray(Image.open(sheet).convert("L"))
    assert pixels.std() > 20, "the sheet is not empty"


def test_classes_are_printed_for_people(hot_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((photos_of(hot_run) / "val" / "china").iterdir())
    assert predict.main([str(hot_run.path), str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}  ")
    assert predict.main([str(hot_run.path), str(photos_of(hot_run) / "nothing"), "--sheet", "x.bmp"]) == 2
    assert "has no known ending" in capsys.readouterr().err
