"""Shards in an object store: what is asked of it, what is refused, and what becomes of a store that fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from s3fs import S3FileSystem

from resnet_exp.core import files, object_store
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data import streaming
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.streaming import upload as mds_upload
from resnet_exp.data.streaming.files import MDSShards
from support.commands import TINY, command
from support.conversions import picture
from support.loaders import epoch_of, same, shard_settings, split_of
from support.photos import PhotoTree
from support.ports import unused_port
from support.shards import open_shards, prepare, run
from support.warm import WarmPython

pytestmark = pytest.mark.usefixtures("compiled")

S3 = "data.loader.remote=s3://shards/photos"
OPTIONS = "data.loader.storage_options"
NOT_THERE = "dataset.dir=TMP/photos is not a folder; dataset.dir must hold train/<class>/* and val/<class>/*"
REFUSED = {
    ("data.loader.remote=5",): "data.loader.remote=5: use a text",
    ("data.loader.remote=[a]",): "data.loader.remote=['a']: use a text",
    ("data.loader.remote=TMP/nothing",): f"{NOT_THERE}, or data.loader.remote=TMP/nothing a train.json",
    ("data.loader.remote=foo://x/y",): "data.loader.remote=foo://x/y: Protocol not known: foo; check it and",
    (
        "data.loader.remote=gs://x/y",
    ): "data.loader.remote=gs://x/y needs a package that is not installed; Please install gcsfs",
    (S3, f"{OPTIONS}=text"): f"{OPTIONS}=text: use +{OPTIONS}.KEY=VALUE",
    (S3, f"{OPTIONS}.anon=true"): f"{OPTIONS}.anon is not set yet; add it with +{OPTIONS}.anon=VALUE",
    (S3, f"+{OPTIONS}.nonsense=3"): "s3://shards/photos/train.json cannot be read (TypeError: ",
    (S3,): "s3://shards/photos/train.json cannot be read (NoCredentialsError: Unable to locate credentials); check",
    (
        "data.loader.images_per_shard=0",
        "dataset.num_classes=2",
    ): "data.loader.images_per_shard=0 is out of range",
}


@pytest.mark.parametrize("words", REFUSED)
def test_places_and_settings_of_no_use_are_refused(
    words: tuple[str, ...], tmp_path: Path, warm_python: WarmPython
) -> None:
    own = [word.replace("TMP", str(tmp_path)) for word in words]
    where = ["data=streaming", "dataset=imagefolder", f"dataset.dir={tmp_path / 'photos'}", *TINY, "recipe=mild"]
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_CONFIG_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    done = warm_python.run(command(tmp_path, *where, *own)[2:], tmp_path, {**os.environ, **nobody})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(REFUSED[words].replace("TMP", str(tmp_path)))
    assert os.listdir(tmp_path) == []


def test_a_store_of_no_use_is_refused_before_the_conversion(
    tmp_path: Path, photo_tree: PhotoTree, warm_python: WarmPython
) -> None:
    photo_tree()
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_CONFIG_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    done = run(warm_python, tmp_path, S3, "dataset.num_classes=2", **nobody)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "NoCredentialsError" in done.stderr and not (tmp_path / "cache").exists()


@pytest.mark.soak
def test_train_from_an_object_store(
    tmp_path: Path,
    photo_tree: PhotoTree,
    store: Any,
    caplog: pytest.LogCaptureFixture,
    warm_python: WarmPython,
    warm_training: WarmPython,
) -> None:
    photo_tree()
    few = "data.loader.images_per_shard=4"
    done = run(warm_python, tmp_path, S3, few)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    names = {entry["Key"] for entry in store.list_objects_v2(Bucket="shards")["Contents"]}
    assert {"photos/train.json", "photos/train/index.json", "photos/train/shard.00007.mds"} <= names
    shutil.rmtree(tmp_path / "cache")
    words = ("data=streaming", "dataset=imagefolder", few, *TINY, "recipe=mild", "hardware.devices=2")
    far = run(warm_training, tmp_path, *command(tmp_path, *words, S3, "data.num_workers=1"))
    assert far.returncode == 0, far.stderr + far.stdout
    asked = re.findall(r"GET /shards/photos/train/(shard\.\d+\.mds)", caplog.text)
    assert sorted(asked) == [f"shard.{number:05d}.mds" for number in range(8)], "once for both ranks"
    environment = json.loads(next((tmp_path / "runs").glob("*/environment.json")).read_text())
    assert environment["data"]["train"]["folder"] == "s3://shards/photos"
    data_set = json.loads(next((tmp_path / "runs").glob("*/dataset.json")).read_text())
    assert data_set["classes"] == ["china", "flower"] and data_set["fingerprint"]


def uploaded(photos: Path, cache: Path) -> dict[str, Any]:
    """Settings that read the tree's shards, one image in each, from the object store into an empty cache."""
    train, val = prepare(photos, cache / "local", images_per_shard=1)
    places = {"train": train, "val": val}
    there = shard_settings(cache / "far", remote="s3://shards/x")
    mds_upload.upload(MDSShards(**there), places, lambda _: None, lambda done, whole: None)
    return there


def test_what_is_in_the_store_is_what_was_converted(tmp_path: Path, photo_tree: PhotoTree, store: Any) -> None:
    photos = photo_tree()
    there = uploaded(photos, tmp_path)
    MDSShards(**there).prepare("", ConversionOptions(1, lambda _: None, classes=2))
    train = MDSShards(**there).place_of("", "train")
    assert list(train.glob("*.mds")) == [], "shards come when they are asked for"
    far = streaming.make_loader(split_of(photos, num_workers=2), **there)
    near = open_shards(photos, tmp_path / "local", {"images_per_shard": 1})
    assert same(epoch_of(far, 0), epoch_of(near, 0))
    assert len(list(train.iterdir())) == 33, "32 shards and the index, and nothing else"


def test_options_of_a_store_are_settings(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, warm_python: WarmPython
) -> None:
    uploaded(photo_tree(), tmp_path)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    options = f'+{OPTIONS}={{key:key,secret:secret,client_kwargs:{{endpoint_url:"{endpoint}"}}}}'
    nobody = {"AWS_ENDPOINT_URL": "", "AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"}
    words = ("data.loader.remote=s3://shards/x", options, "verify=true")
    done = run(warm_python, tmp_path, *words, **nobody)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count(": whole, ") == 2
    nowhere = run(warm_python, tmp_path, *words, "data.cache_dir=/proc/here", **nobody)
    assert (nowhere.returncode, nowhere.stderr) == (
        2,
        "data.cache_dir=/proc/here cannot be written (No such file or directory); set data.cache_dir=PATH\n",
    )


def test_an_upload_that_was_interrupted_goes_on(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, whole: int) -> None:
        if len(noted()) == 4:
            raise Interrupted

    def noted() -> list[str]:
        return [entry["shard"] for entry in list(files.read_lines(train.with_name(".train.uploaded")))[1:]]

    photos, there, said = photo_tree(), shard_settings(tmp_path, remote="s3://shards/x"), []
    train, val = prepare(photos, tmp_path / "local", images_per_shard=1)
    places = {"train": train, "val": val}
    with pytest.raises(Interrupted):
        mds_upload.upload(MDSShards(**there), places, said.append, interrupt)
    first, *rest = noted()
    assert len(rest) == 3
    with pytest.raises(RequestError, match=r"has no train/index\.json"):
        MDSShards(**there).prepare("", ConversionOptions(1, said.append))
    store.delete_object(Bucket="shards", Key=f"x/train/{first}")
    caplog.clear()
    mds_upload.upload(MDSShards(**there), places, said.append, lambda done, whole: None)
    put = re.findall(r"PUT /shards/x/train/(shard\.\d+\.mds)", caplog.text)
    assert first in put and not set(rest) & set(put), "what is there is not sent again, what was removed is"
    assert "are at s3://shards/x from an earlier try" in said[0]
    assert list(train.parent.glob(".*.uploaded")) == []
    MDSShards(**there).prepare("", ConversionOptions(1, said.append, classes=2))
    far = streaming.make_loader(split_of(photos), **there)
    assert same(epoch_of(far, 0), epoch_of(open_shards(photos, tmp_path / "local", {"images_per_shard": 1}), 0))


def test_a_damaged_object_is_refused(tmp_path: Path, photo_tree: PhotoTree, store: Any) -> None:
    photos = photo_tree()
    there = uploaded(photos, tmp_path)
    MDSShards(**there).prepare("", ConversionOptions(1, lambda _: None))
    for number in range(32):
        store.put_object(Bucket="shards", Key=f"x/train/shard.{number:05d}.mds", Body=b"half")
    with pytest.raises(
        RunFailed, match=r"^s3://shards/x/train/shard\.\d+\.mds has 4 bytes, its index says [\d,]+; con"
    ):
        epoch_of(streaming.make_loader(split_of(photos), **there), 0)
    assert list(MDSShards(**there).place_of("", "train").glob("*.mds")) == []


def test_shards_of_another_state_of_the_store_are_dropped(tmp_path: Path, photo_tree: PhotoTree, store: Any) -> None:
    photos = photo_tree()
    there = uploaded(photos, tmp_path)
    MDSShards(**there).prepare("", ConversionOptions(1, lambda _: None))
    epoch_of(streaming.make_loader(split_of(photos), **there), 0)
    picture(64, 56).save(photos / "train" / "china" / "01.jpg")
    (photos / "train" / "china" / "new.jpg").touch()  # the folder's time, by which the cache knows it
    (photos / "train" / "china" / "new.jpg").unlink()
    uploaded(photos, tmp_path)
    MDSShards(**there).prepare("", ConversionOptions(1, lambda _: None))
    assert len(list(MDSShards(**there).place_of("", "train").glob("*.mds"))) == 31
    far = streaming.make_loader(split_of(photos), **there)
    assert same(epoch_of(far, 0), epoch_of(open_shards(photos, tmp_path / "local", {"images_per_shard": 1}), 0))


def test_a_store_that_says_nothing_is_waited_for_only_so_long(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        S3FileSystem.clear_instance_cache()
        monkeypatch.setattr(object_store, "PATIENCE_SECONDS", 1)
        with pytest.raises(RunFailed, match=r"s3://shards/x/a cannot be read \(TimeoutError: no answer within 1 s\)"):
            object_store.Remote("s3://shards/x").read("a")


class _Slowly(BaseHTTPRequestHandler):
    """Sends a file in pieces, which take longer than `object_store.STALL_SECONDS` together, and far less each."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(7 * 2**16))
        self.end_headers()
        for _ in range(7):
            self.wfile.write(bytes(2**16))
            time.sleep(0.8)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_store_is_given_up_when_nothing_more_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "STALL_SECONDS", 1.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RunFailed, match=r"http://.*/a cannot be read \(TimeoutError: no answer within 1.5 s\)"):
            object_store.Remote(url).get("a", tmp_path / "a")
        with pytest.raises(RunFailed, match=r"http://.*/a cannot be read \(TimeoutError: no answer within 1.5 s\)"):
            object_store.Remote(url).read_part("a", 0, 5)
    monkeypatch.setattr(object_store, "STALL_SECONDS", 5)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slowly) as server:
        threading.Thread(target=server.serve_forever).start()
        (tmp_path / "a").write_bytes(bytes(2**20))  # of an earlier try
        object_store.Remote(f"http://127.0.0.1:{server.server_port}").get("a", tmp_path / "a")
        server.shutdown()
    assert (tmp_path / "a").stat().st_size == 7 * 2**16


def test_a_store_that_is_not_there_or_has_nothing_is_a_line(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, warm_python: WarmPython
) -> None:
    photo_tree()
    words = ("data=streaming", "dataset=imagefolder", *TINY, "recipe=mild")
    elsewhere = ("data.loader.remote=s3://shards/nothing", "dataset.num_classes=2")
    nothing = run(warm_python, tmp_path, *command(tmp_path, *words, *elsewhere))
    assert (nothing.returncode, nothing.stderr) == (
        2,
        "data.loader.remote=s3://shards/nothing has no train/index.json; convert the dataset there first\n",
    )
    with unused_port() as port:
        line = command(tmp_path, *words, S3, "dataset.num_classes=2")
        absent = run(warm_python, tmp_path, *line, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert (absent.returncode, absent.stderr.count("\n")) == (1, 1), absent.stderr
    assert absent.stderr.startswith("s3://shards/photos/train/index.json cannot be read (")
    assert not (tmp_path / "runs").exists()
