"""A compose file: the command in our image on this machine, with Docker or Podman."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from resnet_exp.planning.export import work as of
from resnet_exp.planning.export.work import Document, Work, Written

IMAGE = "resnet_exp"
# Docker gives 64 MB. NCCL takes 1 GB for several GPUs (NVIDIA's advice), loader processes take the rest.
SHARED_MEMORY = "8gb"


def write_compose(work: Work, path: str, command: str, image: str | None) -> Written:
    """A compose file whose service runs the whole command.

    Args:
        work: what is to be run.
        path: of the file.
        command: that writes the file.
        image: to run in; None: the one that ``make image`` builds.

    Raises:
        RequestError: a container cannot do that.
    """
    of.check_one_hardware(work, "a compose file")
    of.check_in_image(work.words, "a compose file")
    config = work.runs[0]
    # What is read has the same path inside, so that the words stay the same.
    read = of.folders_read(work)
    written = {
        os.path.abspath(config.runs_dir): of.RUNS,
        os.path.abspath(config.data.cache_dir): f"{of.CACHE}/resnet_exp",
    }
    places = {"runs_dir": of.RUNS}
    places |= {name: os.path.abspath(folder) for name, folder in of.relative_paths(work.words).items()}
    # Compose replaces $NAME.
    words = [word.replace("$", "$$") for word in of.placed(_without_cache(work.words), places)]
    service: Document = {
        "image": image or IMAGE,
        "command": words,
        "user": f"{os.getuid()}:{os.getgid()}",
        "volumes": [
            *(_mount(folder, place) for folder, place in written.items()),
            *(_mount(folder, folder, read_only=True) for folder in read),
        ],
        "shm_size": SHARED_MEMORY,
        "ulimits": {"memlock": -1},
        "stop_grace_period": f"{of.GRACE_SECONDS}s",
    }
    if gpus := config.hardware.gpus_per_node:
        reserved = {"driver": "nvidia", "count": gpus, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [reserved]}}}
    start = shlex.join(["docker", "compose", "-f", path, "up"])
    document: Document = {"name": work.name, "services": {"train": service}}
    missing = [folder for folder in (*written, *read) if not os.path.exists(folder)]
    needs = (
        f"the image {image or IMAGE}" + ("" if image else " (make image)"),
        *([shlex.join(["mkdir", "-p", *missing])] if missing else []),
        *of.local_settings(),
    )
    return Written(of.yaml_text(of.head_of(command, start), document), start, needs)


def _mount(source: str, target: str, read_only: bool = False) -> Document:
    source, target = source.replace("$", "$$"), target.replace("$", "$$")
    # Docker would make a missing folder as root's.
    bind: Document = {"create_host_path": False}
    return {"type": "bind", "source": source, "target": target, "read_only": read_only, "bind": bind}


def _without_cache(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("data.cache_dir=")]
