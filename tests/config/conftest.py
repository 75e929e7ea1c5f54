"""These commands answer and end: they are forked from a warm interpreter."""

from __future__ import annotations

import pytest

from support.commands import RunCli


@pytest.fixture
def run_cli(warm_cli: RunCli) -> RunCli:
    """Run the command line in the test's folder, without waiting for imports."""
    return warm_cli
