"""compose.yaml: by the schema of the Compose specification, and that it knows the image."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from support.paths import ROOT

TEXT = (ROOT / "compose.yaml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_it_is_what_compose_reads() -> None:
    jsonschema.validate(DOCUMENT, get_builtin_schema("vendor.compose-spec"))


@pytest.mark.parametrize("service", ["train", "cpu"])
def test_it_mounts_what_the_image_has_folders_for(service: str) -> None:
    targets = [volume.removesuffix(":ro").rpartition(":")[2] for volume in DOCUMENT["services"][service]["volumes"]]
    declared = re.findall(r'"(/\w+)"', re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE)[0])
    assert sorted(path.split("/")[1] for path in targets) == sorted(path.split("/")[1] for path in declared)


def test_the_page_explains_each_variable_and_line() -> None:
    page = (ROOT / "docs" / "containers.md").read_text()
    words = set(re.findall(r"\$\{(\w+)", TEXT)) | set(DOCUMENT["x-run"]) - {"image", "environment", "volumes"}
    assert [word for word in sorted(words) if f"`{word}" not in page] == []
