"""Join the JavaScript modules of a page into one script: a page that is opened from disk cannot load modules.

Every module is a file with named imports and exports at the start of a line. In the script they share one scope, each
after those that it imports, so imports and exports can be dropped; the conditions for that are checked.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |const |class )", re.MULTILINE)
# Lines that cannot be joined into one scope.
REFUSED = re.compile(r"^(?:import|export|var)\b.*|^(?:const|let) \W.*|.*</script.*", re.MULTILINE)
NAME = re.compile(r"^(?:async )?(?:function|const|let|class) ([\w$]+)", re.MULTILINE)


def join_modules(folder: Path, main: str) -> str:
    """The script of `main` and everything it imports, as the content of ``<script type="module">``.

    Raises:
        ValueError: modules import each other, define the same name, or have a line that cannot be joined.
        FileNotFoundError: a module imports a file that does not exist.
    """
    sources: dict[str, str] = {}
    imports: dict[str, list[str]] = {}
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = (folder / name).read_text(encoding="utf-8")
            imports[name] = [posixpath.normpath(f"{name}/../{path}") for path in IMPORT.findall(sources[name])]
            waiting += imports[name]
    parts = [f"// {name}\n{_body(name, sources[name])}" for name in TopologicalSorter(imports).static_order()]
    script = "\n".join(parts)
    if twice := [name for name, count in Counter(NAME.findall(script)).items() if count > 1]:
        raise ValueError(f"{', '.join(twice)}: defined by more than one module")
    return script


def _body(name: str, source: str) -> str:
    body = EXPORT.sub("", IMPORT.sub("", source)).strip() + "\n"
    if refused := REFUSED.search(body):
        raise ValueError(f"{name} has a line that cannot be joined: {refused[0]}")
    return body
