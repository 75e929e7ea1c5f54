"""The list of data formats: what it says is what the configuration files, the loaders and the writers are."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.data.conversion.base import Conversion
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.formats import DataFormat
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.streaming.files import MDSShards


def imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def settings(name: str) -> dict[str, Any]:
    return yaml.safe_load((paths.conf_dir() / "data" / f"{name}.yaml").read_text())


def test_every_file_of_the_group_is_in_the_list() -> None:
    assert [one.name for one in formats.ALL] == sorted(path.stem for path in (paths.conf_dir() / "data").glob("*.yaml"))


@pytest.mark.parametrize("one", formats.ALL, ids=lambda one: one.name)
def test_a_format_is_found_by_its_loader(one: DataFormat) -> None:
    data = settings(one.name)
    assert data["name"] == one.name and formats.format_of(data["loader"]) is one
    assert callable(imported(one.loader))
    assert (formats.files_of(data["loader"], "") is None) == (one.name in ("imagefolder", "synthetic"))


def test_a_loader_of_the_user_is_no_format_of_ours() -> None:
    loader = {"_target_": "mine.make_loader"}
    assert formats.format_of(loader) is None and formats.files_of(loader, "") is None
    assert formats.known(loader, "", "") is None


def test_what_is_read_is_known_from_the_settings() -> None:
    read = {one.name: formats.needs_folder(settings(one.name)["loader"], "") for one in formats.ALL}
    assert read == {"ffcv": True, "imagefolder": True, "parquet": False, "streaming": True, "synthetic": False}
    assert not formats.needs_folder(settings("streaming")["loader"] | {"remote": "s3://bucket/folder"}, "")


@pytest.mark.parametrize("files", [FFCVFiles, MDSShards, IndexFiles], ids=lambda files: files.kind.name)
def test_a_writer_knows_what_it_is_to_write(files: type[ConvertedFiles]) -> None:
    assert issubclass(imported(files.kind.conversion), Conversion)
    assert any(one.files is files for one in formats.ALL)


@pytest.mark.parametrize("name", ["ffcv", "streaming"])
def test_settings_that_are_unknown_or_missing_are_refused(name: str) -> None:
    loader = settings(name)["loader"]
    with pytest.raises(RequestError, match=r"^data\.loader\.quality is not a setting; data\.loader has .*jpeg_quality"):
        formats.files_of(loader | {"quality": 80}, "")
    del loader["jpeg_quality"]
    with pytest.raises(RequestError, match=r"^data\.loader\.jpeg_quality is not set; "):
        formats.files_of(loader, "")
