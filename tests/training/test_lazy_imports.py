"""What Composer imports for others is left out of a rank; it works when it is used, and a run does not notice."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.patches import cpu_name
from resnet_exp.training.rank import lazy_imports
from resnet_exp.training.rank.lazy_imports import UNUSED, Known
from support.paths import TESTS
from support.ports import unused_port

# Imported the usual way before the rank imports anything.
EVERYTHING = f"import {', '.join(UNUSED)}, composer, sys; from resnet_exp import train; sys.exit(train.main())"


def module(name: str) -> Any:
    """What an import statement gives."""
    return importlib.import_module(name)


def loaded(path: Path) -> set[str]:
    return set(path.read_text().splitlines())


@pytest.mark.soak
def test_a_rank_trains_the_same_without_what_it_does_not_use(
    tmp_path: Path, run_cli: Any, tiny: list[str], photo_tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    names = tmp_path / "names"
    callback = ("+callbacks.loaded._target_=support.loaded_modules.LoadedModules", f"+callbacks.loaded.path={names}")
    # The compiled decoder uses scipy.linalg, through numba.
    loader = ("data=imagefolder", "data.loader.decoder=pillow")
    data = (*loader, "dataset=imagefolder", f"dataset.dir={photo_tree()}", "loggers=[csv]")
    done = run_cli("recipe=hot", *tiny, *data, "trace=true", *callback)
    assert done.returncode == 0, done.stderr + done.stdout
    without = loaded(names)
    assert not without & {*UNUSED, "mcli.api", "scipy.stats", "scipy.signal._signal_api", "hydra"}
    assert {"composer.loggers.mosaicml_logger", "torchmetrics", "torch.distributed.fsdp", "torch._dynamo"} <= without

    (first,) = (RunFolder(config.parent) for config in (tmp_path / "runs").glob("*/config.yaml"))
    second = RunFolder(tmp_path / "second")
    second.path.mkdir()
    (second.path / first.config.name).write_bytes(first.config.read_bytes())
    with unused_port() as port:
        environ = {**os.environ, "RANK": "0", "MASTER_PORT": str(port)}
        subprocess.run([sys.executable, "-c", EVERYTHING, str(second.path)], env=environ, check=True, timeout=300)
    assert {*UNUSED, "mcli.api", "scipy.stats"} <= loaded(names)

    assert first.trace.read_bytes() == second.trace.read_bytes() != b""
    ours, theirs = torch.load(first.weights), torch.load(second.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_what_is_said_of_modules_that_have_not_run_is_true() -> None:
    facts = {name: (sorted(known.submodules), sorted(known.missing)) for name, known in UNUSED.items()}
    python(f"""
import importlib, sys
for name, (submodules, missing) in {facts!r}.items():
    module = importlib.import_module(name)
    assert not any(hasattr(module, key) for key in missing), (name, missing)
    for key in submodules:
        assert getattr(module, key) is sys.modules[name + "." + key], (name, key)
""")


@pytest.mark.slow
def test_what_was_left_out_works_when_it_is_used() -> None:
    python("""
import sys
from resnet_exp.training.rank import lazy_imports
with lazy_imports.without_garbage_collection(), lazy_imports.without_unused():
    import resnet_exp.training.trainer
assert not any(isinstance(module, lazy_imports.StandIn) for module in sys.modules.values())
assert "mcli" not in sys.modules and "scipy.stats" not in sys.modules

# Composer's logger for MosaicML's platform has a stand-in.
from composer.loggers import mosaicml_logger
import mcli
assert isinstance(mosaicml_logger.mcli, lazy_imports.StandIn) and not isinstance(mcli, lazy_imports.StandIn)
assert mosaicml_logger.mcli.update_run_metadata is mcli.update_run_metadata

# SciPy's windows have stand-ins of three of its packages.
import numpy as np
from scipy.signal import windows
assert isinstance(windows._windows.special, lazy_imports.StandIn)
assert np.allclose(windows.kaiser(9, 3.0), np.kaiser(9, 3.0))
assert windows.chebwin(9, 100).shape == (9,)      # scipy.fft
assert windows.dpss(9, 2.0).shape == (9,)         # scipy.linalg
import scipy.signal, scipy.special, scipy.linalg, scipy.fft
assert windows._windows.linalg.solve is scipy.linalg.solve
assert scipy.signal.windows is windows
assert scipy.signal.butter(2, 0.5)[0].shape == (3,)

# torchmetrics has added a function to a stand-in.
assert scipy.signal.hamming is windows.hamming

# What is not left out: a metric draws itself with matplotlib.
import matplotlib
matplotlib.use("agg")
import torch
from torchmetrics.classification import MulticlassAccuracy
metric = MulticlassAccuracy(num_classes=3)
metric.update(torch.eye(3), torch.arange(3))
assert isinstance(metric.plot()[0], matplotlib.figure.Figure)
""")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Modules that are left out: a package, one that cannot be imported, and one that is not installed.

    Returns a file to which the package adds a letter whenever it runs.
    """
    runs = tmp_path / "runs"
    (tmp_path / "left_out").mkdir()
    (tmp_path / "left_out" / "light.py").write_text("value = 2\n")
    lines = [f"with open({str(runs)!r}, 'a') as file: file.write('x')", "from . import light", "value = 1"]
    (tmp_path / "left_out" / "__init__.py").write_text("\n".join(lines))
    (tmp_path / "left_out_broken.py").write_text("raise ImportError('broken as told')\n")
    monkeypatch.syspath_prepend(tmp_path)
    known = {
        "left_out": Known(frozenset({"light"}), frozenset({"gone"})),
        "left_out_broken": Known(),
        "absent": Known(),
    }
    monkeypatch.setattr(lazy_imports, "UNUSED", known)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield runs
    for name in [name for name in sys.modules if name.startswith("left_out")]:
        del sys.modules[name]


def test_a_module_runs_when_it_is_used(packages: Path) -> None:
    with lazy_imports.without_unused():
        left_out = module("left_out")
        assert importlib.util.find_spec("left_out") is left_out.__spec__
        assert left_out.light.value == 2
        assert not hasattr(left_out, "gone")
        left_out.added = 3
    assert "left_out" not in sys.modules
    assert not packages.exists()
    assert left_out.value == 1
    assert packages.read_text() == "x"
    real: Any = sys.modules["left_out"]
    assert type(real) is ModuleType
    assert (real.value, real.added, real.light) == (1, 3, left_out.light)
    assert {"value", "light"} <= set(dir(left_out))
    with pytest.raises(AttributeError, match="left_out"):
        left_out.other  # noqa: B018
    assert packages.read_text() == "x"


def test_a_module_that_is_used_at_once_runs_at_once(packages: Path) -> None:
    with lazy_imports.without_unused():
        left_out = module("left_out")
        left_out.added = 3
        assert left_out.value == 1
        assert type(sys.modules["left_out"]) is ModuleType
    assert module("left_out").added == 3
    assert packages.read_text() == "x"


def test_a_module_that_is_imported_already_stays(packages: Path) -> None:
    before = module("left_out")
    with lazy_imports.without_unused():
        assert module("left_out") is before
    assert sys.modules["left_out"] is before


def test_modules_that_cannot_be_imported_say_so(packages: Path) -> None:
    with lazy_imports.without_unused():
        with pytest.raises(ModuleNotFoundError, match="absent"):
            module("absent")
        broken = module("left_out_broken")
    for _ in range(2):
        with pytest.raises(ImportError, match="broken as told"):
            broken.value  # noqa: B018
    with pytest.raises(ImportError, match="broken as told"):
        module("left_out_broken")


def test_imported_objects_are_no_garbage_to_look_for() -> None:
    collections: list[str] = []
    count = gc.get_freeze_count()
    gc.callbacks.append(lambda phase, info: collections.append(phase))
    try:
        with lazy_imports.without_garbage_collection():
            kept = [[] for _ in range(10_000)]
            assert collections == []
        assert gc.isenabled()
        assert gc.get_freeze_count() >= count + len(kept)
    finally:
        gc.callbacks.pop()
        gc.unfreeze()


def test_checkpoints_name_the_cpu_as_composer_does() -> None:
    model = cpu_name.cpu_model()
    python(f"""
import cpuinfo
from composer.utils import get_composer_env_dict
from resnet_exp.training.patches import cpu_name
cpu_name.without_probe()
cpuinfo.get_cpu_info, probe = None, cpuinfo.get_cpu_info
assert get_composer_env_dict()["cpu_model"] == probe()["brand_raw"] == {model!r}
""")
