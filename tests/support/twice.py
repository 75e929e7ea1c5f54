"""A kernel that takes no time to compile. As a program: whether this process has compiled it."""

from __future__ import annotations

import sys
from typing import Any

from resnet_exp.data.kernels import jit


def make_twice(sources: str) -> Any:
    """The kernel, for what is kept of which `sources` stand for its source files."""

    def twice(number: int) -> tuple[int, str]:
        return 2 * number, sources

    return jit.kernel(twice)


def compiles(sources: str) -> int:
    """How often its first call compiles: once, or never."""
    twice = make_twice(sources)
    assert twice(21)[0] == 42
    return sum(twice.stats.cache_misses.values())


if __name__ == "__main__":
    sys.stdin.readline()
    print(compiles("sources"))
