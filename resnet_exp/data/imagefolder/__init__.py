"""Image files as they are: ``data=imagefolder``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_exp.data.imagefolder.decoders import COMPILED, PILLOW

if TYPE_CHECKING:
    from resnet_exp.data.contract import Loader, Split


def make_loader(split: Split, decoder: str = PILLOW) -> Loader:
    """Loader of ``root/train`` or ``root/val`` with one of `resnet_exp.data.imagefolder.decoders.DECODERS`."""
    # Imported late: one does not import what the other needs.
    if decoder == COMPILED:
        from resnet_exp.data.imagefolder import compiled

        return compiled.make_loader(split)
    from resnet_exp.data.imagefolder import pillow

    return pillow.make_loader(split)
