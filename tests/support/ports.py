"""A port of this machine that is nobody's, and stays so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unused_port() -> Iterator[int]:
    """A port that refuses connections, and that no other process is given until the end of the block.

    A server that is told to may listen on it all the same, if it allows others to bind it (SO_REUSEADDR), as most do.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
