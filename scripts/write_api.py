"""Write docs/api.md from the docstrings of `resnet_exp.api`; with ``--check``, only say whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
HEAD = """\
# API

Written by `scripts/write_api.py` from the docstrings. [python.md](python.md) shows how the functions are used.

"""
# Classes that the functions return, after the functions.
RETURNED = (
    "resnet_exp.runs.result.Result",
    "resnet_exp.planning.run_plan.RunPlan",
    "resnet_exp.planning.sweep_plan.SweepPlan",
    "resnet_exp.planning.sweep_plan.RunOutlook",
    "resnet_exp.planning.known_ways.Answer",
    "resnet_exp.planning.known_ways.Way",
    "resnet_exp.inference.classifier.Classifier",
    "resnet_exp.inference.classifier.Prediction",
    "resnet_exp.inference.evaluation.Evaluated",
)
KINDS = griffe.DocstringSectionKind
TITLES = {KINDS.parameters: "Arguments", KINDS.attributes: "Attributes", KINDS.raises: "Raises"}


def page() -> str:
    """The whole page."""
    package = griffe.load("resnet_exp", search_paths=[ROOT], docstring_parser="google")
    api = package["api"]
    names = [str(name).strip("'\"") for name in api.exports or []]
    parts = [HEAD, *(_function(api[name]) for name in sorted(names))]
    parts += ["## What they return\n\n", *(_class(package[name.partition(".")[2]]) for name in RETURNED)]
    return "".join(parts).rstrip() + "\n"


def _function(function: griffe.Function) -> str:
    arguments = ", ".join(map(_argument, function.parameters))
    signature = f"{function.name}({arguments}) -> {function.returns}"
    return f"## {function.name}\n\n```python\n{signature}\n```\n\n{_sections(function)}"


def _argument(argument: griffe.Parameter) -> str:
    stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
    default = "" if argument.default is None or argument.kind in stars else f" = {argument.default}"
    return f"{stars.get(argument.kind, '')}{argument.name}: {argument.annotation}{default}"


def _class(one: griffe.Class) -> str:
    public = (member for name, member in one.members.items() if not name.startswith("_"))
    methods = [member for member in public if isinstance(member, griffe.Function)]
    listed = "".join(f"- `{_short(method)}`: {_first_line(method)}\n" for method in methods)
    fields = "" if _documents_attributes(one) else _fields(one)
    return f"### {one.name}\n\n{_sections(one)}{fields}{listed}" + "\n" * bool(listed)


def _short(method: griffe.Function) -> str:
    return f"{method.name}({', '.join(each.name for each in method.parameters if each.name != 'self')})"


def _first_line(one: griffe.Object) -> str:
    return "" if one.docstring is None else one.docstring.value.splitlines()[0]


def _documents_attributes(one: griffe.Object) -> bool:
    return one.docstring is not None and any(part.kind is KINDS.attributes for part in one.docstring.parsed)


def _fields(one: griffe.Class) -> str:
    found = [f"`{name}`" for name, member in one.members.items() if member.is_attribute and not name.startswith("_")]
    return f"Attributes: {', '.join(found)}.\n\n" if found else ""


def _sections(one: griffe.Object) -> str:
    assert one.docstring is not None, f"{one.path} has no docstring"
    return "".join(text for part in one.docstring.parsed for text in _section(part))


def _section(part: griffe.DocstringSection) -> Iterator[str]:
    if part.kind is KINDS.text:
        yield f"{_plain(part.value)}\n\n"
    elif part.kind is KINDS.returns:
        yield f"Returns: {' '.join(_plain(each.description) for each in part.value)}\n\n"
    elif part.kind in TITLES:
        yield f"{TITLES[part.kind]}:\n\n"
        for each in part.value:
            name = str(each.annotation if part.kind is KINDS.raises else each.name)
            yield f"- `{name}`: {_plain(each.description)}\n"
        yield "\n"


def _plain(text: str) -> str:
    """Docstrings mark code with two backquotes, and names of this package with one."""
    return " ".join(text.split()).replace("``", "`")


def main() -> int:
    """Command line; returns the exit code."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.stderr.write("docs/api.md is not what scripts/write_api.py writes; run it\n")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
