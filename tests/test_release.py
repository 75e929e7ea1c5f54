"""What a release is made of: wheel and sdist outside the checkout, licenses, the files about it, and its workflow."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from hatchling.metadata.core import ProjectMetadata
from packaging.requirements import Requirement

from resnet_exp.core.version import __version__
from support.commands import TINY
from support.paths import ROOT

CITATION, WORKFLOW = ROOT / "CITATION.cff", ROOT / ".github" / "workflows" / "release.yml"
FAMILIES = ("apache", "bsd", "mit", "psf", "mpl", "python software foundation")


def call(*command: str | Path, cwd: Path = ROOT, timeout: float = 300, **env: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=timeout
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def build(kind: str, folder: Path, source: Path = ROOT) -> Path:
    """The file that hatchling makes of a source tree."""
    call(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=source)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without its list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def install(wheel: Path, home: Path) -> Path:
    """The interpreter of a new environment that has the wheel, and our dependencies."""
    call(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / "bin" / "python"
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # The dependencies come from this environment, by its path only: its own .pth files, the editable
    # install's among them, are not followed from here.
    import hydra

    (site / "dependencies.pth").write_text(f"{Path(hydra.__file__).parent.parent}\n")
    where = call(python, "-c", "import resnet_exp; print(resnet_exp.__file__)", cwd=home).strip()
    assert where == str(site / "resnet_exp" / "__init__.py")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    held = contents(wheel)
    about = f"resnet_exp-{__version__}.dist-info"
    assert {name.split("/")[0] for name in held} == {"resnet_exp", "hydra_plugins", about}
    assert {f"{about}/licenses/LICENSE", f"{about}/licenses/THIRD_PARTY.md", "resnet_exp/py.typed"} <= set(held)
    configs = {
        f"resnet_exp/{path.relative_to(ROOT)}"
        for folder in ("conf", "sweeps")
        for path in (ROOT / folder).rglob("*.yaml")
        if "local" not in path.parts
    }
    assert configs and configs <= set(held)
    python = install(wheel, tmp_path / "venv")
    shown = call(python, "-m", "resnet_exp", "--cfg", "job", "recipe=hot", "ssr=0.5", cwd=tmp_path)
    assert re.search(r"(?m)^ssr: 0\.5$", shown)
    assert "24 runs" in call(python, "-m", "resnet_exp.plan", "-cn", "demo", cwd=tmp_path)


@pytest.mark.slow
def test_the_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = build("sdist", tmp_path)
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    for name in ("LICENSE", "THIRD_PARTY.md", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "requirements-run.lock"):
        assert (source / name).is_file(), name
    assert contents(build("wheel", tmp_path / "built", source)) == contents(wheel)


@pytest.mark.soak
def test_the_wheel_of_the_sdist_trains(tmp_path: Path) -> None:
    """The main job with the shortest of schedules, converted and trained by what was installed alone."""
    with tarfile.open(build("sdist", tmp_path)) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    python = install(build("wheel", tmp_path / "built", source), tmp_path / "venv")
    words = ("recipe=hot", *TINY, f"runs_dir={tmp_path}/runs", f"data.cache_dir={tmp_path}/cache")
    call(python, "-m", "resnet_exp", *words, cwd=tmp_path, timeout=500, OMP_NUM_THREADS="1")
    (result,) = (tmp_path / "runs").glob("*/result.json")
    assert json.loads(result.read_text())["epochs"] == 2


def requirements() -> list[str]:
    project = ProjectMetadata(str(ROOT), None).config["project"]
    return sorted(Requirement(spec).name for spec in project["dependencies"])


def test_the_license_of_each_dependency_is_named() -> None:
    rows = re.findall(r"^\| ([\w-]+) \| (.+) \|$", (ROOT / "THIRD_PARTY.md").read_text(), re.MULTILINE)
    named = {name: text for name, text in rows if not set(name) <= set("-") and name != "package"}
    assert sorted(named) == requirements()
    for name, text in named.items():
        said = license_of(name)
        families = [family for family in FAMILIES if family in text.lower()]
        assert families and (not said or any(family in said for family in families)), (name, text, said)


def license_of(package: str) -> str:
    """What a package's metadata says of its license; empty if it says nothing."""
    about = importlib.metadata.metadata(package)
    said = [*about.get_all("License-Expression", []), *about.get_all("License", [])]
    said += [name for name in about.get_all("Classifier", []) if name.startswith("License")]
    return " ".join(said).lower()


def test_the_files_about_a_release_agree() -> None:
    citation = yaml.safe_load(CITATION.read_text())
    jsonschema.validate(citation, get_builtin_schema("vendor.citation-file-format"))
    assert str(citation["version"]) == __version__
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None and first[1] == __version__


def test_the_workflow_publishes_what_it_has_built() -> None:
    """Its words are checked by actionlint in make lint."""
    workflow = yaml.load(WORKFLOW.read_text(), yaml.BaseLoader)
    jsonschema.validate(workflow, get_builtin_schema("vendor.github-workflows"))
    build_job, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert publish["needs"] == "build" and publish["environment"] == "pypi"
    # No token is stored, and only the step that publishes may ask for one.
    assert publish["permissions"] == {"id-token": "write"} and build_job["permissions"] == {"contents": "read"}
    assert "secrets" not in WORKFLOW.read_text()
    (check,) = [step for step in build_job["steps"] if "sed" in step.get("run", "")]
    for tag, code in ((f"v{__version__}", 0), ("v9.9.9", 1)):
        done = subprocess.run(["bash", "-c", check["run"]], cwd=ROOT, env={**os.environ, "TAG": tag})
        assert done.returncode == code
    targets = {
        word for step in build_job["steps"] for word in re.findall(r"make (.*?)(?: ARGS|$)", step.get("run", ""))
    }
    known = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for target in targets for word in target.split()} <= known
