"""Composition: every group option, the front's independence of torch, and what a run's identity depends on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_exp.config import identity, schedule
from resnet_exp.config.checks import validate
from resnet_exp.config.schema import ResolutionConfig, RunConfig, ScheduleConfig, run_config
from resnet_exp.core import paths
from support.configs import make_config

CONF = paths.conf_dir()


def finalize(*overrides: str) -> RunConfig:
    return make_config("hardware=cpu", *overrides)


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_the_commands_never_import_torch() -> None:
    commands = "cli, convert, plan, status, report, plot, dashboard, api, evaluate, predict, export"
    commands = commands.replace(" ", " resnet_exp.")
    heavy = "{'torch', 'torchvision', 'composer', 'ffcv', 'numba'}"
    code = f"import sys, resnet_exp.{commands}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_run_folders_need_the_standard_library_only() -> None:
    code = "import sys, resnet_exp.runs.folder; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=CONF.parent)
    assert set(loaded.stdout.split()) - {"resnet_exp", "__main__"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", options("recipe"))
@pytest.mark.parametrize("model", options("model"))
def test_every_recipe_composes_with_every_model(name: str, model: str) -> None:
    values = finalize(f"recipe={name}", f"model={model}", "dataset=imagenet", "dataset.dir=/somewhere")
    assert (values.recipe, values.model.name) == (name, model)
    size_and_rate = (64, 0.01) if name == "finetune" else (2048, 2.048)
    assert (values.train_batch_size, values.optimizer.lr) == size_and_rate
    assert values.model.num_classes == 1000


@pytest.mark.parametrize("name", options("algorithms"))
def test_every_algorithm_can_be_added_and_removed(name: str) -> None:
    added = finalize("recipe=baseline", "data=imagefolder", f"+algorithms={name}")
    assert list(added.algorithms) == [name]
    removed = finalize("recipe=baseline", f"algorithms=[{name},channels_last]", f"~algorithms.{name}")
    assert name not in removed.algorithms


def test_algorithms_chosen_anew_leave_no_settings_behind() -> None:
    assert list(finalize("recipe=medium", "algorithms=[ema]").algorithms) == ["ema"]


def test_digits_scale_what_imagenet_does_not() -> None:
    values = finalize("recipe=mild")
    assert values.resolution == ResolutionConfig(train=24, eval_resize=24, eval_crop=24)
    assert (values.train_batch_size, values.optimizer.lr) == (64, 2.048 / 4)
    values = finalize("recipe=mild", "dataset=imagenet", "dataset.dir=x")
    assert values.resolution == ResolutionConfig(train=176, eval_resize=232, eval_crop=224)


def test_the_command_line_wins_over_recipe_and_dataset() -> None:
    values = finalize("recipe=hot", "train_batch_size=32", "optimizer.lr=0.7", "resolution.train=64", "model=resnet34")
    assert (values.train_batch_size, values.optimizer.lr, values.resolution.train) == (32, 0.7, 64)
    assert values.model.name == "resnet34"


def test_epochs_are_truncated_as_in_the_original() -> None:
    expected = {0.32: 28, 0.36: 32, 0.4: 36, 0.5: 45, 0.7: 62, 0.7001: 63, 0.75: 67, 1.4: 125, 2.3: 206, 2.8: 251}
    full = ScheduleConfig(max_duration="90ep")
    found = {ssr: schedule.scaled_duration(RunConfig(ssr=ssr, schedule=full)) for ssr in expected}
    assert found == {ssr: (epochs, "ep") for ssr, epochs in expected.items()}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["recipe=hot", "ssr=0.5"], "ssr=0.5 is outside the range that recipe=hot is meant for (above 2.6)"),
        (["recipe=mild", "ssr=0.8"], "ssr=0.8 is outside the range that recipe=mild is meant for (0.0 to 0.75)"),
        (["recipe=mild", "ssr=0.08"], "7ep never leave the warm-up of 8ep"),
        (["recipe=hot", "ssr=3", "model=resnet18"], "stochastic_depth does nothing: model=resnet18"),
        (["recipe=baseline", "data.decode=scheduled"], "data.decode=scheduled does nothing without algorithms.prog"),
    ],
)
def test_notes_say_what_is_odd(overrides: list[str], said: str) -> None:
    assert said in " ".join(validate.notes(finalize(*overrides)))


@pytest.mark.parametrize(
    "overrides",
    [["recipe=mild", "ssr=0.75"], ["recipe=medium", "data.decode=scheduled"], ["recipe=baseline", "ssr=9"]],
)
def test_no_notes_without_reason(overrides: list[str]) -> None:
    assert validate.notes(finalize(*overrides)) == []


SAME = ["runs_dir=elsewhere", "data.cache_dir=/x", "loggers=[]", "hardware.usd_per_node_hour=3", "run_id=null"]
SAME += ["hardware.spot_usd_per_node_hour=3", "hardware.spot_price_date=2026-11-09"]
OTHER = ["seed=18", "ssr=0.9", "optimizer.lr=0.1", "+algorithms=mixup", "model=resnet18", "data.num_workers=3"]


@pytest.mark.parametrize("override", SAME)
def test_paths_loggers_and_prices_do_not_change_a_run(override: str) -> None:
    assert finalize(override).run_id == finalize().run_id


@pytest.mark.parametrize("override", [*OTHER, "hardware.precision=fp32 hardware.name=other", "trace=true"])
def test_what_can_change_the_outcome_changes_the_run(override: str) -> None:
    assert finalize(*override.split()).run_id != finalize().run_id


def test_the_folder_is_the_identity_of_an_unnamed_dataset_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for label in ("x", "y"):
            (tmp_path / name / "train" / label).mkdir(parents=True)
    ids = {finalize("dataset=imagefolder", f"dataset.dir={tmp_path / name}").run_id for name in ("a", "b")}
    assert len(ids) == 2
    ids = {finalize("dataset=imagenet", f"dataset.dir={tmp_path / name}").run_id for name in ("a", "b")}
    assert len(ids) == 1


def test_a_run_id_reads_as_documented() -> None:
    values = finalize("recipe=hot", "ssr=0.5")
    assert values.run_id == f"hot-ssr0.5-cpu-s17-{identity.digest(values)}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=5))
def test_the_digest_ignores_the_order_of_keys(extra: dict) -> None:
    forward = {"algorithms": {"mine": extra}, "dataset": {"name": "imagefolder", "dir": "/x"}}
    backward = _reversed(json.loads(json.dumps(forward)))
    assert identity.digest(run_config(forward)) == identity.digest(run_config(backward))


def _reversed(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {key: _reversed(value) for key, value in reversed(values.items())}


def test_a_recipe_of_ones_own_extends_another(tmp_path: Path, run_cli) -> None:
    page = (CONF.parent / "docs" / "recipes.md").read_text()
    text = page.split('```yaml title="my_conf/recipe/mellow.yaml"\n')[1].split("```")[0]
    (tmp_path / "my_conf" / "recipe").mkdir(parents=True)
    (tmp_path / "my_conf" / "recipe" / "mellow.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "resnet_exp", "--config-dir", "my_conf", "recipe=mellow", "--cfg", "job", "--resolve"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "smoothing: 0.05" in done.stdout
    assert "composer.algorithms.CutMix" in done.stdout
