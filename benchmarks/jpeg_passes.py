"""Passes of libjpeg-turbo over the photographs of `data_loaders.py`: all of every image, and what crops need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from ffcv.libffcv import ctypes_imdecode
from torchvision.transforms import RandomResizedCrop

from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, cut, window_for_crop

HEIGHT, WIDTH = 375, 500
SCALE, RATIO = [0.08, 1.0], [3 / 4, 4 / 3]
Images = list[Any]


def decode(file: Any, window: Window, part: int, out: Any) -> None:
    """Decode a JPEG, as FFCV does, at `part` eighths of the size."""
    high, wide = window.height, window.width
    place = out.ctypes.data
    if ctypes_imdecode(file.ctypes.data, file.size, high, wide, place, high, wide, 0, 0, part, EIGHTHS, False, False):
        raise RuntimeError("libjpeg-turbo cannot decode a photograph")


def whole(files: Images, part: int) -> Callable[[], None]:
    """Decode all of every image."""
    out = np.empty(HEIGHT * WIDTH * 3, np.uint8)

    def work() -> None:
        for file in files:
            decode(file, Window(0, 0, HEIGHT, WIDTH), part, out)

    return work


def crops(files: Images) -> Callable[[], None]:
    """Decode what the crops of an epoch need."""
    out, jpeg = np.empty(HEIGHT * WIDTH * 3, np.uint8), np.empty(HEIGHT * WIDTH * 3, np.uint8)
    image = torch.empty(3, HEIGHT, WIDTH)
    torch.manual_seed(17)
    boxes = [RandomResizedCrop.get_params(image, SCALE, RATIO) for _ in files]

    def work() -> None:
        for file, box in zip(files, boxes, strict=True):
            size, window = cut(file, HEIGHT, WIDTH, window_for_crop(box, HEIGHT, WIDTH, EIGHTHS), jpeg)
            decode(jpeg[:size] if size else file, window, EIGHTHS, out)

    return work


def encoded(root: Path, interval: int) -> Images:
    """The photographs of a folder as converted JPEGs, with restart markers; 0 for none."""
    photos = [cv2.imread(str(path)) for path in sorted((root / "train").rglob("*.jpg"))]
    how = (cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, interval)
    return [cv2.imencode(".jpg", photo, how)[1].reshape(-1) for photo in photos]
