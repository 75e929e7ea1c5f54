"""Runs on Parquet files: from a folder, from an object store, and the commands that read what a run reads."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from resnet_exp import api, plan
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data.__main__ import main as data_main
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.parquet import index, storage
from resnet_exp.data.parquet.files import ParquetFiles
from support.commands import TINY, RunCli
from support.loaders import epoch_of, same
from support.parquet_files import IMAGE, open_parquet, settings, table_of, write_parquet
from support.photos import PhotoTree

pytestmark = pytest.mark.usefixtures("compiled")
WORDS = ("data=parquet", *TINY, "recipe=mild")


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    """Have each test ask its own store: a process asks once."""
    storage._listed_at.cache_clear()


def result_of(runs: Path) -> Path:
    (path,) = runs.glob("*/result.json")
    return path.parent


def test_a_run_knows_its_images(tmp_path: Path, photo_tree: PhotoTree, train_cli: RunCli) -> None:
    folder = write_parquet(photo_tree(), tmp_path / "pets" / "data")
    words = (*WORDS, f"dataset.dir={folder}")
    done = train_cli(*words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    run = result_of(tmp_path / "runs")
    data_set = json.loads((run / "dataset.json").read_text())
    assert (data_set["name"], data_set["classes"]) == ("pets", ["china", "flower"])
    assert data_set["train"]["class_images"] == [16, 16]
    facts = json.loads((run / "environment.json").read_text())["data"]
    assert facts["val"]["files"] == [f"validation-{number:05d}-of-00002.parquet" for number in (0, 1)]
    assert facts["train"]["images"] == 32
    ours = api.evaluate(run)
    theirs = api.evaluate(run, "data=imagefolder", "data.loader.decoder=compiled", f"dataset.dir={tmp_path / 'photos'}")
    assert (ours.top1, ours.loss, ours.images) == (theirs.top1, theirs.loss, 8)
    assert [one.name for one in ours.classes] == ["china", "flower"]
    path = folder / "train-00000-of-00002.parquet"
    parquet.write_table(parquet.read_table(path).slice(1), path)
    again = train_cli(*words)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "was trained on other images: in train, china has 15 images, not 16; put them back, or" in again.stderr
    for each in folder.glob("train*"):
        each.unlink()
    alone = api.evaluate(run, "data=parquet", f"dataset.dir={folder}")
    assert (alone.top1, alone.loss) == (ours.top1, ours.loss), "an evaluation needs no images to train on"


def test_words_that_are_wrong_are_refused(tmp_path: Path, photo_tree: PhotoTree, warm_cli: RunCli) -> None:
    folder = write_parquet(photo_tree(), tmp_path / "data")
    here = f"dataset.dir={folder}"
    refused = {
        ("dataset=imagefolder",): "dataset.dir is not set; use dataset.dir=PATH, a folder or a URL (dataset.dir must",
        ("dataset.dir=none",): "dataset.dir=none is not a folder; dataset.dir must hold",
        (here, "data.loader.shuffle_block=0"): "data.loader.shuffle_block=0 is out of range; use 1 to",
        (here, "dataset.num_classes=3"): f"{here} has 2 classes in train, dataset.num_classes=3; name",
        (here, "data=ffcv"): f"dataset.dir: {folder}/train does not exist; ",
        (
            "dataset=digits",
        ): "data=parquet: the digits of scikit-learn are image files; name Parquet files with dataset.dir",
        ("dataset.dir=s3://a/b", "data=ffcv"): "dataset.dir=s3://a/b is a URL, which data=parquet reads; other formats",
        (
            "dataset.dir=hf://datasets/a/b",
        ): "dataset.dir=hf://datasets/a/b needs a package that is not installed; Install",
        ("dataset.dir=foo://a/b",): "dataset.dir=foo://a/b: Protocol not known: foo; check it and data.loader.storage",
    }
    for words, line in refused.items():
        done = warm_cli(*WORDS, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.startswith(line)
    assert not (tmp_path / "runs").exists()


def test_a_plan_counts_the_images(tmp_path: Path, photo_tree: PhotoTree, capsys: pytest.CaptureFixture[str]) -> None:
    folder, runs = write_parquet(photo_tree(), tmp_path / "data"), f"runs_dir={tmp_path / 'runs'}"
    assert plan.main([*WORDS, f"dataset.dir={folder}", runs]) == 0
    assert "32 training images" in capsys.readouterr().out
    away = ("recipe=mild", "hardware=p4d.24xlarge", "data=parquet", "dataset.dir=s3://nowhere/imagenet", runs)
    target = tmp_path / "compose.yaml"
    assert plan.main([*away, "dataset=imagenet", "--image", "mine", "--write", "compose", str(target)]) == 0
    assert "dataset.dir=s3://nowhere/imagenet" in target.read_text()
    assert "s3:" not in json.dumps(
        [one.get("volumes") for one in yaml.safe_load(target.read_text())["services"].values()]
    )
    assert plan.main([*away, "dataset=imagefolder", "dataset.num_classes=9", "dataset.train_images=70000"]) == 0


def test_every_image_is_checked(tmp_path: Path, photo_tree: PhotoTree, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_parquet(photo_tree(), tmp_path / "data")
    path = folder / "train-00001-of-00002.parquet"
    table = parquet.read_table(path)
    images = table["image"].to_pylist()
    images[4]["bytes"], images[9] = b"no image", images[8]
    parquet.write_table(table.set_column(0, "image", pa.array(images, IMAGE)), path, row_group_size=3)
    assert data_main(["check", "--json", str(folder)]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = {finding["check"]: finding for finding in found}
    assert said["unreadable"]["paths"] == [f"{path}, row group 1, row 1"]
    assert said["duplicates"]["paths"] == [f"{path}, row group 2, row 2", f"{path}, row group 3, row 0"]
    assert said["images"]["found"].startswith("32 images in train, 2 classes; 8 images in val, 2 classes; ")
    below = tmp_path / "below"
    for split in ("train", "validation"):
        (below / split).mkdir(parents=True)
        for each in folder.glob(f"{split}-*"):
            each.rename(below / split / each.name)
    assert data_main(["check", str(below)]) == 1
    assert "32 images in train, 2 classes; 8 images in val, 2 classes; " in capsys.readouterr().out


def uploaded(folder: Path, store: Any, prefix: str) -> str:
    for path in sorted(folder.rglob("*.parquet")):
        store.upload_file(str(path), "shards", f"{prefix}/{path.relative_to(folder)}")
    return f"s3://shards/{prefix}"


def test_row_groups_come_from_a_store_once(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_parquet(photo_tree(), tmp_path / "data")
    url = uploaded(folder, store, "photos")
    files, cache = ParquetFiles(**settings(tmp_path / "cache")), tmp_path / "cache"
    assert files.prepare(f"{url}/", ConversionOptions(1, print, classes=2)) == [*cache.glob("parquet/photos-*")] * 2
    own = {"shuffle_block": 8}
    near = epoch_of(open_parquet(folder, tmp_path, own), 0)
    caplog.clear()
    assert same(epoch_of(open_parquet(url, cache, own), 0), near)
    asked = len(re.findall(r"GET /shards/photos/train-", caplog.text))
    assert asked == 12, "each of the row groups"
    assert same(epoch_of(open_parquet(url, cache, own), 0), near)
    assert len(re.findall(r"GET /shards/photos/train-", caplog.text)) == asked, "they stay in the cache"
    here, there = files.scan(str(folder), "train"), files.scan(url, "train")
    assert here is not None and here == there


def test_a_long_footer_is_read_whole(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "END_BYTES", 64)
    folder, cache = write_parquet(photo_tree(), tmp_path / "data"), tmp_path / "cache"
    url = uploaded(folder, store, "photos")
    assert same(epoch_of(open_parquet(url, cache), 0), epoch_of(open_parquet(folder, cache), 0))
    other = {"image_column": "image", "label_column": "image"}
    with pytest.raises(RequestError, match=r"label_column=image holds struct<"):
        open_parquet(url, cache, other)


def test_a_file_that_changes_in_a_store_is_fetched_anew(tmp_path: Path, photo_tree: PhotoTree, store: Any) -> None:
    photos, cache = photo_tree(), tmp_path / "cache"
    folder = write_parquet(photos, tmp_path / "data")
    url = uploaded(folder, store, "photos")
    epoch_of(open_parquet(url, cache), 0)
    table = table_of(photos / "train").slice(0, 16)
    parquet.write_table(table, folder / "train-00000-of-00002.parquet", row_group_size=16)
    uploaded(folder, store, "photos")
    storage._listed_at.cache_clear()
    assert same(epoch_of(open_parquet(url, cache), 0), epoch_of(open_parquet(folder, cache), 0))
    assert len(list(cache.rglob("train-00000*.parquet"))) == 1, "the other copy is removed"


def test_what_a_store_does_not_have_is_named(tmp_path: Path, photo_tree: PhotoTree, store: Any) -> None:
    folder = write_parquet(photo_tree(), tmp_path / "data")
    options = ConversionOptions(1, print, classes=2)
    files = ParquetFiles(**settings(tmp_path / "cache"))
    with pytest.raises(RequestError, match=r"dataset\.dir=s3://shards/nothing holds no train-\*\.parquet; .* right to"):
        files.prepare("s3://shards/nothing", options)
    short = folder / "train-00000-of-00002.parquet"
    whole = short.read_bytes()
    short.write_bytes(whole[:-9])
    url = uploaded(folder, store, "short")
    with pytest.raises(RequestError, match=r"short/train-00000-of-00002\.parquet is no Parquet file, or cut off; "):
        files.prepare(url, options)
    short.write_bytes(whole)
    url = uploaded(folder, store, "gone")
    files.prepare(url, options)
    loader = open_parquet(url, tmp_path / "cache")
    store.delete_object(Bucket="shards", Key="gone/train-00001-of-00002.parquet")
    with pytest.raises(RunFailed, match=r"s3://shards/gone/train-00001-of-00002\.parquet cannot be read \(.*; check"):
        epoch_of(loader, 0)


def test_a_cache_that_is_too_small_is_refused(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = uploaded(write_parquet(photo_tree(), tmp_path / "data"), store, "photos")
    full = shutil.disk_usage(tmp_path)._replace(free=9)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(RequestError, match=r"cache has 9 B free, the images of s3://shards/photos need .* more; free"):
        ParquetFiles(**settings(tmp_path / "cache")).prepare(url, ConversionOptions(1, print, classes=2))


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, photo_tree: PhotoTree) -> None:
    url = f"file://{write_parquet(photo_tree(), tmp_path / 'data')}"
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(RequestError, match=r"data\.cache_dir=.*cache cannot be written \(Not a directory\); set"):
        ParquetFiles(**settings(tmp_path / "cache")).prepare(url, ConversionOptions(1, print, classes=2))
