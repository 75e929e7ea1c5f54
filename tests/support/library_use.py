"""What the package uses of the libraries that train, read from its sources and configuration: no list to go stale."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from support.paths import ROOT

COMPOSER = "composer"
LIBRARIES = (COMPOSER, "torch", "torchvision", "torchmetrics", "numba")
TRAINER, STATE = f"{COMPOSER}.Trainer", f"{COMPOSER}.core.State"
CALLBACKS = (f"{COMPOSER}.core.Callback", f"{COMPOSER}.loggers.LoggerDestination")
# Classes of what Composer's objects hold, by the class of the object and the name.
HELD = {(TRAINER, "state"): STATE, (STATE, "timestamp"): f"{COMPOSER}.core.Timestamp"}


@dataclass(frozen=True)
class Departure:
    """Where we extend a class of a library, or set what is private or a name of a module of somebody else's."""

    file: str
    of: str  # the base, dotted; or the name that is set
    texts: str  # the docstrings of the module, and of the class and function that it stands in
    patches: bool


@dataclass
class Use:
    """Dotted names. Members of an object are those of its class: ``composer.core.State.timestamp``."""

    names: set[str] = field(default_factory=set)  # imported, and what is read of modules and classes
    members: set[str] = field(default_factory=set)  # read or set on objects
    overridden: set[str] = field(default_factory=set)  # by the methods of our subclasses
    heard: set[str] = field(default_factory=set)  # methods of our callbacks that take a state and a logger
    replaced: set[str] = field(default_factory=set)  # names of modules that are set anew
    arguments: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by what is called
    bases: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # our subclasses, by base
    targets: set[str] = field(default_factory=set)  # that conf/ names
    trainers: dict[str, set[str]] = field(default_factory=dict)  # our trainers, and the arguments that only they take
    departures: list[Departure] = field(default_factory=list)


@cache
def use() -> Use:
    """All of it."""
    found = Use()
    for path in sorted((ROOT / "resnet_exp").rglob("*.py")):
        _Reader(found, str(path.relative_to(ROOT))).visit(ast.parse(path.read_text()))
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        found.targets.update(_targets(yaml.safe_load(path.read_text())))
    return found


def locate(dotted: str) -> Any:
    """What a dotted name stands for."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(dotted)


def has_member(owner: type, name: str) -> bool:
    """Whether objects of a class have a member: of the class, set by its methods, or any, as `nn.Module` may."""
    given = hasattr(owner, name) or hasattr(owner, "__getattr__")
    return given or any(name in _set_by_methods(base) for base in owner.__mro__)


def _known(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


@cache
def _set_by_methods(owner: type) -> set[str]:
    if not _known(owner.__module__):
        return set()
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(owner)))))
    except (OSError, TypeError):  # a class that is compiled, or made by a function
        return set()
    stored = (node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    named = {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"}
    calls = (node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    buffers = (node.args[0] for node in calls if getattr(node.func, "attr", "") == "register_buffer" and node.args)
    return named | {str(name.value) for name in buffers if isinstance(name, ast.Constant)}


def code_lines(modules: Iterable[str]) -> int:
    """Lines with statements, without comments, blank lines and docstrings; of a package, all of its files."""
    return sum(_lines(module) for module in modules)


def _lines(name: str) -> int:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    tree = ast.parse(inspect.getsource(module))
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not _is_text(node):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            lines.update(range(node.lineno, (end or node.lineno) + 1))
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _is_text(node))
    for node in texts:
        lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _targets(values: object) -> Iterator[str]:
    for key, value in values.items() if isinstance(values, dict) else ():
        if key == "_target_" and isinstance(value, str) and _known(value):
            yield value
        yield from _targets(value)


def _without_index(node: ast.expr) -> ast.expr:
    """``DataLoader`` of ``DataLoader[Batch]``."""
    return node.value if isinstance(node, ast.Subscript) else node


def _inherited(node: ast.ClassDef) -> set[str]:
    """What the methods of a class read of ``self`` that neither they nor the class define."""
    own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    fields = (item.target for item in node.body if isinstance(item, ast.AnnAssign))
    own.update(target.id for target in fields if isinstance(target, ast.Name))
    return _of_self(node, ast.Load) - _of_self(node, ast.Store) - own


def _of_self(node: ast.ClassDef, use: type[ast.expr_context]) -> set[str]:
    used = (part for part in ast.walk(node) if isinstance(part, ast.Attribute) and isinstance(part.ctx, use))
    return {part.attr for part in used if isinstance(part.value, ast.Name) and part.value.id == "self"}


class _Reader(ast.NodeVisitor):
    """Reads one file; `known` has the dotted names of local ones, `objects` the classes of variables."""

    def __init__(self, found: Use, file: str) -> None:
        self.found, self.file = found, file
        self.texts: list[str] = []
        self.known: dict[str, str] = {}
        self.objects: dict[str, str] = {}

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            super().visit(node)
            return
        self.texts.append(ast.get_docstring(node) or "")
        super().visit(node)
        self.texts.pop()

    def _departs(self, of: str, *, patches: bool) -> None:
        self.found.departures.append(Departure(self.file, of, " ".join(" ".join(self.texts).split()), patches))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if _known(alias.name):
                top = alias.name.partition(".")[0]
                self.known[alias.asname or top] = alias.name if alias.asname else top
                self.found.names.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and _known(node.module):
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                self.known[alias.asname or alias.name] = dotted
                self.found.names.add(dotted)
        # Files are read in their order: a trainer of ours before the one that makes it.
        for alias in node.names:
            if alias.name in self.found.trainers:
                self.known[alias.name] = TRAINER

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name[:2] != "__"]
        for base in filter(None, map(self._name, map(_without_index, node.bases))):
            owner = locate(base)
            self.found.bases[base].add(node.name)
            self._departs(base, patches=False)
            self.found.overridden.update(f"{base}.{item.name}" for item in methods if hasattr(owner, item.name))
            self.found.members.update(f"{base}.{name}" for name in _inherited(node))
            if base in CALLBACKS:
                taking = (item for item in methods if [arg.arg for arg in item.args.args][1:] == ["state", "logger"])
                self.found.heard.update({item.name for item in taking} - _of_self(node, ast.Load))
            if base == TRAINER:
                inits = (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
                self.found.trainers[node.name] = {arg.arg for item in inits for arg in item.args.kwonlyargs}
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = dict(self.objects)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.annotation is not None and (kind := self._name(argument.annotation)):
                self.objects[argument.arg] = kind
        self.generic_visit(node)
        self.objects = outer

    def visit_Assign(self, node: ast.Assign) -> None:
        made = self._name(node.value.func) if isinstance(node.value, ast.Call) else None
        made = made if made and inspect.isclass(locate(made)) else None  # what functions return is not known
        if kind := made or self._class_of(node.value):
            self.objects.update((target.id, kind) for target in node.targets if isinstance(target, ast.Name))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance" and isinstance(node.args[0], ast.Name):
            kind = self._name(node.args[1])
            if kind and kind.startswith(f"{COMPOSER}."):  # a tensor in one branch may be a dictionary in another
                self.objects[node.args[0].id] = kind
        elif called := self._name(node.func):
            own = self.found.trainers.get(node.func.id, set()) if isinstance(node.func, ast.Name) else set[str]()
            self.found.arguments[called].update({keyword.arg for keyword in node.keywords if keyword.arg} - own)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        foreign = not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        private = node.attr.startswith("_") and not node.attr.startswith("__")
        if isinstance(node.ctx, ast.Store) and (self._name(node) or (private and foreign)):
            self._departs(self._name(node) or node.attr, patches=True)
        if name := self._name(node):
            self.found.names.add(name)
            if isinstance(node.ctx, ast.Store):
                self.found.replaced.add(name)
        elif owner := self._class_of(node.value):
            self.found.members.add(f"{owner}.{node.attr}")
        self.generic_visit(node)

    def _name(self, node: ast.expr) -> str | None:
        """The dotted name that an expression of names and attributes stands for."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self._name(node.value)):
            return f"{owner}.{node.attr}"
        return None

    def _class_of(self, node: ast.expr) -> str | None:
        """The class of an object: of a variable, of a trainer, or of its state, by what they are called."""
        if isinstance(node, ast.Name):
            return self.objects.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if node.attr == "trainer":
            return TRAINER
        owner = self._class_of(node.value)
        return HELD.get((owner, node.attr)) if owner else None


def tables() -> str:
    """What docs/architecture.md says of Composer: what is used of it by kind, and the size of the files it is in."""
    events, arguments = locate(f"{COMPOSER}.core.Event"), inspect.signature(locate(TRAINER)).parameters
    found = use()
    ours = {name for name in (*found.names, *found.targets) if name.startswith(f"{COMPOSER}.")} - {TRAINER}
    named = {name for name in ours if not inspect.ismodule(locate(name))}
    bases = {name for name in found.bases if name.startswith(f"{COMPOSER}.")}
    algorithms = {name for name in found.targets if f"{COMPOSER}.algorithms." in name}
    kinds = {
        f"events that our callbacks hear, of {len(events)}": found.heard,
        f"arguments of `Trainer`, of {len(arguments)}": found.arguments[TRAINER],
        "members of `Trainer`": _members(found, TRAINER),
        "members of `State`": _members(found, STATE),
        "members of its clock": _members(found, HELD[STATE, "timestamp"]),
        "algorithms as they are": _last(algorithms),
        "loggers as they are": _last(found.targets - algorithms),
        "classes that ours extend": _last(bases),
        "names that are set anew": _last(found.replaced & ours),
        "other classes, functions and values": _last(named - bases - found.targets - found.replaced),
    }
    head = "| what we use | how many | which |\n| --- | --- | --- |\n"
    rows = (
        f"| {kind} | {len(names)} | {', '.join(f'`{name}`' for name in sorted(names))} |"
        for kind, names in kinds.items()
    )
    return head + "\n".join(rows) + "\n\n" + _sizes({*ours, TRAINER})


def _members(found: Use, owner: str) -> set[str]:
    return {name.rpartition(".")[2] for name in found.members if name.rpartition(".")[0] == owner}


def _last(names: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}


def _sizes(names: Iterable[str]) -> str:
    files: dict[str, set[str]] = defaultdict(set)
    for name in names:
        found = locate(name)
        module = found.__name__ if inspect.ismodule(found) else getattr(found, "__module__", COMPOSER)
        is_file = not hasattr(importlib.import_module(module), "__path__")
        if is_file and module.startswith(f"{COMPOSER}."):
            files[".".join(module.split(".")[:2])].add(module)
    lines = {package: code_lines(modules) for package, modules in files.items()}
    rows = (f"| `{package}` | {len(files[package])} | {lines[package]:,} |" for package in sorted(files))
    head = "| package | files that hold them | lines of code in these |\n| --- | --- | --- |\n"
    return head + "\n".join(rows) + f"\n| all | {sum(map(len, files.values()))} | {sum(lines.values()):,} |"


if __name__ == "__main__":
    page = ROOT / "docs" / "architecture.md"
    page.write_text(
        re.sub(r"\| what we use \|.*?\n\| all \|[^\n]*", lambda _: tables(), page.read_text(), flags=re.DOTALL)
    )
