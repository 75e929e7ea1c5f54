"""What the installed torch was built for, without importing it into this process."""

from __future__ import annotations

import importlib.util
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Code of one architecture (sm) or for a compiler in the driver (compute); "a" and "f" as CUDA names them.
ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


@dataclass(frozen=True)
class TorchBuild:
    """The installed torch: its version, and the CUDA that it was built with as (major, minor), None for none."""

    version: str
    cuda: tuple[int, int] | None


@cache
def installed_torch() -> TorchBuild:
    """The installed torch, read from the file in which it keeps its versions."""
    found = importlib.util.find_spec("torch")
    assert found is not None and found.origin is not None
    values = runpy.run_path(str(Path(found.origin).parent / "version.py"))
    major, _, minor = str(values["cuda"] or "").partition(".")
    return TorchBuild(str(values["__version__"]), (int(major), int(minor)) if major else None)


@cache
def kernels() -> str:
    """The architectures that torch has kernels for: ``sm_80 sm_90``; "" if torch does not know.

    Asked in a process of its own, which takes seconds: only the compiled part of torch knows.
    """
    script = "import torch; print(torch._C._cuda_getArchFlags() or '')"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.strip()


def has_kernels(architectures: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU of this compute capability can run code for one of these architectures.

    Code for an architecture runs on GPUs of the same major and the same or a higher minor capability; PTX on all later
    ones, too; what is named with an "a" only on exactly that architecture.
    """
    for kind, major, minor, only in ARCHITECTURE.findall(architectures):
        built = (int(major), int(minor))
        if only == "a":
            runs = capability == built
        elif kind == "compute" and not only:
            runs = capability >= built
        else:
            runs = capability[0] == built[0] and capability >= built
        if runs:
            return True
    return False
