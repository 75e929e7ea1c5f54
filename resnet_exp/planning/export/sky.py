"""A SkyPilot task: the command on a cloud's machine, spot with recovery, its runs in a bucket or a mirror."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.config import disk_usage
from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core import paths
from resnet_exp.core.budget import Budget
from resnet_exp.core.cost import SECONDS_PER_HOUR
from resnet_exp.core.errors import RequestError
from resnet_exp.planning import other_hardware
from resnet_exp.planning.export import work as of
from resnet_exp.planning.export.work import Document, Work, Written
from resnet_exp.planning.other_hardware import HardwareCost
from resnet_exp.planning.training_time import History

# Images, packages and logs beside what runs write; GB.
SYSTEM_GB = 100
# Restarts after a run has failed by itself; a machine that is taken back does not count.
RETRIES = 3


@dataclass(frozen=True)
class Cloud:
    """What SkyPilot is to use.

    Attributes:
        bucket: for the runs; a name, or a URL such as ``s3://NAME``.
        data: URL of the images, which are mounted at ``dataset.dir``.
        image: to run in; None: this checkout, set up there.
        budget: the most that all runs together may take.
    """

    bucket: str | None = None
    data: str | None = None
    image: str | None = None
    budget: Budget | None = None


def cheapest_within(budget: Budget, configs: Sequence[RunConfig]) -> HardwareConfig:
    """The hardware of a cloud on which these runs cost least, among those that keep to the budget.

    Raises:
        RequestError: there is none.
    """
    known = other_hardware.elsewhere(configs, History(Path(configs[0].runs_dir))).known
    offered = [each for each in known if each.hardware.cloud is not None]
    fitting = [each for each in offered if _taken(each, budget) <= budget.amount]
    if not fitting:
        least = min(offered, key=lambda each: _taken(each, budget), default=None)
        said = "no time is known; see the plan" if least is None else f"the least is {least.hardware.name} for "
        said += "" if least is None else str(Budget(budget.axis, _taken(least, budget)))
        raise RequestError(f"budget={budget}: no machine of a cloud keeps to it: {said}")
    return min(fitting, key=_usd).hardware


def _usd(each: HardwareCost) -> float:
    return (each.spot_usd or each.cost_usd)[1]


def _taken(each: HardwareCost, budget: Budget) -> float:
    return _usd(each) if budget.axis == "cost_usd" else each.seconds[1]


def write_task(work: Work, path: str, command: str, cloud: Cloud) -> Written:
    """A task for ``sky jobs launch``, which starts it again on another machine when a spot machine is taken back.

    Args:
        work: what is to be run.
        path: of the file.
        command: that writes the file.
        cloud: what to use.

    Raises:
        RequestError: a single machine of a cloud cannot do that.
    """
    of.check_one_hardware(work, "SkyPilot here")
    of.check_absolute(work, "a machine of a cloud")
    of.check_in_image(work.words, "SkyPilot here")
    if cloud.bucket is None and work.runs[0].mirror is None:
        raise RequestError(
            "--write sky needs mirror=s3://BUCKET/runs, or --bucket NAME, for the runs: a machine that is taken back "
            "takes its disk"
        )
    # With a mirror alone, the runs are on the machine's own disk, where the words say.
    places = {} if cloud.bucket is None else {"runs_dir": of.RUNS}
    mounts: Document = {}
    if cloud.bucket is not None:
        mounts[of.RUNS] = {**_source(cloud.bucket), "mode": "MOUNT_CACHED"}
    if folders := of.folders_read(work):
        if cloud.data is None or len(folders) > 1:
            raise RequestError(
                f"{' and '.join(folders)}: the machine is new; name one folder and its bucket with --data URL, or "
                "train from shards with data=streaming data.loader.remote=URL"
            )
        mounts[folders[0]] = {**_source(cloud.data), "mode": "MOUNT"}
    elif cloud.data is not None:
        raise RequestError(f"--data {cloud.data} has no place: no dataset.dir is set")
    program = ["resnet_exp"] if cloud.image else [".venv/bin/resnet_exp"]
    task: Document = {
        "name": work.name,
        "resources": _resources(work, cloud),
        **({} if cloud.image else {"workdir": str(_checkout()), "setup": "make setup\n"}),
        **({"file_mounts": mounts} if mounts else {}),
        "run": f"exec {shlex.join([*program, *of.placed(work.words, places)])}\n",
    }
    start = shlex.join(["sky", "jobs", "launch", path])
    needs = ("SkyPilot with an account of this cloud (sky check)", *of.local_settings())
    return Written(of.yaml_text(of.head_of(command, start), task), start, needs)


def _source(bucket: str) -> Document:
    """A bucket by its URL, or one that SkyPilot makes."""
    return {"source": bucket} if "://" in bucket else {"name": bucket}


def _checkout() -> Path:
    root = paths.PACKAGE.parent
    if not (root / "Makefile").is_file():
        raise RequestError("--write sky needs --image NAME, or a checkout of the project, which it sets up there")
    return root


def _resources(work: Work, cloud: Cloud) -> Document:
    hardware = work.hardware
    if hardware.cloud is None or hardware.gpu is None:
        raise RequestError(f"hardware={hardware.name} is no machine of a cloud; name one, or give budget=10usd")
    spot = hardware.spot_usd_per_node_hour is not None
    found: Document = {"infra": hardware.cloud, "accelerators": f"{_accelerator(hardware.gpu)}:{hardware.devices}"}
    found |= {"use_spot": spot, "job_recovery": {"max_restarts_on_errors": RETRIES}}
    if limit := _hourly_limit(work, cloud.budget):
        found["max_hourly_cost"] = limit
    written = max(map(disk_usage.converted_bytes, work.runs), key=lambda size: size or 0) or 0
    found["disk_size"] = SYSTEM_GB + math.ceil((written + sum(map(disk_usage.run_bytes, work.runs))) / 10**9)
    return found | ({"image_id": f"docker:{cloud.image}"} if cloud.image else {})


def _hourly_limit(work: Work, budget: Budget | None) -> float | None:
    """The price at which these runs just keep to the budget: prices may have risen since the preset's day."""
    if budget is None or budget.axis != "cost_usd":
        return None
    known = other_hardware.elsewhere(work.runs, History(Path(work.runs[0].runs_dir))).known
    seconds = next(each.seconds[1] for each in known if each.hardware.name == work.hardware.name)
    return math.floor(budget.amount / seconds * SECONDS_PER_HOUR * 100) / 100


def _accelerator(gpu: str) -> str:
    """SkyPilot's name of a GPU, which has the memory of the larger A100 only."""
    name, _, memory = gpu.removeprefix("NVIDIA ").partition(" ")
    return f"{name}-80GB" if (name, memory) == ("A100", "80GB") else name
