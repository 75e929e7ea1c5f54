"""Bad requests through the real command line: one line on standard error, exit code 2, nothing started or left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_exp.config.checks import validate
from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from resnet_exp.runs.folder import RunFolder, acquire
from support.commands import RunCli
from support.paths import pages_of_errors

LAYOUT = "dataset.dir must hold train/<class>/* and val/<class>/*"
SSR = "must be above 0 and at most 1000; ssr=1 is the recipe's full 90ep"
OFF = "has settings but cutmix is not switched on; add it with +algorithms=cutmix"
TARGET = "cannot be imported; give package.module.Name of what is installed, in this folder or in PYTHONPATH"
UNREADABLE = "cannot be read as key=value; quote characters that are special to the shell or Hydra"

# Command line and the whole line that answers it. docs/errors-commands.md shows this table.
REQUESTS = {
    "recipe=spicy": "recipe=spicy is not available; use one of baseline, finetune, hot, medium, mild",
    "model=resnet20": "model=resnet20 is not available; use one of resnet101, resnet14, resnet152, resnet18, resnet34, "
    "resnet50 (did you mean resnet50?)",
    "algorithms=[cutmixx]": "algorithms=cutmixx is not available; use one of blurpool, channels_last, colout, cutmix, "
    "ema, label_smoothing, mixup, progressive_resizing, randaugment, sam, stochastic_depth (did you mean cutmix?)",
    "batch_size=8": "batch_size is not a setting; use train_batch_size and eval_batch_size",
    "+trian_batch_size=8": "trian_batch_size is not a setting (did you mean train_batch_size?); --cfg job shows them "
    "all",
    "optimizer.learning_rate=1": "optimizer.learning_rate is not a setting; use optimizer.lr",
    "+optimizer.lrr=1": "optimizer.lrr is not a setting (did you mean lr?); optimizer has lr, momentum, weight_decay, "
    "dampening, nesterov",
    "data.loader.foo=3": "data.loader.foo is not a setting; data.loader has train_file, val_file, write_mode, "
    "max_resolution, compress_probability, jpeg_quality, os_cache",
    "recipe.foo=1": "recipe.foo=1: it takes one value and has no settings of its own",
    "seed=abc": "seed=abc: use a whole number",
    "optimizer.lr=high": "optimizer.lr=high: use a number",
    "dataset.hflip=maybe": "dataset.hflip=maybe: use true or false",
    "model.layers=3": "model.layers=3: use a list such as [1,2]",
    "ssr=null": "ssr=null: it needs a value",
    "ssr=0.5,0.2": "ssr=0.5,0.2 is several values; add -m before it for a run with each, or write ssr=[...]",
    "ssr": f"ssr {UNREADABLE}",
    "dataset={a": f"dataset={{a {UNREADABLE}",
    "--foo": "--foo is not an option; --help shows what there is",
    "ssr=0": f"ssr=0.0 {SSR}",
    "ssr=-1": f"ssr=-1.0 {SSR}",
    "ssr=nan": f"ssr=nan {SSR}",
    "ssr=inf": f"ssr=inf {SSR}",
    "ssr=1e9": f"ssr=1000000000.0 {SSR}",
    "ssr=0.001": "ssr=0.001 leaves 0 of 90ep; use ssr=0.0112 or more",
    "schedule.max_duration=0ep": "schedule.max_duration=0ep must be at least 1ep or 1ba",
    "schedule.max_duration=90": "schedule.max_duration=90 is not a duration; "
    "use whole epochs (90ep) or batches (56250ba)",
    "schedule.warmup=8ba": "schedule.warmup=8ba must be in epochs, as schedule.max_duration is",
    "seed=-1": "seed=-1 is out of range; use 0 to 4294967295",
    "seed=4294967296": "seed=4294967296 is out of range; use 0 to 4294967295",
    "hardware=cpu hardware.devices=2 train_batch_size=63": "train_batch_size=63 cannot be split over 2 devices "
    "(hardware=cpu); use a multiple of 2, such as 62",
    "train_batch_size=0": "train_batch_size=0 must be 1 or more",
    "hardware=cpu hardware.precision=amp_fp16": "hardware.precision=amp_fp16 needs a GPU, hardware=cpu has none; use "
    "fp32 or auto",
    "hardware.precision=fp8": "hardware.precision=fp8 is unknown; use fp32, amp_fp16, amp_bf16 or auto",
    "hardware.device=tpu": "hardware.device=tpu is unknown; use cpu, gpu or auto",
    "hardware=h100x1": "hardware=h100x1 needs 1 GPU, this machine has 0; use hardware=auto or hardware=cpu here, or "
    "submit the run to a machine that has them",
    "hardware=cpu hardware.nodes=2": "hardware.nodes=2 cannot be started from one machine; submit it with -m "
    "hydra/launcher=slurm, or use hardware.nodes=1",
    "hardware=cpu model.sync_batchnorm=true": "model.sync_batchnorm=true needs GPUs, hardware=cpu has none; use "
    "model.sync_batchnorm=false",
    "hardware=cpu speed=fast speed.cuda_graphs_up_to=128": "speed.cuda_graphs_up_to=128 needs a GPU, hardware=cpu has "
    "none; use 0",
    "recipe=hot speed=fast algorithms.stochastic_depth.stochastic_method=block": "algorithms.stochastic_depth."
    "stochastic_method=block chooses blocks while it computes, which speed.compile=true cannot compile; use sample, or "
    "speed=faithful",
    "algorithms.cutmix.alpha=1": f"algorithms.cutmix {OFF}",
    "+algorithms.cutmix.alpha=1": f"algorithms.cutmix {OFF}",
    "+algorithms.x._target_=3": "algorithms.x._target_=3 cannot be imported; give package.module.Name of what is "
    "installed, in this folder or in PYTHONPATH",
    "loggers=[wandb] loggers.wandb.projct=x": "loggers.wandb.projct is not a setting (did you mean project?); "
    "loggers.wandb has runs_dir, project, entity, group, artifacts, init_seconds, finish_seconds",
    "recipe=hot algorithms.ema.half=1": "algorithms.ema.half is not a setting (did you mean half_life?); "
    "algorithms.ema has half_life, update_interval",
    "algorithms=[mixup] algorithms.mixup.alpha.big=1": "algorithms.mixup.alpha.big is not a setting; "
    "algorithms.mixup.alpha takes one value and has no settings of its own",
    "algorithms.mixupp.alpha=1": "algorithms.mixupp has settings but no _target_ (did you mean mixup?); "
    "add +algorithms.mixupp._target_=package.module.Name, or +algorithms=mixupp for a file of yours",
    "callbacks.lr.every=3": "callbacks.lr has settings but no _target_; add "
    "+callbacks.lr._target_=package.module.Name, or +callbacks=lr for a file of yours",
    "+callbacks.lr._target_=composer.callbacks.LRMonitor callbacks.lr.every=3": "callbacks.lr.every is not a setting; "
    "callbacks.lr has none; +callbacks.lr.every=VALUE passes it to callbacks.lr anyway",
    "algorithms=[mixup] algorithms.mixup.alpha=-1": "algorithms.mixup.alpha=-1 is out of range; use above 0",
    "recipe=hot algorithms.ema.half_life=-3ba": "algorithms.ema.half_life=-3ba is out of range; use whole epochs (2ep) "
    "or batches (100ba), 1 or more",
    "recipe=hot algorithms.label_smoothing.smoothing=2": "algorithms.label_smoothing.smoothing=2 is out of range; use "
    "0 to 1",
    "+algorithms.foo._target_=no.such.Thing": f"algorithms.foo._target_=no.such.Thing {TARGET}",
    "+callbacks.foo._target_=composer.callbacks.LRMonitr": "callbacks.foo._target_=composer.callbacks.LRMonitr "
    "cannot be imported: composer.callbacks has no LRMonitr (did you mean LRMonitor?)",
    "loggers=[wandb] loggers.wandb.finish_seconds=soon": "loggers.wandb.finish_seconds=soon: use a number of seconds "
    "above 0, at most 86400",
    "loggers=[wandb] loggers.wandb.init_seconds=0": "loggers.wandb.init_seconds=0: use a number of seconds above 0, "
    "at most 86400",
    "loggers=[wandb] loggers.wandb.finish_seconds=inf": "loggers.wandb.finish_seconds=inf: use a number of seconds "
    "above 0, at most 86400",
    "loggers=[wandb] loggers.wandb.artifacts=[weight]": "loggers.wandb.artifacts=weight is unknown; use one of "
    "result, weights, checkpoint",
    "loggers=[wandb] loggers.wandb.artifacts=weights": "loggers.wandb.artifacts=weights: use a list such as [result]",
    "loggers=[csv] loggers.csv.format=xml": "loggers.csv.format=xml is unknown; use one of csv, jsonl",
    "recipe=hot data=synthetic": "data=synthetic cannot run algorithms.randaugment; "
    "use data=ffcv|imagefolder|parquet|streaming or ~algorithms.randaugment",
    "data.decode=half": "data.decode=half is unknown; use one of full, scheduled",
    "data.decode=scheduled algorithms.progressive_resizing.mode=crop": "data.decode=scheduled cannot do "
    "algorithms.progressive_resizing.mode=crop; use data.decode=full",
    "data.num_workers=-1": "data.num_workers=-1 must be 0 or more (null: as many as fit the machine)",
    "data=imagefolder data.loader.decoder=turbo": "data.loader.decoder=turbo is unknown; use one of pillow, compiled",
    "data.prefetch_factor=0": "data.prefetch_factor=0 must be 1 or more",
    "dataset.image_side=0": "dataset.image_side=0 must be 1 or more",
    "resolution.eval_resize=20": "resolution.eval_resize=20 is smaller than resolution.eval_crop=24; use the same or "
    "more",
    "dataset.mean=[1,2]": "dataset.mean=[1.0, 2.0]: use three numbers for red, green and blue, 0 to 255",
    "dataset.std=[0,1,1]": "dataset.std=[0.0, 1.0, 1.0]: use three numbers for red, green and blue, above 0",
    "model.num_classes=3": "model.num_classes=3 differs from the 10 classes of dataset=digits; leave model.num_classes "
    "out",
    "dataset=imagenet dataset.dir=TMP/two": "dataset.dir=TMP/two has 2 classes, dataset=imagenet 1,000; leave out "
    "dataset=imagenet, or set dataset.num_classes=2",
    "dataset.dir=TMP/two dataset.num_classes=5": "dataset.num_classes=5 differs from the 2 classes of "
    "dataset.dir=TMP/two; leave it out",
    "run_id=../x": "run_id=../x cannot name a folder; use letters, digits and . _ + -",
    "runs_dir=": "runs_dir is empty; use runs_dir=PATH",
    "runs_dir=/proc/x": "runs_dir=/proc/x cannot be written (No such file or directory); set runs_dir=PATH",
    "runs_dir=TMP/file": "runs_dir=TMP/file cannot be written (Not a directory); set runs_dir=PATH",
    "data.cache_dir=TMP/file": "data.cache_dir=TMP/file cannot be written (File exists); set data.cache_dir=PATH",
    "dataset=imagefolder": f"dataset.dir is not set; use dataset.dir=PATH ({LAYOUT})",
    "dataset=imagefolder dataset.dir=TMP/none": f"dataset.dir=TMP/none is not a folder; {LAYOUT}",
    "dataset.dir=TMP/none": f"dataset.dir=TMP/none is not a folder; {LAYOUT}",
    "dataset=imagefolder dataset.dir=TMP/file": f"dataset.dir=TMP/file is not a folder; {LAYOUT}",
}
WRONG_TREES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty folder": (
        lambda root: (shutil.rmtree(root), root.mkdir()),
        f"dataset.dir: TMP/tree/train does not exist; {LAYOUT}",
    ),
    "a file named train": (
        lambda root: (shutil.rmtree(root / "train"), (root / "train").touch()),
        f"dataset.dir: TMP/tree/train cannot be read (Not a directory); {LAYOUT}",
    ),
    "train without class folders": (
        lambda root: (shutil.rmtree(root / "train"), (root / "train").mkdir()),
        f"dataset.dir: TMP/tree/train holds no class folders; {LAYOUT}",
    ),
    "one class": (
        lambda root: [shutil.rmtree(root / split / "dog") for split in ("train", "val")],
        "dataset.dir: TMP/tree/train holds one class, cat; a classifier needs two or more: add a folder for each of "
        "the others",
    ),
    "an empty class": (
        lambda root: [file.unlink() for file in (root / "train" / "dog").iterdir()],
        "dataset.dir: TMP/tree/train/dog holds no images (.jpg, .jpeg, .jfif, .png, .ppm, .bmp, .pgm, .tif, .tiff, "
        ".webp); add some or remove the class",
    ),
    "a class missing in val": (
        lambda root: shutil.rmtree(root / "val" / "dog"),
        "dataset.dir=TMP/tree: train and val have different classes (dog missing in val); give both the same class "
        "folders",
    ),
    "classes that differ": (
        lambda root: (root / "val" / "dog").rename(root / "val" / "cow"),
        "dataset.dir=TMP/tree: train and val have different classes (dog missing in val, cow only in val); give both "
        "the same class folders",
    ),
    "a class of one image": (
        lambda root: (root / "train" / "dog" / "1.jpg").unlink(),
        "dataset.dir: TMP/tree/train/dog holds 1 image, fewer than dataset.min_images_per_class=2; add images or set "
        "dataset.min_images_per_class=1",
    ),
    "fewer images than a batch that you have set": (
        lambda root: None,
        "train_batch_size=2048 is more than the 4 training images in TMP/tree/train; use train_batch_size=1 or less, "
        "and scale optimizer.lr with it",
    ),
}
# A file of the user's own, its content, and the line that answers it.
GLOBAL = "# @package _global_\ndefaults: [mild]\n"
WRONG_FILES = {
    "a wrong indent": (
        "recipe",
        GLOBAL + "optimizer:\n  lr: 1\n   momentum: 0.9\n",
        "TMP/my_conf/recipe/mine.yaml, line 5: mapping values are not allowed here; look at indentation, colons and "
        "quotes there",
    ),
    "a wrong key": (
        "recipe",
        GLOBAL + "algorithm:\n  ema: {half_life: 10ba}\n",
        "recipe/mine.yaml: algorithm is not a setting (did you mean algorithms?); --cfg job shows them all",
    ),
    "a wrong value": (
        "recipe",
        GLOBAL + "optimizer: {lr: high}\n",
        "recipe/mine.yaml: optimizer.lr: use a number",
    ),
    "no package": (
        "recipe",
        "defaults: [mild]\nseed: 3\n",
        "recipe/mine.yaml: it sets keys of the whole configuration; begin it with the line: # @package _global_",
    ),
    "no name of the entry": (
        "+algorithms",
        "_target_: composer.algorithms.EMA\n",
        "algorithms._target_: a file of algorithms has a name above _target_; write NAME: and indent the rest below it",
    ),
    "a class that is missing": (
        "+algorithms",
        "mine: {_target_: my_code.Noise}\n",
        "algorithms.mine._target_=my_code.Noise cannot be imported: my_code has no Noise (did you mean Noises?)",
    ),
    "a module that is not Python": (
        "+algorithms",
        "mine: {_target_: broken.Noise}\n",
        "TMP/broken.py, line 1: '(' was never closed; this is not Python",
    ),
}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def refused(run_cli: RunCli, tmp_path: Path, *args: str) -> str:
    """The one line that refuses `args`, with the test's folder called TMP."""
    done = run_cli(*args)
    assert done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "runs").exists()
    return done.stderr.rstrip("\n").replace(str(tmp_path), "TMP")


@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_bad_request_is_refused_in_one_line(request_line, run_cli, tmp_path):
    (tmp_path / "file").touch()
    make_tree(tmp_path / "two")
    args = request_line.replace("TMP", str(tmp_path)).split()
    assert refused(run_cli, tmp_path, *args) == REQUESTS[request_line]


def make_tree(root: Path) -> Path:
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for number in range(2):
                (root / split / label / f"{number}.jpg").touch()
    return root


@pytest.mark.parametrize("fault", WRONG_TREES)
def test_a_wrong_image_tree_is_refused_in_one_line(fault, run_cli, tmp_path):
    spoil, line = WRONG_TREES[fault]
    spoil(make_tree(tmp_path / "tree"))
    args = ("hardware=cpu", "data=imagefolder", f"dataset.dir={tmp_path / 'tree'}", "train_batch_size=2048")
    assert refused(run_cli, tmp_path, *args) == line


@pytest.mark.parametrize("fault", WRONG_FILES)
def test_a_wrong_file_of_ones_own_is_refused_in_one_line(fault, run_cli, tmp_path):
    group, content, line = WRONG_FILES[fault]
    folder = tmp_path / "my_conf" / group.lstrip("+")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(content)
    (tmp_path / "my_code.py").write_text("class Noises: ...\n")
    (tmp_path / "broken.py").write_text("class Noise(\n")
    assert refused(run_cli, tmp_path, "--config-dir", "my_conf", f"{group}=mine") == line


def test_options_may_stand_among_the_overrides(run_cli):
    done = run_cli("ssr=0", "-m", "seed=1,2")
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"ssr=0.0 {SSR} (in the run with seed=1)"])


@pytest.mark.parametrize("content", ["{", "[]", "\xff", '{"schema": 0}'])
def test_a_damaged_result_is_not_shown(content, run_cli, tmp_path):
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(content)
    done = run_cli("hardware=cpu", "run_id=mine")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(folder / "result.json") in done.stderr and "remove it to run again" in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not a run folder: it has no config.yaml"),
        ("a: [", "is damaged"),
        ("", "is damaged"),
        ("- 1", "is damaged"),
        ("seed: abc", "is damaged (seed: use a whole number)"),
        ("sed: 1", "sed is not a setting"),
        ("seed: 1", "is damaged"),
    ],
)
@pytest.mark.parametrize("rank", [None, "0"])
def test_a_folder_without_a_good_configuration_is_refused(content, says, rank, run_cli, tmp_path, monkeypatch):
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "config.yaml").write_text(content)
    done = run_cli(str(folder), module="resnet_exp.train")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr and str(folder) in done.stderr
    assert [path.name for path in folder.iterdir()] == ["config.yaml"] * (content is not None)


def test_a_cut_off_checkpoint_is_refused_before_anything_starts(run_cli, tmp_path):
    latest = tmp_path / "runs" / "mine" / "checkpoints" / "latest-rank0.pt"
    latest.parent.mkdir(parents=True)
    latest.write_bytes(b"PK\x03\x04 the first half")
    done = run_cli("hardware=cpu", "run_id=mine")
    expected = f"checkpoint {latest} is damaged; remove {latest.parent} to train from the beginning\n"
    assert (done.returncode, done.stderr) == (2, expected)
    assert latest.read_bytes() == b"PK\x03\x04 the first half"


def test_a_checkpoint_that_is_gone_is_refused_before_anything_starts(run_cli, tmp_path):
    latest = tmp_path / "runs" / "mine" / "checkpoints" / "latest-rank0.pt"
    latest.parent.mkdir(parents=True)
    latest.symlink_to("ep3-ba9-rank0.pt")
    done = run_cli("hardware=cpu", "run_id=mine")
    expected = (
        f"checkpoint {latest} names ep3-ba9-rank0.pt, which is gone; bring it back, or remove {latest.parent} to train "
        "from the beginning\n"
    )
    assert (done.returncode, done.stderr) == (2, expected)
    assert os.readlink(latest) == "ep3-ba9-rank0.pt"


def test_a_folder_in_use_is_refused_and_left_alone(run_cli, tmp_path):
    folder = RunFolder(tmp_path / "runs" / "mine")
    folder.path.mkdir(parents=True)
    owner = acquire(folder)
    try:
        done = run_cli("hardware=cpu", "run_id=mine", "data=synthetic")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"{folder.path} is already running (by process " in done.stderr
        assert [path.name for path in folder.path.iterdir()] == [".lock"]
    finally:
        os.close(owner)


def test_a_precision_that_the_gpu_lacks_is_refused(monkeypatch):
    old = devices.Gpu(name="Tesla V100", capability=(7, 0))
    monkeypatch.setattr(devices, "visible_gpus", lambda: [old])
    hardware = HardwareConfig(name="mine", device="gpu", devices=1, precision="amp_bf16")
    with pytest.raises(RequestError, match=r"amp_bf16 is not supported by Tesla V100; use amp_fp16"):
        validate.check_devices(hardware)
    validate.check_devices(replace(hardware, precision="amp_fp16"))


def test_the_document_shows_these_lines():
    text = pages_of_errors()
    for asked, line in REQUESTS.items():
        assert f"| `{asked}` | `{line}` |" in text
    for fault, (_, line) in WRONG_TREES.items():
        assert f"| {fault} | `{line}` |" in text
    for *_, line in WRONG_FILES.values():
        assert f"| `{line}` |" in text
