"""Files of every released version are read: ``formats/VERSION`` has a run of each, as it was written then."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from resnet_exp.config import identity
from resnet_exp.core import files
from resnet_exp.core.version import __version__
from resnet_exp.data.conversion import manifest
from resnet_exp.data.ffcv import layout
from resnet_exp.data.streaming import mds
from resnet_exp.launch.config_file import read_config
from resnet_exp.launch.dataset import read_data_set
from resnet_exp.results.collect import collect_runs
from resnet_exp.runs import states, sweep_manifest
from resnet_exp.runs.environment import read_environment
from resnet_exp.runs.folder import RunFolder
from support.paths import ROOT

FORMATS = Path(__file__).parent / "formats"
RUN_ID = "mild-ssr0.0112-cpu-s1-fc4b2bae"
UPGRADE = (ROOT / "docs" / "upgrade.md").read_text()


@pytest.fixture(params=sorted(path.name for path in FORMATS.iterdir()))
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of runs of a version."""
    return shutil.copytree(FORMATS / str(request.param) / "runs", tmp_path / "runs")


def test_a_finished_run_is_read(runs: Path) -> None:
    collected = collect_runs([runs])
    (run,) = collected.runs
    assert collected.unreadable == [] and collected.states == []
    assert (run.run_id, run.recipe, run.epochs, run.dataset) == (RUN_ID, "mild", 1, "digits")
    assert run.top1 == pytest.approx(32 / 360)


def test_its_configuration_still_means_the_same_run(runs: Path) -> None:
    (state,) = states.collect_states(runs, [RUN_ID])
    assert state.kind == "done"
    config = read_config(RunFolder(runs / RUN_ID))
    assert identity.run_id(config) == RUN_ID


def test_what_is_beside_it_is_read(runs: Path) -> None:
    run = RunFolder(runs / RUN_ID)
    (sweep,) = sweep_manifest.read_manifests(runs)
    assert (sweep.sweep, [each.run_id for each in sweep.runs]) == ("one", [RUN_ID])
    assert sweep_manifest.notes(runs) == []
    assert read_environment(run).version == "0.1.0"
    data = read_data_set(run)
    assert data is not None and data.fingerprint == "ed5a3a1298aa3dad"


def test_the_page_names_today_s_versions() -> None:
    """A version that changes must be explained in docs/upgrade.md, and have a folder here once it is released."""
    table = dict(re.findall(r"^\| (.+?) \| (\d+) \|", UPGRADE, re.MULTILINE))
    today = {
        "files of run folders, sweep manifests": files.SCHEMA,
        "manifests of conversions": manifest.SCHEMA,
        "FFCV files": layout.VERSION,
        "MDS shards": mds.VERSION,
    }
    assert {name: int(version) for name, version in table.items()} == today
    assert (FORMATS / __version__).is_dir()
