"""The size of converted images, estimated from a sample; refuses a conversion that the disk cannot hold."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data.conversion.base import Conversion

# Images of the sample at most, and images that one of them represents at least.
MOST_SAMPLED, STANDS_FOR = 48, 8


def bytes_of(conversion: Conversion, workers: int) -> int:
    """Estimated bytes of the whole conversion, from a sample of its images."""
    sources = conversion.sources
    sampled = sources[:: max(STANDS_FOR, -(-len(sources) // MOST_SAMPLED))]
    sizes = [found for source in sampled if (found := conversion.stored_bytes(source)) is not None]
    return conversion.bytes_for(sum(sizes) / max(1, len(sizes)), workers)


def check_space(conversions: Sequence[Conversion], workers: int, cache_dir: str) -> None:
    """Tell the user how large the files will be.

    Raises:
        RequestError: the disk cannot hold them.
    """
    needed, there = 0, 0
    for conversion in conversions:
        expected = bytes_of(conversion, workers)
        console.say(f"{conversion.target.name}: about {byte_size(expected)} for {len(conversion.sources):,} images")
        needed, there = needed + expected, there + conversion.bytes_there
    free = shutil.disk_usage(conversions[0].target.parent).free
    if needed - there > free:
        first = conversions[0]
        raise RequestError(
            f"data.cache_dir={cache_dir} has {byte_size(free)} free, the {first.title}s of {first.folder.parent} need "
            f"about {byte_size(needed - there)}{' more' if there else ''}; free some or set data.cache_dir=PATH"
        )
