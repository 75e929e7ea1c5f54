"""RGB of the components of a JPEG."""

from __future__ import annotations

from resnet_exp.data.kernels.decoder.colors import mix_rows, put_rgb, widen
from resnet_exp.data.kernels.decoder.ready import BLOCK_SIDE, PLANE, STRIDE, Decoder, value_at
from resnet_exp.data.kernels.decoder.transform import CENTER, SIDE
from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.jpeg import Window
from resnet_exp.data.kernels.lossless.header import Header
from resnet_exp.data.kernels.lossless.points import Part
from resnet_exp.data.kernels.lossless.units import VALUE_BYTES
from resnet_exp.data.kernels.resize import Pixels


@inner
def _extend(planes: Pixels, at: int, stride: int, rows: int, columns: int) -> None:
    """Put the outer colors of each row beside it."""
    for _ in range(rows):
        planes[at - 1], planes[at + columns] = planes[at], planes[at + columns - 1]
        at += stride


@inner
def put_pixels(header: Header, part: Part, place: Window, decoder: Decoder, out: Pixels) -> None:
    """Make RGB of the components."""
    values, to = decoder.memory.values.ctypes.data, out.ctypes.data
    luma, stride, scale = value_at(values, PLANE), value_at(values, STRIDE), value_at(values, BLOCK_SIDE)
    blue = decoder.lines.ctypes.data
    red = blue + len(decoder.lines) // 2
    if header.components == 1:
        decoder.lines[:] = CENTER
        for row in range(place.height):
            put_rgb(luma + row * stride, blue, red, to + 3 * row * place.width, place.width)
        return
    chroma = values + VALUE_BYTES
    first, step, side = value_at(chroma, PLANE), value_at(chroma, STRIDE), value_at(chroma, BLOCK_SIDE)
    beside = value_at(chroma + VALUE_BYTES, PLANE) - first
    high, wide = header.unit_height * scale // (SIDE * side), header.unit_width * scale // (SIDE * side)
    # Only as many colors as the image has: what is behind the last ones is taken to be the same.
    rows = min(side * part.last_row, -(-header.height * side // header.unit_height)) - side * part.first_row
    columns = min(side * part.right, -(-header.width * side // header.unit_width)) - side * part.left
    for plane in (first, first + beside):
        _extend(decoder.planes, plane - decoder.planes.ctypes.data, step, rows, columns)
    for row in range(place.height):
        near = first + row // high * step
        far = first + min(max(row // high + (1 if row % 2 else -1), 0), rows - 1) * step
        if wide == 2:
            widen(near, far, blue, columns, high == 2)
            widen(near + beside, far + beside, red, columns, high == 2)
        elif high == 2:
            mix_rows(near, far, blue, columns, 2 if row % 2 else 1)
            mix_rows(near + beside, far + beside, red, columns, 2 if row % 2 else 1)
        else:
            blue, red = near, near + beside
        put_rgb(luma + row * stride, blue, red, to + 3 * row * place.width, place.width)
