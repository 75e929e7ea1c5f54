"""What is known of a ``_target_`` without importing it: importing Composer takes ten seconds."""

from __future__ import annotations

import ast
import hashlib
import sys
from difflib import get_close_matches
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.core.paths import is_users

# Optional packages of trackers, by the extra of this package that installs them.
EXTRAS = {
    "composer.loggers.MLFlowLogger": "mlflow",
    "composer.loggers.TensorboardLogger": "tensorboard",
    "resnet_exp.loggers.mlflow_logger.MLflow": "mlflow",
}


def missing_package(target: str) -> str | None:
    """The optional package that `target` needs and that is not installed; its extra has the same name."""
    package = EXTRAS.get(target)
    return package if package is not None and _find(package) is None else None


def exists(target: str) -> bool:
    """Whether the dotted name `target` exists; True where that is unclear (compiled modules, star imports)."""
    return why_not(target) is None


@cache
def why_not(target: str) -> str | None:
    """Why the dotted name `target` cannot be imported, or None.

    Raises:
        RequestError: the user's module is not Python.
    """
    module, _, attribute = target.rpartition(".")
    spec = _find(module)
    if spec is None or not attribute.isidentifier():
        return "cannot be imported; give package.module.Name of what is installed, in this folder or in PYTHONPATH"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    names = _names(Path(spec.origin))
    if attribute in names or "*" in names or "__getattr__" in names:
        return None
    near = get_close_matches(attribute, sorted(names), n=1)
    return f"cannot be imported: {module} has no {attribute}" + (f" (did you mean {near[0]}?)" if near else "")


def code_digest(target: str) -> str | None:
    """8 hex digits of the source file of `target`, or of all files of the package that it names.

    None for what is installed, or comes with Python: that has versions. None too for what is not there.
    """
    spec = _find(target.rpartition(".")[0])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py") or not is_users(spec.origin):
        return None
    folders = spec.submodule_search_locations or ()
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py")) or [Path(spec.origin)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def _find(module: str) -> ModuleSpec | None:
    # `python -m` finds a user's own modules in the current folder.
    return _find_in(module, (str(Path.cwd()), *sys.path))


@cache
def _find_in(module: str, folders: tuple[str, ...]) -> ModuleSpec | None:
    name, path, spec = "", None, None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path if name != part else folders)
        if spec is None:
            return None
        path = spec.submodule_search_locations or []
    return spec


def _names(source: Path) -> set[str]:
    """Names that a module may define anywhere in its code."""
    found: set[str] = set()
    try:
        tree = ast.parse(source.read_bytes())
    except SyntaxError as error:
        raise RequestError(f"{source}, line {error.lineno}: {error.msg}; this is not Python") from error
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
