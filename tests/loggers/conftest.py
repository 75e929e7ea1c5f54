"""W&B's service on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import wandb_service


@pytest.fixture(scope="module")
def service() -> Iterator[wandb_service.Service]:
    """A service for all tests of a file."""
    with wandb_service.running() as running:
        yield running
