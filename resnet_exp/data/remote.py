"""Files of an object store, or of anything else that fsspec reaches: ``s3://bucket/folder``. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnet_exp.errors import RunFailed

PACKAGES = {"s3": "s3fs", "s3a": "s3fs"}


@dataclass(frozen=True)
class Remote:
    """A folder at `url`; `options` go to fsspec's file system, such as ``anon: true`` for a public bucket."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        """Content of a file; None if there is none; raises `RunFailed` if it cannot be read."""
        try:
            system, root = self._open()
            return system.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(name, "read", error) from error

    def get(self, name: str, to: Path) -> None:
        """Copy a file here; raises `RunFailed` if it cannot be."""
        try:
            system, root = self._open()
            system.get_file(f"{root}/{name}", str(to))
        except Exception as error:
            raise self._failed(name, "read", error) from error

    def put(self, name: str, content: Path) -> None:
        """Copy a file there; raises `RunFailed` if it cannot be."""
        try:
            system, root = self._open()
            if system.protocol[0] == "file":
                system.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            system.put_file(str(content), f"{root}/{name}")
        except Exception as error:
            raise self._failed(name, "written", error) from error

    def _open(self) -> tuple[Any, str]:
        # Imported late: most runs have no use for it.
        from fsspec.core import url_to_fs

        system, root = url_to_fs(self.url, **self.options)
        return system, root.rstrip("/")

    def _failed(self, name: str, done: str, error: Exception) -> RunFailed:
        if isinstance(error, ImportError):
            package = PACKAGES.get(self.url.partition(":")[0], "a package of fsspec")
            return RunFailed(f"{self.url} needs {package}, which is not installed; pip install 'resnet-exp[streaming]'")
        said = str(error) or (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "")
        reason = f"{type(error).__name__}: {' '.join(said.split())}" if said else type(error).__name__
        return RunFailed(
            f"{self.url}/{name} cannot be {done} ({reason}); check data.loader.remote and your credentials"
        )


def is_url(place: str) -> bool:
    """Whether a place is reached by fsspec rather than by the file system."""
    return "://" in place
