"""The size of a JPEG, from its header: compiled, since Pillow takes longer to look than the decoder for a small one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from resnet_exp.data.kernels.jit import kernel, sources_digest
from resnet_exp.data.kernels.resize import Numbers, Pixels


def _make_measure(sources: str) -> Callable[..., str]:
    def measure(data: Pixels, offsets: Numbers, sizes: Numbers, heights: Numbers, widths: Numbers) -> str:
        """Set `heights` and `widths` of JPEGs that are at `offsets` in `data`; 0 where it is none.

        ITU-T T.81, annex B: segments of a marker and a length, until the one that begins a frame.
        """
        for number in range(len(offsets)):
            heights[number] = widths[number] = 0
            at, end = offsets[number], offsets[number] + sizes[number]
            if sizes[number] < 4 or data[at] != 0xFF or data[at + 1] != 0xD8:
                continue
            at += 2
            while at + 9 <= end and data[at] == 0xFF:
                marker = data[at + 1]
                if marker == 0xFF:  # fill
                    at += 1
                    continue
                if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                    heights[number] = np.int64(data[at + 5]) << 8 | np.int64(data[at + 6])
                    widths[number] = np.int64(data[at + 7]) << 8 | np.int64(data[at + 8])
                    break
                at += 2 + (np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]))
        return sources

    return kernel(measure)


measure = _make_measure(sources_digest())
