"""The port at which the ranks of a run connect."""

from __future__ import annotations

import socket

import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from resnet_exp.config.schema import HardwareConfig
from resnet_exp.launch.rendezvous import Rendezvous, find_rendezvous, held_port


def test_a_free_port_is_kept_for_the_first_rank() -> None:
    """Data are prepared, and torch is imported, before it listens there."""
    with held_port(find_rendezvous(HardwareConfig(devices=2, nodes=1))) as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        store = TCPStore("127.0.0.1", port, 1, is_master=True)
        store.set("key", "value")
        assert store.get("key") == b"value"


def test_the_port_of_several_nodes_is_that_of_all() -> None:
    with held_port(Rendezvous(2, 1, "n1", 29400)) as port, held_port(Rendezvous(2, 0, "n1", 29400)) as same:
        assert port == same == 29400
