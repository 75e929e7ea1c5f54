"""What `make image` builds: what is in it, and what is not."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from resnet_exp.core.version import __version__
from support.container import Engine
from support.paths import ROOT

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]

PACKAGE = "/opt/resnet_exp/lib/python3*/site-packages/resnet_exp"
SECRET = "planted-7f3a"
PLANTED = (
    *(".env", "conf/.env.prod", "resnet_exp/.netrc", "resnet_exp/.aws/credentials", "conf/local/slurm.yaml"),
    *("docker/key.pem", "id_rsa", "wandb/settings", "runs/hot/config.yaml", "resnet_exp/__pycache__/old.pyc"),
)
# Their metadata name no license. It is NVIDIA's for the first, MIT for huey, and Apache-2.0 for the others.
NO_LICENSE_NAMED = {"cuda-toolkit", "ffcv", "huey", "mosaicml", "mosaicml-cli"}
INSTALLED = "import importlib.metadata as m, json; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
TARGET = "from numba.core.registry import cpu_target; print(cpu_target.target_context.codegen().magic_tuple()[1:])"


def tracked() -> set[str]:
    return set(subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines())


def test_labels_and_health_check(engine: Engine) -> None:
    config = json.loads(engine.ask("image", "inspect", engine.image))[0]
    labels = config.get("Labels") or config["Config"]["Labels"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    wanted = {"version": __version__, "revision": head, "licenses": "Apache-2.0", "title": "resnet_exp"}
    assert {name: labels[f"org.opencontainers.image.{name}"] for name in wanted} == wanted
    health = config.get("Healthcheck") or config["Config"]["Healthcheck"]
    assert health["Test"] == ["CMD", "resnet_exp", "doctor"]
    assert config["Config"]["User"] == "1000:1000"


def test_the_list_of_packages_is_complete_and_names_licenses(engine: Engine) -> None:
    sbom = json.loads(engine.shell("cat /usr/share/sbom/resnet_exp.cdx.json"))
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {(part["name"], part["version"]) for part in sbom["components"]}
    installed = set(map(tuple, json.loads(engine.shell(f"/opt/resnet_exp/bin/python -c '{INSTALLED}'"))))
    assert listed == installed
    assert len(listed) > 100
    assert {part["name"] for part in sbom["components"] if not part.get("licenses")} == NO_LICENSE_NAMED


def test_debian_packages_keep_their_licenses(engine: Engine) -> None:
    script = (
        'for name in $(dpkg-query -W -f "\\${Package} "); do [ -e /usr/share/doc/$name/copyright ] || echo $name; done'
    )
    assert engine.shell(script) == ""


def test_only_tracked_files_are_in_the_package(engine: Engine) -> None:
    found = engine.shell(f"cd {PACKAGE} && find . -type f -not -path '*/__pycache__/*'").split()
    files = {path.removeprefix("./") for path in found}
    sources = {
        path.removeprefix("resnet_exp/") for path in tracked() if path.startswith(("resnet_exp/", "conf/", "sweeps/"))
    }
    assert len(files) > 100 and files <= sources


def test_what_a_checkout_keeps_to_itself_does_not_reach_the_builder(engine: Engine, tmp_path: Path) -> None:
    checkout, file = tmp_path / "checkout", tmp_path / "Dockerfile"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    shutil.copy(ROOT / ".dockerignore", checkout)
    for name in PLANTED:
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
    file.write_text("FROM scratch\nCOPY . /\n")
    name = "localhost/resnet_exp-context"
    engine.build(checkout, file, name)
    try:
        container = engine.ask("create", name, "none")
        archive = tmp_path / "context.tar"
        engine.ask("export", "-o", str(archive), container)
        engine.ask("rm", container)
    finally:
        engine.ask("rmi", name)
    got = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout.splitlines()
    # An engine adds what it needs to run a container: empty files and folders in these.
    files = {
        path
        for path in got
        if not path.endswith("/") and not path.startswith(("dev/", "etc/", "proc/", "sys/", "run/"))
    }
    assert {"pyproject.toml", "conf/config.yaml", "resnet_exp/train.py"} <= files
    assert files - tracked() == set()
    assert SECRET.encode() not in archive.read_bytes()


def test_no_folder_of_root_is_in_the_users_home(engine: Engine) -> None:
    """Where the build has left one, such as .config/matplotlib, no other user can write to it."""
    assert engine.shell("find /home/user -mindepth 1") == ""


def test_kernels_are_for_a_named_processor_and_not_for_the_builders(engine: Engine) -> None:
    """Features of the builder's processor in numba's key would have each other machine compile all of it anew."""
    target = engine.shell(f"/opt/resnet_exp/bin/python -c '{TARGET}'")
    assert target == "('x86-64-v3', '')\n"
