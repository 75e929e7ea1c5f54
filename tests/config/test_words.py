"""What people type, and the whole line that answers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_exp import cli, convert, plan
from resnet_exp.config.checks import validate
from resnet_exp.config.overrides import command_line, hints
from resnet_exp.config.schema import LauncherConfig, RunConfig
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE
from resnet_exp.sweep.planned import Sweep
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


def test_a_sweep_that_names_no_images_is_refused(refused: Refused) -> None:
    """On a cluster, each job was refused after its time in the queue."""
    launchers = ("slurm", "slurm hydra.launcher.host=me@login hydra.launcher.remote_dir=/runs", "submitit_local")
    for launcher in (*launchers, "basic"):
        for data in ("ffcv", "imagefolder", "parquet", "streaming"):
            line = f"-m hydra/launcher={launcher} hardware=h100x1 recipe=mild dataset=imagenet data={data}"
            assert refused(line).startswith("dataset.dir is not set; use dataset.dir=PATH"), line


def test_a_search_of_nothing_or_without_end_is_refused(refused: Refused) -> None:
    for words in ("seed=range(5,1)", "seed=range(0,5,0)", "recipe=glob(zz*)", "ssr=range(0,inf)"):
        assert refused(f"-cn adaptive dataset=digits hardware=cpu {words}") == SWEEPS[words]


def test_a_launcher_of_another_package_is_never_called(refused: Refused) -> None:
    foreign = "hydra/launcher=submitit_slurm"
    line = (
        f"{foreign} does not belong to resnet_exp; use hydra/launcher=slurm, which asks for the GPUs that a run needs "
        "and continues it after a time limit, or submitit_local or basic on this machine"
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
DIGITS = "has no effect with dataset=digits; leave out dataset=digits, or use dataset=imagenet for ImageNet"
TARGET = "has no effect with target_top1=, which looks at all runs; it takes dataset, dataset.dir, hardware, runs_dir"
# With each of these one would get something else than what was asked for.
WITHOUT_EFFECT: dict[str, tuple[Program, str]] = {
    "recipe=mild dataset=digits dataset.dir=/no/such/dir": (cli.main, f"dataset.dir=/no/such/dir {DIGITS}"),
    "dataset=digits dataset.dir=/x": (convert.main, f"dataset.dir=/x {DIGITS}"),
    "dataset=photos dataset.dir=/x": (plan.main, f"dataset.dir=/x {DIGITS.replace('digits', 'photos')}"),
    "-m hardware=cpu dataset=digits dataset.dir=/x seed=3": (plan.main, f"dataset.dir=/x {DIGITS}"),
    "hardware=auto hardware.devices=1": (plan.main, f"hardware.devices=1 {AUTO}"),
    "-m seed=1,2 hardware.gpu=A100": (plan.main, f"hardware.gpu=A100 {AUTO} (in the run with seed=1)"),
    "hydra.run.dir=here": (
        cli.main,
        "hydra.run.dir=here has no effect: runs go below runs_dir; use runs_dir=PATH",
    ),
    "command=mine": (cli.main, "command=mine has no effect: a run writes its own command; leave it out"),
    "target_top1=0.766 recipe=mild": (plan.main, f"recipe=mild {TARGET}"),
    "verify=true on_error=skip": (
        convert.main,
        "on_error=skip has no effect with verify=true, which converts nothing; leave it out",
    ),
}


@pytest.fixture
def own_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three classes; the working directory is its parent."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for label in ("cat", "dog", "owl"):
            (tmp_path / "photos" / split / label).mkdir(parents=True)
            for number in range(4):
                (tmp_path / "photos" / split / label / f"{number}.jpg").touch()
    return tmp_path / "photos"


@pytest.mark.parametrize("sweep", ["", "-m seed=1,2", "-cn demo seed=17 ssr=0.1 recipe=mild"])
def test_a_folder_alone_means_its_images(sweep: str, own_photos: Path) -> None:
    composed = cli.compose([*sweep.split(), "hardware=cpu", "train_batch_size=4", "dataset.dir=photos"])
    found = [composed] if isinstance(composed, RunConfig) else [run.config for run in composed[0].runs]
    for config in found:
        dataset = config.dataset
        assert (dataset.name, dataset.dir, dataset.num_classes) == ("imagefolder", str(own_photos), 3)
        assert config.model.name == "resnet50"
        # What was typed is what is recorded: it means the same again.
        assert config.command is not None and "dataset.dir=photos" in config.command
        assert "dataset=" not in config.command
    assert len(found) == (2 if sweep.startswith("-m") else 1)


def test_a_folder_alone_is_shown(own_photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dataset.dir=photos", "--cfg", "job", "--package", "dataset"]) == EXIT_DONE
    assert "name: imagefolder\n" in capfd.readouterr().out


def test_words_that_are_not_used_are_refused(refused: Refused) -> None:
    for words, (program, line) in WITHOUT_EFFECT.items():
        assert refused(words, program) == line


@pytest.mark.parametrize(
    ("words", "noted"),
    {
        "data=synthetic data.num_workers=3": "data.num_workers=3 has no effect with data=synthetic, whose images are "
        "made in memory",
        "data=imagefolder data.loader.decoder=pillow data.prefetch_factor=3": (
            "data.prefetch_factor=3 has no effect without workers; set data.num_workers"
        ),
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


LENGTH = "use ssr, the fraction of the recipe's epochs to train for, or schedule.max_duration=10ep"
HARDWARE = ", ".join(hints.options_of("hardware"))
LOADER = "train_file, val_file, write_mode, max_resolution, compress_probability, jpeg_quality, os_cache"
# What people type who come from other programs, or in a hurry, and the right answer.
TYPED = {
    "batch_size=8": "batch_size is not a setting; use train_batch_size and eval_batch_size",
    "lr=0.1": "lr is not a setting; use optimizer.lr",
    "epochs=10": f"epochs is not a setting; {LENGTH}",
    "trainer.max_epochs=10": f"trainer.max_epochs is not a setting; {LENGTH}",
    "--epochs=10": f"--epochs=10 is not an option: settings are words such as ssr=0.5; {LENGTH}",
    "momentm=0.9": "momentm is not a setting (did you mean optimizer.momentum?); --cfg job shows them all",
    "mixup=true": "mixup is not a setting; use +algorithms=mixup to add it, ~algorithms.mixup to remove it",
    "algorithms.ema=false": "algorithms.ema=false is not a setting; remove it with ~algorithms.ema",
    "~algorithms=ema": "~algorithms=ema removes nothing; use ~algorithms.ema",
    "~algorithms.sam": "~algorithms.sam removes nothing: there is no algorithms.sam; --cfg job shows what there is",
    "+recipe=hot": "+recipe=hot adds a second recipe; use recipe=hot, without +",
    "optimizer=adamw": "optimizer=adamw is not a choice: there is only DecoupledSGDW; set optimizer.lr, .momentum, "
    ".weight_decay, .dampening, .nesterov",
    "resolution=224": "resolution=224 is not a choice: set resolution.train, .eval_resize, .eval_crop",
    "dataset=/data/photos": "dataset=/data/photos is not available; use dataset.dir=/data/photos",
    "hardware=gpu": f"hardware=gpu is not available; use hardware=auto; or one of {HARDWARE}",
    "hardware=p4d": f"hardware=p4d is not available; use one of {HARDWARE} (did you mean p4d.24xlarge or "
    "p4de.24xlarge?)",
    "data.loader.remote=x": "data.loader.remote is not a setting with this data format but with data=streaming; "
    f"data.loader has {LOADER}",
    "hydra.launcher.partition=x": "hydra.launcher.partition is not a setting here; use hydra.launcher.partition, with "
    "-m hydra/launcher=slurm",
    "hydra/launcher=joblib": "hydra/launcher=joblib is not available; use hydra/launcher=submitit_local; or one of "
    "basic, submitit_local, slurm",
    "-cn demoo": "--config-name demoo does not exist (did you mean demo?); there are ablation, adaptive, demo, "
    "frontier, seeds, and the files of a folder named with --config-dir",
    "-cn hot": "--config-name hot does not exist; use recipe=hot",
}


def test_what_people_type_has_its_answer(refused: Refused) -> None:
    for words, line in TYPED.items():
        assert refused(f"{words} hardware=cpu" if "hardware" not in words else words) == line


@pytest.mark.parametrize(
    ("typed", "use"),
    {
        "bs": hints.BATCH,
        "learning_rate": "optimizer.lr",
        "optimizer.LR": "optimizer.lr",
        "weight-decay": "optimizer.weight_decay",
        "max_steps": hints.BATCHES,
        "num_workers": "data.num_workers",
        "data_dir": hints.FOLDER,
        "train.num_classes": "dataset.num_classes",
        "gpus": "hardware.devices",
        "precision": "hardware.precision",
        "img_size": "resolution.train",
        "resume": hints.RESUME,
        "output_dir": "runs_dir",
        "arch": "model=resnet50",
        "resnet18": "model=resnet18",
        "hot": "recipe=hot",
        "wandb": "loggers=[progress,wandb]",
        "account": "hydra.launcher.account, with -m hydra/launcher=slurm",
        "nothing_of_ours": None,
    }.items(),
)
def test_words_of_other_programs_are_known(typed: str, use: str | None) -> None:
    assert hints.for_key(typed) == use


@pytest.mark.parametrize(
    ("group", "option", "says"),
    [
        ("model", "ResNet-50", "(did you mean resnet50?)"),
        ("recipe", "resnet50_mild", "(did you mean mild?)"),
        ("dataset", "imagenet1k", "(did you mean imagenet?)"),
        ("dataset", "cifar10", "use dataset.dir=PATH; or one of digits, imagefolder, imagenet, photos"),
        ("hardware", "a100", "(did you mean a100x1 or a100x8?)"),
        ("hardware", "8xA100", f"use hardware=a100x8; or one of {HARDWARE}"),
        ("data", "ffvc", "(did you mean ffcv?)"),
        ("recipe", "spicy", "use one of baseline, finetune, hot, medium, mild"),
    ],
)
def test_options_of_other_names_are_known(group: str, option: str, says: str) -> None:
    assert says in hints.for_option(group, option, hints.options_of(group))


def test_every_hint_is_a_key_that_can_be_set() -> None:
    for use in hints.KEYS.values():
        for key in re.findall(r"(?<![/\w])[a-z_]+(?:\.[a-z_]+)*(?==)|^[a-z_]+\.[a-z_]+$", use):
            assert key in hints.known_keys() or key in ("loggers", "smoothing"), use


ONLY_SOME = {
    "recipe=mild,hot algorithms.randaugment.severity=5": "algorithms.randaugment.severity=5 is not for recipe=mild: "
    "algorithms.randaugment has settings but randaugment is not switched on; in place of it and of recipe= write "
    "'hydra.sweeper.grids=[{recipe: mild}, {recipe: hot, algorithms.randaugment.severity: 5}]'",
    "recipe=mild,hot data.loader.jpeg_quality=5,6": "data.loader.jpeg_quality=5 is not for recipe=hot: "
    "data.loader.jpeg_quality is not a setting with this data format but with data=ffcv or data=streaming; in place of "
    "it and of recipe= write "
    "'hydra.sweeper.grids=[{recipe: hot}, {recipe: mild, data.loader.jpeg_quality: \"5,6\"}]'",
    "recipe=mild,hot ~algorithms.randaugment": "~algorithms.randaugment is not for recipe=mild: "
    "~algorithms.randaugment removes nothing: there is no algorithms.randaugment; write it into an entry of "
    "hydra.sweeper.grids of its own, with recipe=hot (docs/sweeps.md)",
    # No run has it: it is no matter of the recipe.
    "recipe=mild,baseline algorithms.sam.rho=1": "algorithms.sam has settings but sam is not switched on; add it with "
    "+algorithms=sam (in the run with recipe=mild)",
}


def test_a_word_that_only_some_runs_can_have_names_them_and_the_way(
    refused: Refused, capfd: pytest.CaptureFixture[str]
) -> None:
    for words, line in ONLY_SOME.items():
        assert refused(f"-m hardware=cpu {words}", plan.main) == line
    for line in list(ONLY_SOME.values())[:2]:
        way = shlex.split(line.partition(" write ")[2])
        assert plan.main(["-m", "hardware=cpu", *way]) == EXIT_DONE, capfd.readouterr().err


def test_a_word_that_all_runs_can_have_need_not_suit_the_default_recipe(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[list[float]] = []

    def rates(sweep: Sweep, launcher: LauncherConfig) -> int:
        seen.append([run.config.algorithms.get("sam", {}).get("rho") for run in sweep.runs])
        return EXIT_DONE

    def never(config: RunConfig) -> int:
        raise AssertionError("a single run")

    for words in (["algorithms.sam.rho=0.1"], ["algorithms.sam.rho=0.1,0.2"], ["~algorithms.sam"]):
        assert cli.run_hydra(["-m", "hardware=cpu", "recipe=medium,hot", *words], never, rates, False) == EXIT_DONE
    assert seen == [[0.1, 0.1], [0.1, 0.2, 0.1, 0.2], [None, None]]
    # In one run it is refused as before.
    assert cli.run_hydra(["hardware=cpu", "algorithms.sam.rho=0.1"], never, rates, False) == EXIT_BAD_REQUEST
    assert "add it with +algorithms=sam" in capfd.readouterr().err


VARIABLE = "the environment variable NO_SUCH is not set; set it, or write ${oc.env:NO_SUCH,DEFAULT}"
LONG = "a" * 300
VALUES = {
    "runs_dir=${oc.env:NO_SUCH}": f"runs_dir: {VARIABLE}",
    "data.cache_dir=${oc.env:NO_SUCH}/x": f"data.cache_dir: {VARIABLE}",
    "dataset=imagefolder dataset.dir=${oc.env:NO_SUCH}": f"dataset.dir: {VARIABLE}",
    "-m seed=1,2 algorithms.ema.half_life=${oc.env:NO_SUCH}": f"algorithms.ema.half_life: {VARIABLE} (in the run with "
    "seed=1)",
    "-m hydra/launcher=slurm hydra.launcher.partition=${oc.env:NO_SUCH}": f"hydra.launcher.partition: {VARIABLE}",
    "train_batch_size=${nothing}": "train_batch_size: ${nothing} names no key of the configuration; --cfg job shows "
    "them all",
    f"run_id={LONG}": "run_id=aaaaaaaaaaaaaaaaaaaa... of 300 characters is too long; use 128 or fewer",
    f"sweep={LONG}": "sweep=aaaaaaaaaaaaaaaaaaaa... of 300 characters is too long; use 128 or fewer",
    f"-m seed=1,2 sweep={LONG}": "sweep=aaaaaaaaaaaaaaaaaaaa... of 300 characters is too long; use 128 or fewer (in "
    "the run with seed=1)",
    f"-cn adaptive dataset=digits sweep={LONG}": "sweep=aaaaaaaaaaaaaaaaaaaa... of 300 characters is too long; use 128 "
    "or fewer",
    "hardware.name=my/box": "recipe=mild hardware.name=my/box: run_id=mild-ssr1.0-my/box-s17-efef7452 cannot name a "
    "folder; use letters, digits and . _ + -",
}


def test_errors_of_values_name_their_key(refused: Refused) -> None:
    for words, line in VALUES.items():
        assert refused(f"hardware=cpu {words}", plan.main) == line


def test_a_word_may_refer_to_other_keys_and_to_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUCH", str(tmp_path))
    seen: list[RunConfig] = []
    words = ["hardware=cpu", "train_batch_size=${eval_batch_size}", "runs_dir=${oc.env:SUCH}/runs"]
    assert cli.run_hydra(words, lambda config: seen.append(config) or EXIT_DONE) == EXIT_DONE
    assert (seen[0].train_batch_size, seen[0].runs_dir) == (64, f"{tmp_path}/runs")
    assert seen[0].command == command_line.command_of(words)
