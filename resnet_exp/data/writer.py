"""Writes converted images in a process of its own: ``python -m resnet_exp.data.writer JSON``.

Exit code: 0 done, 2 nothing was begun, 1 it failed later; the reason is a line on standard error. What it has written
until then stays beside its target, and the next try continues from there.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from pathlib import Path

import cv2

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.records import from_json
from resnet_exp.data.conversion import disk_space
from resnet_exp.data.conversion.process import REASON, WriterRequest

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)


def write(request: WriterRequest) -> None:
    """Convert splits.

    Raises:
        RequestError: nothing was begun: the images cannot be used, or the disk is too small.
        RunFailed: an image cannot be converted, or the disk is full.
    """
    # Workers are forked, and a fork has none of its parent's threads: OpenCV would wait for its own forever.
    cv2.setNumThreads(0)
    module, _, name = request.conversion.rpartition(".")
    begin = getattr(importlib.import_module(module), name).begin
    conversions = [
        begin(Path(place.folder), Path(place.target), Path(place.unfinished), request.content)
        for place in request.places
    ]
    disk_space.check_space(conversions, request.workers, request.cache_dir)
    for conversion in conversions:
        try:
            conversion.run(request.workers, request.most_skipped, request.patience_seconds)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise RunFailed(f"{conversion.unfinished} cannot be written ({error.strerror})") from error
            raise RunFailed(
                f"data.cache_dir={request.cache_dir} is full; free some space, then rerun the same command"
            ) from error


def main() -> int:
    """Carry out the request of the command line; returns the exit code."""
    try:
        write(from_json(WriterRequest, json.loads(sys.argv[1])))
    except (RequestError, RunFailed) as error:
        os.write(2, f"\n{REASON}{error}\n".encode(errors="backslashreplace"))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
