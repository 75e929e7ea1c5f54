"""An image folder of real photographs in many sizes, of Debian's packages of wallpapers.

    python benchmarks/photographs.py DIR        about 170 MB are downloaded; needs apt-get and dpkg-deb

The 35 photographs are those of ``lomiri-wallpapers-16.04``, ``mate-backgrounds`` and ``plasma-workspace-wallpapers``
(Debian 12), without the drawings. DIR/train and DIR/val, of two classes, hold windows of them, made smaller: the longer
side is about 500 pixels, most of them between 250 and 1,000, and the quality of the JPEGs is 75 to 95.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGES = ("lomiri-wallpapers-16.04", "mate-backgrounds", "plasma-workspace-wallpapers")
DRAWN = "Elephants", "analogpattern", "GreenTraditional", "Wine_by_Jakkub_Mede"
PHOTOGRAPHED = {"BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow", "FallenLeaf",  "Kite",
                "OneStandsOut", "Path", "summer_1am"}  # fmt: skip
VERSIONS, VALIDATION = 13, 8


def download(folder: Path) -> list[Path]:
    """The photographs of the packages, below a folder."""
    for package in PACKAGES:
        subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    backgrounds = folder.glob("usr/share/backgrounds/**/*.jpg")
    wallpapers = folder.glob("usr/share/wallpapers/*/contents/images/2560x1600.jpg")
    found = [path for path in backgrounds if not path.name.startswith(DRAWN)]
    found += [path for path in wallpapers if path.parents[2].name in PHOTOGRAPHED]
    return sorted(path for path in found if not path.is_symlink())


def version(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """A window of a photograph, made smaller."""
    shares = random.uniform(0.5, 1.0, 2)
    width, height = (int(side * share) for side, share in zip(photograph.size, shares, strict=True))
    left, top = (
        int(random.integers(0, photograph.width - width + 1)),
        int(random.integers(0, photograph.height - height + 1)),
    )
    longer = min(max(width, height), round(500 * 2 ** random.normal(0, 0.6)))
    scale = longer / max(width, height)
    size = max(64, round(width * scale)), max(64, round(height * scale))
    return photograph.resize(size, Image.Resampling.LANCZOS, (left, top, left + width, top + height))


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder, random, written = parser.parse_args().folder, np.random.default_rng(17), 0
    with tempfile.TemporaryDirectory() as downloads:
        for path in download(Path(downloads)):
            photograph = Image.open(path).convert("RGB")
            for _ in range(VERSIONS):
                split = folder / ("val" if written < VALIDATION else "train") / str(written % 2)
                split.mkdir(parents=True, exist_ok=True)
                quality = int(random.integers(75, 96))
                version(photograph, random).save(split / f"{written:04d}.jpg", quality=quality)
                written += 1
    sys.stdout.write(f"{written} photographs in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
