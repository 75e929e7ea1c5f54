"""How glibc's allocator hands out memory in processes that train on a CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping

TUNABLES = "GLIBC_TUNABLES"
# A step takes the same tens of megabytes as the one before. They stay with the process, which otherwise gives them back
# and gets new pages each time, and lie in pages of 2 MiB, where Linux lets programs ask for such (``madvise``).
KEEP = 2**36
FOR_TRAINING = f"glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold={KEEP}:glibc.malloc.mmap_threshold={KEEP}"


def for_training(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What to add to the environment of a process that trains on a CPU; nothing where the user has set any of it.

    glibc 2.35 and later know all of it; others ignore what they do not know.
    """
    own = any(name == TUNABLES or (name.startswith("MALLOC_") and name.endswith("_")) for name in environ)
    return {} if own else {TUNABLES: FOR_TRAINING}
