"""Jobs in the image on a SLURM cluster, under Apptainer and under pyxis with enroot: no SLURM is in the image.

``SIF=FILE`` takes an image of Apptainer that is there. ``PYXIS=spank_pyxis.so SQSH=FILE`` are pyxis, and an image that
``enroot import`` has made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.container import Engine
from support.paths import ROOT, TESTS
from support.photos import write_photos
from support.slurm_cluster import SlurmCluster
from support.slurm_play import accept_gated
from support.slurm_scenario import Scenario
from support.warm import WarmPython

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]

# Instead of the image's own value, with which enroot asks for NVIDIA's container tools.
NO_GPU, NO_GPU_SETUP = "--container-env=NVIDIA_VISIBLE_DEVICES", "export NVIDIA_VISIBLE_DEVICES=void"
PYTHON = "hydra.launcher.python=/opt/resnet_exp/bin/python"


@pytest.fixture(scope="session")
def sif(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as a file of Apptainer, made by docker/resnet_exp.def."""
    if shutil.which("apptainer") is None:
        pytest.skip("needs Apptainer")
    if named := os.environ.get("SIF"):
        return Path(named)
    engine: Engine = request.getfixturevalue("engine")
    folder = tmp_path_factory.mktemp("sif")
    archive, made = folder / "resnet_exp.tar", folder / "resnet_exp.sif"
    engine.ask("save", "--output", str(archive), engine.image, timeout=1200)
    arguments = ["--build-arg", "FROM=docker-archive", "--build-arg", f"IMAGE={archive}"]
    words = ["apptainer", "build", *arguments, made, ROOT / "docker" / "resnet_exp.def"]
    environ = {**os.environ, "APPTAINER_TMPDIR": str(folder), "APPTAINER_CACHEDIR": str(folder / "cache")}
    subprocess.run(words, env=environ, check=True)
    archive.unlink()
    shutil.rmtree(folder / "cache")
    return made


@pytest.fixture
def scenario(slurm: SlurmCluster, warm_python: WarmPython, tmp_path: Path) -> Scenario:
    return Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"), warm_python)


@pytest.fixture(params=["apptainer", "pyxis"])
def runtime(request: pytest.FixtureRequest, slurm: SlurmCluster) -> Iterator[tuple[str, ...]]:
    """The settings of the launcher for each way to run a container."""
    if request.param == "apptainer":
        yield (f"hydra.launcher.container=[apptainer,exec,--bind,{TESTS},{request.getfixturevalue('sif')}]",)
        return
    if not {"PYXIS", "SQSH"} <= os.environ.keys():
        pytest.skip("needs pyxis and enroot")
    plugins = slurm.folder / "etc" / "plugstack.conf"
    (slurm.folder / "pyxis").mkdir(exist_ok=True)
    plugins.write_text(f"required {os.environ['PYXIS']} runtime_path={slurm.folder}/pyxis\n")
    words = [f"--container-image={os.environ['SQSH']}", f"--container-mounts=/tmp,{TESTS}", NO_GPU]
    yield f"hydra.launcher.srun_args={json.dumps(words)}", f"hydra.launcher.setup={json.dumps([NO_GPU_SETUP])}"
    plugins.unlink()


def check(s: Scenario, sweep: str) -> str:
    """What a job has printed whose run was interrupted once, and lost and repeated no batch."""
    states = s.wait_over(sweep, 600)
    assert states["41"]["kind"] == "done", states
    folder = s.folder_of(sweep, "41")
    assert json.loads((folder / "result.json").read_text())["resumed"] == 1
    batches = [json.loads(line)["batch"] for line in (folder / "trace.jsonl").read_text().splitlines()]
    assert batches == list(range(8))
    return s.log(sweep, "41").read_text()


def test_a_job_near_its_time_limit_starts_again(scenario: Scenario, runtime: tuple[str, ...]) -> None:
    s = scenario
    accept_gated(s, "limit", "41", *runtime, PYTHON)
    s.wait_batches("limit", "41", 1)
    job = s.states("limit")["41"]["job"]
    s.slurm.run("scancel", "--signal=USR2", job)
    s.wait_said(s.log("limit", "41"), "no scontrol in this container")
    s.gate("limit").touch()
    assert f"job {job} requeued\n" in check(s, "limit")


def test_a_job_that_loses_one_of_two_nodes_starts_again(scenario: Scenario, runtime: tuple[str, ...]) -> None:
    s = scenario
    accept_gated(s, "dual", "41", *runtime, PYTHON, "hardware.nodes=2")
    s.wait_checkpoint("dual", "41", 4)
    s.slurm.reboot_node("n2")
    s.gate("dual").touch()
    assert "a node of this job was lost: no rank has reported why it ended\n" in check(s, "dual")


def test_the_file_of_apptainer_runs_as_it_is(sif: Path, tmp_path: Path) -> None:
    line = ["recipe=hot", "data=ffcv", "hardware=cpu", "schedule.max_duration=1ep"]
    # Apptainer takes the home from the list of users, whatever HOME says.
    words = ["apptainer", "run", "--home", str(tmp_path), str(sif), *line]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert list(tmp_path.glob("runs/*/result.json"))
    assert list(tmp_path.glob(".cache/**/*.ffcv"))
    # That is said where a kernel was compiled, since the file cannot take it.
    assert "compiled code cannot be kept" not in said
