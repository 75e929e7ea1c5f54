"""JPEGs of all kinds: those of this machine's packages, and random ones."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
SAMPLINGS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def real_jpegs() -> list[Path]:
    """Every JPEG of the packages of this environment and of the system."""
    folders = (Path(sys.prefix), Path("/usr/share"))
    suffixes = (".jpg", ".jpeg", ".JPG", ".JPEG")
    return sorted(path for folder in folders for path in folder.rglob("*") if path.name.endswith(suffixes))


def pixels_of(height: int, width: int, grain: int, seed: int) -> Bytes:
    """Shapes and grain in all colors."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + random.integers(-grain, grain + 1, smooth.shape), 0, 255).astype(np.uint8)


def encoded(pixels: Bytes, sampling: str, quality: int, interval: int, more: int) -> bytes:
    """By OpenCV, or for numbers of 4 and more by Pillow, with tables of its own and metadata."""
    if more < 4:
        how = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, interval)
        tables = (cv2.IMWRITE_JPEG_OPTIMIZE, more & 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling])
        gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if more & 2 else pixels
        return cv2.imencode(".jpg", gray, (*how, *tables))[1].tobytes()
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274], exif[270] = 6, "\xff\xd8 in a comment \xff\xd9" * 20
    image = Image.fromarray(pixels).convert("RGB" if more & 1 else "L")
    image.save(
        file, "JPEG", quality=quality, optimize=bool(more & 2), exif=exif, icc_profile=bytes(range(256)) * 40,
        restart_marker_blocks=interval, subsampling=-1 if more & 1 == 0 else ["4:4:4", "4:2:2", "4:2:0"][quality % 3],
    )  # fmt: skip
    return file.getvalue()
