"""An object store that speaks S3, on this machine: the fixture ``store``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.request import Request, urlopen

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An object store with the bucket ``shards``; its environment is that of this process."""
    with store_at("127.0.0.1", monkeypatch) as client:
        yield client


@contextmanager
def store_at(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """As `store`, at an address of this machine."""
    # Imported late: that takes seconds, which few sessions need.
    import boto3
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    server.start()
    _one_at_a_time(server)
    host, port = server.get_host_and_port()
    for key, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(key, value)
    # A connection is kept for the whole process, and this is another store at another address.
    S3FileSystem.clear_instance_cache()
    # Moto keeps its objects for the whole process too.
    with urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")):
        pass
    client = boto3.client("s3")
    client.create_bucket(Bucket="shards")
    try:
        yield client
    finally:
        server.stop()


def _one_at_a_time(server: Any) -> None:
    """Answer one request after the other: moto 5 checks ``If-None-Match`` and writes in two steps, S3 in one."""
    web, lock = server._server, Lock()
    app = web.app

    def answer(*request: Any) -> Any:
        with lock:
            return app(*request)

    web.app = answer


def minutes_pass(prefix: str, seconds: float = 120) -> None:
    """Make what the store has under a prefix older."""
    from datetime import timedelta

    from moto.backends import get_backend

    for account in get_backend("s3").values():
        for key in account["aws"].buckets["shards"].keys.values():
            if key.name.startswith(prefix):
                key.last_modified -= timedelta(seconds=seconds)
