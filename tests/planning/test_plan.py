"""``resnet_exp plan``: its numbers by hand, and that it starts and writes nothing."""

from __future__ import annotations

import datetime
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.config import identity, schedule
from resnet_exp.core.files import SCHEMA, write_json
from resnet_exp.launch.run import freeze_run
from resnet_exp.runs.command import this_command
from support.commands import RunCli
from support.configs import make_config
from support.original import original_size

PLAN = "resnet_exp.plan"
P4D = ("recipe=mild", "dataset=imagenet", "hardware=p4d.24xlarge")
# 45 epochs of 1,437 // 64 = 22 batches of 64 images: 63,360 images.
DIGITS = ("recipe=hot", "ssr=0.5", "hardware=cpu")


SHORT = {"recipe=hot": "0.0556", "algorithms.progressive_resizing.initial_scale=0.4": "0.1"}


def mild_seconds(epochs: int) -> float:
    """625 batches of 2,048 images an epoch, at the speeds of MosaicML's MLPerf v2.0 logs and between them by area.

    The first epoch, from a cold disk, takes 120.5 s more.
    """
    sides = [original_size("mild", epoch, epochs) for epoch in range(epochs)]
    parts = [(side**2 - 88**2) / (176**2 - 88**2) for side in sides]
    return 120.5 + sum(625 * 2048 * ((1 - part) / 32_396 + part / 20_094) for part in parts)


def rows(output: str, name: str) -> list[str]:
    return re.findall(rf"^  {name} +(.*)$", output, re.MULTILINE)


def row(output: str, name: str) -> str:
    (text,) = rows(output, name)
    return text


def cells(output: str, label: str) -> list[str]:
    return re.split(r"  +", row(output, label))


def finish(folder: Path, *overrides: str, speed: float, seconds: float = 60.0, images: int = 1437) -> Path:
    """A finished run in ``folder/runs``, with a result such as `resnet_exp.train` writes."""
    full = make_config(f"runs_dir={folder / 'runs'}", *overrides)
    freeze_run(full, this_command())
    run = full.folder
    hardware = asdict(full.hardware)
    result = {
        "schema": SCHEMA,
        **{key: getattr(full, key) for key in ("run_id", "recipe", "ssr", "seed")},
        **{key: getattr(full, key).name for key in ("model", "dataset", "data", "speed")},
        "algorithms": sorted(full.algorithms),
        "group": identity.group(full),
        **{key: getattr(full, key) for key in ("sweep", "command")},
        "commits": [],
        "dirty": False,
        "evaluation": {key: getattr(full.resolution, key) for key in ("eval_resize", "eval_crop")},
        "epochs": schedule.scaled_duration(full)[0],
        "batches": 22,
        "train_images": images,
        "val_images": 360,
        "top1": 0.5,
        "top5": 0.9,
        "eval_loss": 1.0,
        "images_per_second": speed,
        "resumed": 0,
        "timing": {"train_seconds": seconds, "eval_seconds": 1.0, "startup_seconds": 9.0, "data_wait_seconds": 1.0},
        "hardware": {
            **{key: hardware[key] for key in ("name", "cloud", "devices", "nodes", "precision", "gpu")},
            "cpus": 2,
            **{key: hardware[key] for key in ("usd_per_node_hour", "price_date")},
        },
    }
    write_json(run.result, result)
    return run.path


def test_published_time_and_todays_price(run_cli: RunCli) -> None:
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert row(done.stdout, "batches") == "20,000, 625 an epoch of 1,281,167 images"
    assert row(done.stdout, "images") == "88 px for 14 epochs, 96 to 172 px for 12 epochs, 176 px for 6 epochs"
    assert row(done.stdout, "lr") == "0 to 2.048 in 8 epochs, then a cosine down to 0 over 24 epochs"
    assert row(done.stdout, "evaluated") == "at 224 px, the center of images of 232 px"
    assert row(done.stdout, "device") == "8 x A100 40GB, amp_fp16"
    seconds = mild_seconds(32)
    assert row(done.stdout, "time") == f"about {seconds / 60:.1f} min to train"
    assert "32,396 images/s at 88 px, 20,094 images/s at 176 px, 2.0 min more for a first" in row(done.stdout, "basis")
    cost = seconds / 3600 * 21.957642
    assert row(done.stdout, "cost") == f"about ${cost:.2f} to train, at $21.96 an hour (price of 2026-11-09)"
    assert row(done.stdout, "top-1") == "76.60% after as many epochs, 1 run, published"
    assert row(done.stdout, "disk").startswith("up to 716 MB in the run folder, 102 MB when it is done; about 378 GB")
    assert row(done.stdout, "state") == "not started"
    fast = run_cli(*P4D, "ssr=0.36", "speed=fast", module=PLAN)
    assert row(fast.stdout, "top-1").endswith(", published, with speed=faithful")
    for mode, size in {"source": 157, "jpg": 73, "raw": 683}.items():
        written = run_cli(*P4D, "ssr=0.36", f"data.loader.write_mode={mode}", module=PLAN)
        assert f"about {size} GB of FFCV files" in row(written.stdout, "disk")
    words = ("data=imagefolder", "data.loader.decoder=compiled", "data.loader.index=true")
    indexed = run_cli(*P4D, "ssr=0.36", *words, module=PLAN)
    assert row(indexed.stdout, "disk").endswith("; about 3 GB of an index in data.cache_dir, written once")
    assert rows(done.stdout, r"p4d\.24xlarge") == [f"{seconds / 60:.1f} min  ${cost:.2f}  $7.54  2026-11-09"]
    assert row(done.stdout, "unknown").startswith("BM.GPU.H100.8, ")


def test_published_speed_at_other_lengths(run_cli: RunCli) -> None:
    done = run_cli(*P4D, "schedule.max_duration=20000ba", "schedule.warmup=10ba", "ssr=1", module=PLAN)
    # 32 epochs of sizes that change within an epoch.
    assert float(row(done.stdout, "time").split()[1]) == pytest.approx(mild_seconds(32) / 60, rel=0.02)
    assert row(done.stdout, "top-1") == "not known for a schedule in batches"


def test_two_published_hosts_are_a_range(run_cli: RunCli) -> None:
    done = run_cli("recipe=mild", "dataset=imagenet", "hardware=a100x8", "ssr=0.32", module=PLAN)
    assert row(done.stdout, "time") == "about 24.5 min to 29.8 min to train"
    assert row(done.stdout, "cost") == "unknown; hardware=a100x8 has no price"


@pytest.mark.parametrize(
    "change",
    [
        ("recipe=hot",),
        ("resolution.train=224",),
        ("hardware.precision=fp32",),
        ("hardware.nodes=2", "data=imagefolder"),
        ("model=resnet101",),
        ("data=imagefolder",),
        ("~algorithms.ema",),
        ("algorithms.progressive_resizing.initial_scale=0.4",),
    ],
    ids=" ".join,
)
def test_published_times_are_for_nothing_else(run_cli: RunCli, change: tuple[str, ...]) -> None:
    done = run_cli(*P4D, "ssr=0.36", *change, module=PLAN)
    assert done.returncode == 0, done.stderr
    # So many epochs have the mix of sizes of the whole run.
    short = f"ssr={SHORT.get(change[0], '0.0889')}"
    assert row(done.stdout, "time") == f"unknown: run a short one first ({short})"
    assert row(done.stdout, "cost").startswith("unknown; at $21.96 an hour")
    command = shlex.split(row(done.stdout, "measure"))
    assert command == ["resnet_exp", *P4D, *change, short]


def test_own_runs_are_the_better_ground(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, *P4D, "ssr=0.1", speed=20_000, images=1281167)
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "time") == f"about {20_000 * 2048 / 20_000 / 60:.1f} min to train"
    assert row(done.stdout, "basis") == "20,000 images/s, 1 finished run like it in runs"


def test_mean_speed_of_own_runs(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, "recipe=hot", "hardware=cpu", "ssr=0.1", speed=400)
    finish(tmp_path, "recipe=hot", "hardware=cpu", "ssr=0.2", "seed=3", speed=480)
    others = ("hardware.devices=2", "train_batch_size=32", "~algorithms.sam", "model=resnet18", "recipe=mild")
    for unlike in (*others, "speed=fast", "speed.compile=true"):
        finish(tmp_path, "hardware=cpu", *(() if "recipe" in unlike else ("recipe=hot",)), unlike, speed=9e9)
    done = run_cli(*DIGITS, "hardware.usd_per_node_hour=3", module=PLAN)
    assert row(done.stdout, "batches") == "990, 22 an epoch of 1,437 images"
    assert row(done.stdout, "time") == "about 2.4 min to train"  # 63,360 images / 440 = 144 s
    assert row(done.stdout, "basis") == "440 images/s, the mean of 2 finished runs like it on 2 CPU cores in runs"
    today = f"{datetime.date.today().isoformat()}, given by hand"
    assert row(done.stdout, "cost") == f"about $0.12 to train, at $3.00 an hour (price of {today})"


def test_compiled_runs_have_a_speed_of_their_own(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, "recipe=hot", "hardware=cpu", "ssr=0.1", speed=400)
    finish(tmp_path, "recipe=hot", "hardware=cpu", "ssr=0.1", "speed=fast", speed=800)
    done = run_cli("-m", *DIGITS, "speed=faithful,fast", module=PLAN)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["hot", "1"] in [line[:2] for line in lines] and ["hot", "speed=fast", "1"] in [line[:3] for line in lines]
    bases = [line for line in done.stdout.splitlines() if "images/s" in line]
    assert any("hot: 400 images/s, 1 finished run like it" in line for line in bases), bases
    assert any("hot speed=fast: 800 images/s, 1 finished run like it" in line for line in bases), bases


def test_a_damaged_result_is_no_ground(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, "recipe=hot", "hardware=cpu", speed=440)
    (finish(tmp_path, "recipe=hot", "hardware=cpu", "seed=3", speed=440) / "result.json").write_text("{")
    (finish(tmp_path, "recipe=hot", "hardware=cpu", "seed=4", speed=440) / "result.json").write_text('{"schema": 1}')
    done = run_cli(*DIGITS, module=PLAN)
    assert row(done.stdout, "basis").startswith("440 images/s, 1 finished run like it")


def test_what_is_done_is_not_estimated(run_cli: RunCli, tmp_path: Path) -> None:
    path = finish(tmp_path, *P4D, "ssr=0.36", speed=1, seconds=1800)
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "time") == "30.0 min to train, as measured"
    assert row(done.stdout, "cost").startswith(f"${0.5 * 21.957642:.2f} to train")
    assert row(done.stdout, "state").startswith("done")
    (path / "result.json").unlink()
    write_json(path / "failure.json", {"error": "no luck"})
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "state") == "failed at its beginning: no luck"


def test_sweep_is_summed(run_cli: RunCli) -> None:
    """9, 18 and 32 epochs."""
    sweep = ("-m", "recipe=mild,hot", "dataset=imagenet", "hardware=p4d.24xlarge", "ssr=0.1,0.2,0.36")
    done = run_cli(*sweep, module=PLAN)
    assert done.stdout.splitlines()[0].endswith(": 6 runs with hydra/launcher=basic in runs")
    assert row(done.stdout, "state") == "6 not started"
    total = mild_seconds(9) + mild_seconds(18) + mild_seconds(32)
    hourly = 21.957642
    mild = ["3", "0", "0.1 to 0.36", "1", "9 to 32 epochs", f"{total / 60:.1f} min", f"${total / 3600 * hourly:.2f}"]
    assert cells(done.stdout, "mild") == mild
    assert cells(done.stdout, "hot") == ["3", "0", "0.1 to 0.36", "1", "9 to 32 epochs", "unknown", "unknown"]
    assert row(done.stdout, "left").endswith(
        f"about {total / 60:.1f} min of training for 3 of them, one after the other"
    )
    assert row(done.stdout, "measure").endswith("recipe=hot dataset=imagenet hardware=p4d.24xlarge ssr=0.0556")


def test_sweep_leaves_out_what_is_done(run_cli: RunCli, tmp_path: Path) -> None:
    own = ("recipe=hot", "hardware=cpu", "hardware.usd_per_node_hour=3")
    finish(tmp_path, *own, "ssr=0.5", "seed=1", speed=440, seconds=600)
    done = run_cli("-m", *own, "ssr=0.5", "seed=1,2,3,4", module=PLAN)
    assert row(done.stdout, "state") == "1 done, 3 not started"
    assert cells(done.stdout, "hot")[:2] == ["4", "1"]
    # 600 s as measured and three times 144 s; dollars: a twelfth of a cent a second.
    assert row(done.stdout, "time") == "about 17.2 min of training in all"
    assert row(done.stdout, "cost").startswith("about $0.86 to train in all, $0.36 of it for what is left; at $3.00")
    assert row(done.stdout, "left") == "3 runs, about 7.2 min of training, one after the other"


def test_sweep_on_slurm_has_runs_side_by_side(run_cli: RunCli) -> None:
    sweep = ("-m", *P4D, "ssr=0.1,0.2,0.36", "hydra/launcher=slurm", "hydra.launcher.array_parallelism=2")
    done = run_cli(*sweep, module=PLAN)
    # The third run starts when the first one ends: 9 + 32 epochs.
    minutes = (mild_seconds(9) + mild_seconds(32)) / 60
    wanted = f"3 runs, about {minutes:.1f} min of training, with 2 at a time, once SLURM has the nodes"
    assert row(done.stdout, "left") == wanted


def test_measuring_command_is_one_run(run_cli: RunCli) -> None:
    for launcher, first in (("basic", "mild-ssr0.0889-p5.48"), ("slurm", "sweep-")):
        asked = ("-cn", "ablation", "hardware=p5.48xlarge", f"hydra/launcher={launcher}")
        commands = rows(run_cli(*asked, module=PLAN).stdout, "measure")
        assert len(commands) == 4 and commands[-1] == "3 more"  # at most three of six
        program, *words = shlex.split(commands[0])
        assert program == "resnet_exp"
        lines = run_cli(*words, module=PLAN).stdout.splitlines()
        assert lines[0].startswith(first)
        assert launcher == "basic" or ": 1 run with hydra/launcher=slurm" in lines[0]


@pytest.mark.slow
def test_plan_of_a_thousand_runs_is_short(run_cli: RunCli) -> None:
    models = "resnet18,resnet34,resnet50,resnet101,resnet152"
    asked = ("-m", "recipe=mild,hot", f"model={models}", "dataset=imagenet", "ssr=0.1,0.36", "seed=range(1,51)")
    done = run_cli(*asked, "hardware=p4d.24xlarge", module=PLAN)
    lines = done.stdout.splitlines()
    assert ": 1,000 runs" in lines[0]
    assert len(lines) <= 25
    assert sum(int(cells(done.stdout, label)[0]) for label in labels(lines)) == 1000


def labels(lines: list[str]) -> list[str]:
    first = next(number for number, line in enumerate(lines) if line.startswith("  recipe "))
    return [re.split("  +", line.strip())[0] for line in lines[first + 1 : first + 10]]


@pytest.mark.parametrize(
    "asked",
    [(*P4D, "ssr=0.36"), ("-m", *P4D, "ssr=0.1,0.36"), ("-cn", "frontier", "hardware=p4d.24xlarge"), ("-h",)],
    ids=["run", "sweep", "file", "help"],
)
def test_nothing_is_written(run_cli: RunCli, tmp_path: Path, asked: tuple[str, ...]) -> None:
    assert run_cli(*asked, module=PLAN).returncode == 0
    assert list(tmp_path.rglob("*")) == []


def test_runs_are_left_as_they_are(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, *DIGITS, speed=440)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run_cli("-m", *DIGITS, "seed=1,17", module=PLAN)
    run_cli(*DIGITS, module=PLAN)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_torch_is_not_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", PLAN, "-m", *P4D, "ssr=0.1,0.36"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "composer", "ffcv", "optuna", "matplotlib", "sklearn"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("ssr=0",), "ssr=0.0 must be above 0"),
        (("recipe=spicy",), "recipe=spicy is not available"),
        (("batch=8",), "batch is not a setting"),
        (("-m", "ssr=0.1,0"), "ssr=0.0 must be above 0"),
        (("train_batch_size=2048",), "train_batch_size=2048 is more than the 1,437 training images of dataset=digits"),
        (("-m", "train_batch_size=64,2048"), "train_batch_size=2048 is more than the 1,437 training images"),
        (("runs_dir=file",), "runs_dir="),
        (("-m", "runs_dir=file", "seed=1,2"), "runs_dir="),
        (("--foo",), "--foo is not an option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_request_is_one_line(run_cli: RunCli, tmp_path: Path, asked: tuple[str, ...], said: str) -> None:
    (tmp_path / "file").touch()
    done = run_cli(*asked, module=PLAN)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith(said)


def test_an_image_folder_is_counted(run_cli: RunCli, photo_tree: Any) -> None:
    root = photo_tree()
    asked = ("dataset=imagefolder", f"dataset.dir={root}", "train_batch_size=8", "hardware=cpu", "model=resnet18")
    done = run_cli("recipe=baseline", *asked, module=PLAN)
    assert row(done.stdout, "batches") == "360, 4 an epoch of 32 images"


def test_help_says_what_it_is(run_cli: RunCli) -> None:
    for option in ("-h", "--help"):
        done = run_cli(option, module=PLAN)
        assert done.returncode == 0
        assert "resnet_exp plan recipe=mild" in done.stdout


def test_picture_of_the_course(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli(*P4D, "ssr=0.36", "picture=mild.svg", module=PLAN)
    assert done.returncode == 0 and done.stdout.endswith("wrote mild.svg\n")
    assert (tmp_path / "mild.svg").read_text().startswith("<?xml")
    (tmp_path / "folder.svg").mkdir()
    refused = {
        "picture=mild.gif": ".svg",
        "picture=no/mild.svg": "is not a folder",
        "picture=folder.svg": "is a folder; give a file",
        "picture=mild.png target_top1=0.7": "leave out one of the two",
    }
    for words, fix in refused.items():
        done = run_cli(*P4D, *words.split(), module=PLAN)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words.split()[0].partition("=")[0] in done.stderr and fix in done.stderr


def test_picture_that_cannot_be_written(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli(*P4D, "picture=/proc/mild.svg", module=PLAN)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "picture=/proc/mild.svg cannot be written (" in done.stderr and "wrote" not in done.stdout
    limited = f"ulimit -f 4; exec {sys.executable} -B -m {PLAN} {shlex.join(P4D)} picture=mild.svg"
    # A file that may grow no further, as on a full disk.
    done = subprocess.run(["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "picture=mild.svg cannot be written (File too large)" in done.stderr
    assert not list(tmp_path.glob("**/*mild*")), "half a picture was left"


def test_cheapest_known_way(run_cli: RunCli) -> None:
    done = run_cli("target_top1=0.766", module=PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    first, cheapest, command, *rest = done.stdout.splitlines()
    assert first == "76.60% top-1 on imagenet, evaluated at 224 px"
    # 27.04 min at today's price of that instance.
    assert "$9.90 (price of 2026-11-09), 27.0 min" in cheapest and "mild ssr=0.36 on p4d.24xlarge, 76.60%" in cheapest
    assert command.split()[1:] == ["resnet_exp", *("recipe=mild", "ssr=0.36"), *P4D[1:]]
    assert rest[1].split(maxsplit=1) == ["fastest", "the same"]
    assert "76.60% top-1 on imagenet, evaluated at 256 px, flip TTA" in rest, "another protocol, apart from the rest"


def test_own_way_is_known_too(run_cli: RunCli, tmp_path: Path) -> None:
    finish(tmp_path, "recipe=mild", "hardware=cpu", "ssr=0.1", speed=440, seconds=90)
    done = run_cli("target_top1=0.4", "dataset=digits", module=PLAN)
    assert done.stdout.splitlines()[0] == "40.00% top-1 on digits, evaluated at 24 px"
    assert row(done.stdout, "fastest").startswith(
        "no price, 90 s (training): mild ssr=0.1 on cpu, 50.00%, 1 run, yours"
    )
    done = run_cli("target_top1=0.6", "dataset=digits", module=PLAN)
    assert done.stdout == "nothing known reaches 60.00% on dataset=digits: the best known is 50.00%\n"


def test_wrong_targets(run_cli: RunCli) -> None:
    for words in (["target_top1=76.6"], ["target_top1=x"], ["-m", "target_top1=0.7", "seed=1,2"]):
        done = run_cli(*words, module=PLAN)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), words
        assert "target_top1=" in done.stderr


def test_best_for_a_budget(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("budget=$10", "hardware=p4d.24xlarge", "dataset=imagenet", module=PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    first, best, *_ = done.stdout.splitlines()
    assert first == "up to $10.00 on imagenet, evaluated at 224 px"
    assert "$9.90 (price of 2026-11-09), 27.0 min" in best and "mild ssr=0.36 on p4d.24xlarge, 76.60%" in best
    # The two lengths are 75.56 % for $7.94 and 77.24 % for $13.02.
    assert row(done.stdout, "between").startswith("76.3") and "for just $10.00, interpolated" in done.stdout
    assert run_cli("budget=10usd", *P4D[1:], module=PLAN).stdout == done.stdout
    done = run_cli("budget=1h", "dataset=imagenet", module=PLAN)
    head, *others = re.findall(r"^  \S.{9,}  \d\d\.\d\d%.*|^  hardware .*", done.stdout, re.MULTILINE)[:5]
    assert re.split("  +", head.strip()) == ["hardware", "top-1", "time", "cost", "run", "whose"]
    assert "p4d.24xlarge" in others[0] and len(others) > 2
    finish(tmp_path, "recipe=mild", "hardware=cpu", "ssr=0.1", speed=440, seconds=90)
    done = run_cli("budget=2min", "dataset=digits", module=PLAN)
    assert row(done.stdout, "best").startswith("no price, 90 s (training): mild ssr=0.1 on cpu, 50.00%, 1 run, yours")
    done = run_cli("budget=1min", "dataset=digits", module=PLAN)
    assert done.stdout == "nothing known fits 60 s on dataset=digits: the fastest one takes 90 s\n"
    done = run_cli("budget=1usd", "dataset=digits", "hardware=cpu", module=PLAN)
    assert done.stdout == "nothing known fits $1.00 on dataset=digits with hardware=cpu: no run with a known cost\n"


def test_wrong_budgets(run_cli: RunCli) -> None:
    for words, said in (
        (["budget=0"], "budget=0 is not a time or price; a shell reads $1 as a variable, so quote it; use "),
        (
            ["budget=soon"],
            "budget=soon is not a time or price; use budget=10min, budget=2h, 'budget=$10' or budget=10usd",
        ),
        (["budget=$10min"], "budget=$10min is not a time or price;"),
        (["-m", "budget=1h", "seed=1,2"], "seed=1,2 has no effect with budget="),
        (["budget=1h", "target_top1=0.7"], "target_top1= and budget= are two questions"),
        (["budget=1h", "picture=x.svg"], "picture= draws one run and budget= looks at all of them"),
    ):
        done = run_cli(*words, module=PLAN)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), words
        assert done.stderr.startswith(said)


def test_short_runs_are_no_measure_of_long_ones(run_cli: RunCli, tmp_path: Path) -> None:
    """One epoch of mild has images of 88 px alone."""
    finish(tmp_path, *P4D, "ssr=0.0112", speed=32_396, images=1281167)
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "basis").startswith("published speeds")
    finish(tmp_path, *P4D, "ssr=0.0889", speed=25_000, images=1281167)
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "basis") == "25,000 images/s, 1 finished run like it in runs"


def test_expected_top1_is_of_the_recipe_as_it_is(run_cli: RunCli, tmp_path: Path) -> None:
    changed = ("ssr=0.36", "optimizer.lr=0.00001")
    done = run_cli(*P4D, *changed, module=PLAN)
    assert row(done.stdout, "top-1").startswith("not known: its settings differ from the recipe's")
    finish(tmp_path, *P4D, "ssr=0.36", "seed=1", speed=20_000, images=1281167)
    done = run_cli(*P4D, *changed, module=PLAN)
    assert row(done.stdout, "top-1").startswith("not known"), "with another learning rate"
    done = run_cli(*P4D, "ssr=0.36", module=PLAN)
    assert row(done.stdout, "top-1") == "50.00% after as many epochs, 1 run, yours"
    done = run_cli("recipe=baseline", *P4D[1:], "ssr=1", module=PLAN)
    assert row(done.stdout, "top-1") == "76.51% to 76.60% after as many epochs, 2 runs, published"


def test_plan_of_a_sweep_has_its_course_disk_and_other_hardware(run_cli: RunCli) -> None:
    done = run_cli("-m", *P4D, "ssr=0.1,0.36", "seed=1,2", module=PLAN)
    assert done.returncode == 0, done.stderr
    assert row(done.stdout, "course").startswith("mild ssr=0.36: 88 px for 14 epochs, ")
    assert row(done.stdout, "disk") == "409 MB of run folders when all are done; up to 716 MB of a run while it trains"
    hours = 2 * (mild_seconds(9) + mild_seconds(32)) / 3600
    (lambda_row,) = rows(done.stdout, "lambda_8xa100_40gb")
    assert f"${hours * 15.92:.2f}" in lambda_row
    done = run_cli("-m", *P4D, "ssr=0.1,0.36", "picture=x.svg", module=PLAN)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "picture= draws one run" in done.stderr
