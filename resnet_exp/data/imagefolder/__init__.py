"""Image files as they are: ``data=imagefolder``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_exp.data.imagefolder.decoders import COMPILED, PILLOW
from resnet_exp.data.imagefolder.files import IndexFiles

if TYPE_CHECKING:
    from resnet_exp.data.contract import Loader, Split


def make_loader(split: Split, decoder: str = PILLOW, index: bool = False, cache_dir: str = "") -> Loader:
    """Loader of ``root/train`` or ``root/val`` with one of `resnet_exp.data.imagefolder.decoders.DECODERS`.

    With `index` the compiled one uses what `resnet_exp.data.imagefolder.files.IndexFiles` has made below `cache_dir`.
    """
    # Imported late: one does not import what the other needs.
    if decoder == COMPILED:
        from resnet_exp.data.imagefolder import compiled

        return compiled.make_loader(split, IndexFiles(cache_dir, decoder, index) if index else None)
    from resnet_exp.data.imagefolder import pillow

    return pillow.make_loader(split)
