"""Decoding of image files, for every format that reads them. No torch."""

from __future__ import annotations

from PIL import Image

from resnet_exp.data.rgb import to_rgb
from resnet_exp.errors import RunFailed


def load_rgb(path: str) -> Image.Image:
    """Decode an image file to RGB; raises `RunFailed` that names the file."""
    try:
        with Image.open(path) as image:
            return to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).replace(f" {path!r}", "")
        raise RunFailed(f"image {path} cannot be read ({reason}); repair it or remove it from dataset.dir") from error
