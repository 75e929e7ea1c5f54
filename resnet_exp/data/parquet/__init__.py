"""Parquet files with encoded images in a column, here or in an object store: ``data=parquet``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_exp.data.contract import Loader, Split


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of one split; see `resnet_exp.data.parquet.loader.make_loader`."""
    # Imported late: whatever only looks at the files does not import torch.
    from resnet_exp.data.parquet.loader import make_loader

    return make_loader(split, **settings)
