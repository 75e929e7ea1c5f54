"""Images with what a model sees in them, on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from resnet_exp.data.images.image_file import load_rgb
from resnet_exp.inference.classifier import Prediction
from resnet_exp.reporting.legends import label

COLUMNS, MOST = 6, 60
SIDE = 160
CHARACTERS = 24


def draw(predictions: Sequence[Prediction]) -> Figure:
    """The images that were classified, at most `MOST`, each with its file, its class and the probability."""
    shown = [one for one in predictions if one.error is None]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(min(MOST, len(shown)) / columns)
    figure = Figure(figsize=(1.9 * columns, 2.35 * rows + 0.3), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    for panel, one in zip(panels, shown[:MOST], strict=False):
        image = load_rgb(one.image)
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        panel.imshow(image)
        best = one.guesses[0]
        name = label(one.image.rpartition("/")[2], CHARACTERS)
        panel.set_title(f"{label(best.label, CHARACTERS)} {best.probability:.0%}\n{name}", fontsize=8)
    if len(shown) > MOST:
        figure.suptitle(f"the first {MOST} of {len(shown):,} images", fontsize=9)
    return figure
