"""Files of an object store, or of anything else that fsspec reaches: ``s3://bucket/folder``."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line

# For an index or a manifest; s3fs itself would try for seven minutes if the store does not respond.
PATIENCE_SECONDS = 60
# Errors of botocore, by name: it is installed only with s3fs.
HOPELESS = ("NoCredentialsError", "ParamValidationError")
S3, S3_FIX = ("s3:", "s3a:"), "pip install 'resnet_exp[streaming]'"


@dataclass(frozen=True)
class Remote:
    """A folder at `url`; `options` go to fsspec's file system, such as ``anon: true`` for a public bucket."""

    url: str
    options: dict[str, object] = field(default_factory=dict[str, object])

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if there is none.

        Raises:
            RequestError: the URL or an option is wrong, or there is no right to read.
            RunFailed: it cannot be read now.
        """
        system, root = self._open()
        console.status(f"reading {self.url}/{name}")
        try:
            return _answer(lambda: system.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            # Nothing has started yet, and trying again would not help.
            hopeless = isinstance(error, PermissionError | TypeError | ValueError) or type(error).__name__ in HOPELESS
            raise (RequestError if hopeless else RunFailed)(self._fault(name, "read", error)) from error

    def get(self, name: str, to: Path) -> None:
        """Copy a file here; raises `RunFailed` if it cannot be."""
        system, root = self._open()
        try:
            system.get_file(f"{root}/{name}", str(to))
        except Exception as error:
            raise RunFailed(self._fault(name, "read", error)) from error

    def put(self, name: str, content: Path) -> None:
        """Copy a file there; raises `RunFailed` if it cannot be."""
        system, root = self._open()
        try:
            if system.protocol[0] == "file":
                system.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            system.put_file(str(content), f"{root}/{name}")
        except Exception as error:
            raise RunFailed(self._fault(name, "written", error)) from error

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files in a folder, by name; raises `RunFailed` if it cannot be read."""
        system, root = self._open()
        try:
            found = system.ls(f"{root}/{folder}", detail=True, refresh=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise RunFailed(self._fault(folder, "read", error)) from error
        return {entry["name"].rpartition("/")[2]: entry["size"] for entry in found}

    def _open(self) -> tuple[Any, str]:
        # Imported late: most runs do not need it.
        from fsspec.core import url_to_fs

        try:
            system, root = url_to_fs(self.url, **self.options)
        except ImportError as error:
            fix = S3_FIX if self.url.startswith(S3) else one_line(error)
            raise RequestError(f"data.loader.remote={self.url} needs a package that is not installed; {fix}") from error
        except Exception as error:
            raise RequestError(
                f"data.loader.remote={self.url}: {one_line(error)}; check it and data.loader.storage_options"
            ) from error
        return system, root.rstrip("/")

    def _fault(self, name: str, done: str, error: Exception) -> str:
        said = str(error) or (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "")
        reason = f"{type(error).__name__}: {one_line(said)}" if said else type(error).__name__
        fix = "check data.loader.remote, data.loader.storage_options and your credentials"
        return f"{self.url}/{name} cannot be {done} ({reason}); {fix}"


def _answer(ask: Callable[[], bytes]) -> bytes:
    answer: Future[bytes] = Future()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    # Not a thread of a pool: Python would wait for it at exit.
    asking = Thread(target=wait, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    if not answer.done():
        raise TimeoutError(f"no answer within {PATIENCE_SECONDS:g} s")
    return answer.result()


def is_url(place: str) -> bool:
    """Whether a place is reached by fsspec rather than by the file system."""
    return "://" in place
