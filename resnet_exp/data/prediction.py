"""How large FFCV files will be, from a few images that are converted ahead; refuses what the disk cannot hold."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from resnet_exp import console
from resnet_exp.data import ffcv_layout
from resnet_exp.data.encode import Settings, encode
from resnet_exp.data.journal import Journal
from resnet_exp.data.sources import Source
from resnet_exp.data.team import team_size
from resnet_exp.errors import RequestError, RunFailed
from resnet_exp.footprint import size

# Images converted ahead, and the least of all images that one of them stands for.
MOST_SAMPLED, STANDS_FOR = 48, 8


class Converted(Protocol):
    """What is predicted about."""

    folder: Path
    target: Path
    settings: Settings
    sources: list[Source]
    journal: Journal


def bytes_of(conversion: Converted, workers: int) -> int:
    """Bytes that the finished file will have, about: only some images are looked at."""
    sources, page = conversion.sources, conversion.journal.layout.page_bytes
    sampled = sources[:: max(STANDS_FOR, -(-len(sources) // MOST_SAMPLED))]
    sizes = [found for source in sampled if (found := _encoded_size(conversion, source)) is not None]
    mean = sum(sizes) / max(1, len(sizes))
    # The next image finds no room at the end of a page: half an image is lost there, on average.
    pages = -(-int(mean * len(sources)) // max(1, int(page - mean / 2)))
    # And half a page by each worker at the end.
    pages += team_size(workers, len(sources)) // 2
    return ffcv_layout.pages_at(len(sources), page) + pages * page + len(sources) * ffcv_layout.PLACE.size


def _encoded_size(conversion: Converted, source: Source) -> int | None:
    try:
        return encode(str(conversion.folder / source.name), source.name, conversion.settings).content.size
    except RunFailed:
        return None


def check_space(conversions: Sequence[Converted], workers: int, cache_dir: str) -> None:
    """Say how large the files will be.

    Raises:
        RequestError: the disk cannot hold them.
    """
    needed, there = 0, 0
    for conversion in conversions:
        expected = bytes_of(conversion, workers)
        console.say(f"{conversion.target.name}: about {size(expected)} for {len(conversion.sources):,} images")
        needed, there = needed + expected, there + conversion.journal.bytes_on_disk
    free = shutil.disk_usage(conversions[0].target.parent).free
    if needed - there > free:
        raise RequestError(
            f"data.cache_dir={cache_dir} has {size(free)} free, the FFCV files of {conversions[0].folder.parent} need "
            f"about {size(needed - there)}{' more' if there else ''}; free some or set data.cache_dir=PATH"
        )
