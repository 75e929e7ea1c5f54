"""What people type, and the whole line that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_exp import cli, convert, plan
from resnet_exp.config import command_line, validate
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE
from support.configs import make_config

Program = Callable[[Sequence[str]], int]
Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """The one line with which a program refuses a command line, exit code 2; it leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = set(tmp_path.iterdir())

    def run(line: str, program: Program = cli.main) -> str:
        code = program(line.split())
        said = capfd.readouterr()
        assert (code, said.out, said.err.count("\n")) == (EXIT_BAD_REQUEST, "", 1), said
        assert set(tmp_path.iterdir()) == before
        return said.err.rstrip("\n")

    return run


RANGE = "use range(START,STOP) or range(START,STOP,STEP)"
EMPTY = f"holds no value; {RANGE}, whose values go from START towards STOP"
SWEEPS = {
    "recipe=glob(zz*)": "recipe=glob(zz*) holds no value; use a pattern that matches an option of recipe",
    "recipe=glob(*,exclude=*)": "recipe=glob(*,exclude=*) holds no value; use a pattern that matches an option of "
    "recipe",
    "seed=range(5,1)": f"seed=range(5,1) {EMPTY}",
    "ssr=range(0.5,0.1,0.1)": f"ssr=range(0.5,0.1,0.1) {EMPTY}",
    "hydra.sweeper.grids=[{seed:'range(5,1)'}]": f"seed=range(5,1) {EMPTY}",
    "+hydra.sweeper.params.seed='range(5,1)'": f"seed=range(5,1) {EMPTY}",
    "seed=range(0,5,0)": f"seed=range(0,5,0) cannot be counted out; {RANGE} with a STEP other than 0",
    "ssr=range(nan,1)": f"ssr=range(nan,1) cannot be counted out; {RANGE} with a STEP other than 0",
    "ssr=range(0,inf)": "ssr=range(0,inf) holds more than 100,000 values; use fewer",
}


def test_a_sweep_of_nothing_or_without_end_is_refused(refused: Refused) -> None:
    for words, line in SWEEPS.items():
        assert refused(f"-m hardware=cpu {words}") == line
    for program in (plan.main, convert.main):
        assert refused("-m hardware=cpu seed=range(5,1)", program) == SWEEPS["seed=range(5,1)"]


def test_a_search_of_nothing_or_without_end_is_refused(refused: Refused) -> None:
    for words in ("seed=range(5,1)", "seed=range(0,5,0)", "recipe=glob(zz*)", "ssr=range(0,inf)"):
        assert refused(f"-cn adaptive dataset=digits hardware=cpu {words}") == SWEEPS[words]


def test_a_launcher_of_another_package_is_never_called(refused: Refused) -> None:
    foreign = "hydra/launcher=submitit_slurm"
    line = (
        f"{foreign} is not of resnet_exp; use hydra/launcher=slurm, which asks for the GPUs that a run needs and "
        "continues it after a time limit, or submitit_local or basic on this machine"
    )
    for program in (cli.main, plan.main, convert.main):
        assert refused(f"-m seed=1,2 hardware=cpu {foreign}", program) == line
    for sweep in ("-cn demo", "-cn adaptive dataset=digits"):
        assert refused(f"{sweep} hardware=cpu {foreign}", plan.main) == line


def test_words_of_a_sweep_are_refused_without_one(refused: Refused) -> None:
    for word in ("hydra/launcher=slurm", "hydra/launcher=submitit_local", "hydra/sweeper=adaptive"):
        assert refused(f"hardware=cpu {word}", plan.main) == f"{word} is for sweeps, even of one run: add -m"


AUTO = (
    "has no effect with hardware=auto, which takes all GPUs that it finds; set CUDA_VISIBLE_DEVICES, or name the "
    "hardware, such as hardware=a100x1"
)
DIGITS = "has no effect with dataset=digits; add dataset=imagefolder, or dataset=imagenet for ImageNet"
TARGET = "has no effect with target_top1=, which looks at all runs; it takes dataset, dataset.dir, runs_dir"
# With each of these one would get something else than what was asked for.
WITHOUT_EFFECT: dict[str, tuple[Program, str]] = {
    "recipe=mild dataset.dir=/no/such/dir": (cli.main, f"dataset.dir=/no/such/dir {DIGITS}"),
    "dataset.dir=/x": (convert.main, f"dataset.dir=/x {DIGITS}"),
    "-cn demo hardware=cpu dataset.dir=/x seed=3 ssr=0.1 recipe=mild": (plan.main, f"dataset.dir=/x {DIGITS}"),
    "hardware=auto hardware.devices=1": (plan.main, f"hardware.devices=1 {AUTO}"),
    "-m seed=1,2 hardware.gpu=A100": (plan.main, f"hardware.gpu=A100 {AUTO} (in the run with seed=1)"),
    "hydra.run.dir=here": (
        cli.main,
        "hydra.run.dir=here has no effect: runs go below runs_dir; use runs_dir=PATH",
    ),
    "command=mine": (cli.main, "command=mine has no effect: a run writes its own command; leave it out"),
    "target_top1=0.766 hardware=cpu": (plan.main, f"hardware=cpu {TARGET}"),
    "verify=true on_error=skip": (
        convert.main,
        "on_error=skip has no effect with verify=true, which converts nothing; leave it out",
    ),
}


def test_words_that_are_not_used_are_refused(refused: Refused) -> None:
    for words, (program, line) in WITHOUT_EFFECT.items():
        assert refused(words, program) == line


@pytest.mark.parametrize(
    ("words", "noted"),
    {
        "data=synthetic data.num_workers=3": "data.num_workers=3 has no effect with data=synthetic, whose images are "
        "made in memory",
        "data=imagefolder data.prefetch_factor=3": "data.prefetch_factor=3 has no effect without workers; set "
        "data.num_workers",
        "data.loader.write_mode=raw data.loader.jpeg_quality=4": "data.loader.jpeg_quality=4 has no effect with "
        "data.loader.write_mode=raw",
        "data.loader.train_file=a data.loader.val_file=b data.loader.write_mode=raw": "data.loader.write_mode=raw has "
        "no effect on files that are there already",
        "data=streaming data.loader.remote=here data.loader.jpeg_quality=4": "data.loader.jpeg_quality=4 has no effect "
        "on shards that are there already",
        "hardware.price_date=2026": "hardware.price_date=2026 has no effect without hardware.usd_per_node_hour",
        "hardware.gpu=A100": "hardware.gpu=A100 has no effect on a CPU (hardware=cpu)",
        "dataset.lr_scale=0.5 optimizer.lr=0.1": "dataset.lr_scale=0.5 has no effect beside optimizer.lr=0.1",
        "dataset.lr_scale=0.5": None,
        "data=imagefolder data.num_workers=2 data.prefetch_factor=3": None,
        "data.loader.jpeg_quality=4 hardware.usd_per_node_hour=3 hardware.price_date=2026": None,
    }.items(),
)
def test_words_that_change_nothing_are_noted(words: str, noted: str | None) -> None:
    overrides = ["recipe=mild", "ssr=0.5", "hardware=cpu", *words.split()]
    config = replace(make_config(*overrides), command=command_line.command_of(overrides))
    assert validate.notes(config) == ([noted] if noted else [])


def test_a_file_of_ones_own_may_set_what_is_not_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Such as the folder of ImageNet in the settings of a machine, where one tries something on the digits."""
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("# @package _global_\ndataset: {dir: /data/imagenet}\n")
    assert plan.main(["--config-dir", str(tmp_path), "hardware=cpu", f"runs_dir={tmp_path}/runs"]) == EXIT_DONE
    assert "no effect" not in capfd.readouterr().out
