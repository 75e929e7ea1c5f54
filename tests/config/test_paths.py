"""Paths with characters that mean something to a shell, Hydra or OmegaConf, and those with ``~`` and ``$NAME``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from resnet_exp import cli, convert, dashboard, plan, plot, report, status
from resnet_exp.config.overrides.command_line import words_of
from resnet_exp.core.terminal.text import setting
from resnet_exp.launch.config_file import read_config
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from support.commands import TINY
from support.photos import write_photos
from support.run_folders import write_run
from support.warm import WarmPython

ODD = 'год #1, year=2019 [a] {b} ${x} it\'s ("q") \\ $5'
UNSET = "the variable NO_SUCH_NAME is not set; set it, or name the path"
NO_CHECKPOINT = "no checkpoint can be kept below a folder with {!r} in its name; set runs_dir=PATH"
LINES = {
    "dataset.dir=/data/year=2019": "'dataset.dir=\"/data/year=2019\"'",
    "dataset.dir=/data/#1": "'dataset.dir=\"/data/#1\"'",
    "dataset.dir=/data/a[1]": "'dataset.dir=\"/data/a[1]\"'",
    "runs_dir=~/runs": "'runs_dir=\"~/runs\"'",
    "data.cache_dir=/кэш": "'data.cache_dir=\"/кэш\"'",
    "data.cache_dir=/it's": """'data.cache_dir="/it'"'"'s"'""",
    "+data.loader.val_file=/a{b}": "'+data.loader.val_file=\"/a{b}\"'",
}


@pytest.mark.parametrize(
    "path",
    [
        *("/data/year=2019", "/it's", '/a"b', '/it\'s "x"', "/a\\b", '/a\\"b', "/a\\", '/a\\\\"b"\\', "/a/${x}"),
        *("/a/$x", "~/x", "/my data", "/a,b", "/a#1", "/a[1]", "/a(1)", "/a{b}", "/a/b", "/a:b", "/год", "null", "1"),
        *(" /a ", "", "/a&b;c<d>e|f*g?h!i`j%k~l@m^n+o", f"/{ODD}"),
    ],
)
def test_a_setting_is_read_as_it_was_meant(path: str) -> None:
    (word,) = shlex.split(setting("dataset.dir", path))
    (override,) = OverridesParser.create().parse_overrides([word])
    assert OmegaConf.create({"dir": override.value()}).dir == path


def test_plain_settings_are_not_quoted() -> None:
    assert setting("data.cache_dir", "/data/my-cache_1.0") == "data.cache_dir=/data/my-cache_1.0"


@pytest.mark.parametrize("word", LINES)
def test_what_hydra_cannot_read_is_shown_quoted(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = f"{word} cannot be read as key=value; if its value is one text, write {LINES[word]}\n"
    for main in (cli.main, plan.main, convert.main):
        assert main(["hardware=cpu", word]) == 2
        assert capfd.readouterr().err == line


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "dataset.dir=/data/a,b",
            "dataset.dir=/data/a,b is several values; add -m before it for a run with each, or write "
            "'dataset.dir=\"/data/a,b\"'",
        ),
        (
            'runs_dir="~nobody_here/runs"',
            "runs_dir=~nobody_here/runs: there is no user nobody_here; write ./~nobody_here for a folder of that name",
        ),
        ("runs_dir=$NO_SUCH_NAME/runs", f"runs_dir=$NO_SUCH_NAME/runs: {UNSET}"),
        ("data.cache_dir=$NO_SUCH_NAME", f"data.cache_dir=$NO_SUCH_NAME: {UNSET}"),
        ("data.loader.train_file=$NO_SUCH_NAME", f"data.loader.train_file=$NO_SUCH_NAME: {UNSET}"),
        ('runs_dir="/runs/#1"', f"runs_dir=/runs/#1: {NO_CHECKPOINT.format('#')}"),
        ('runs_dir="/runs/\\${x}"', f"runs_dir=/runs/${{x}}: {NO_CHECKPOINT.format('{')}"),
    ],
)
def test_paths_of_no_use_are_refused(word: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    for main in (cli.main, plan.main):
        assert main(["hardware=cpu", word]) == 2
        assert capfd.readouterr().err == f"{said}\n"


@pytest.mark.filterwarnings("ignore:Pydantic V1 style")  # of W&B's package for workspaces
def test_options_may_name_places_at_home(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Where Matplotlib keeps what it knows of fonts: at home, and so below `tmp_path` if this test is its first user.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert plan.main(["hardware=cpu", 'runs_dir="~/runs"', "picture=~/mild.svg"]) == 0
    assert (tmp_path / "mild.svg").exists()
    assert "folder     runs/mild" in capfd.readouterr().out
    write_run(tmp_path / "runs", "mine")
    assert status.main(["~/runs"]) == 0
    assert report.main(["~/runs", "--output=~/report"]) == 0
    assert plot.main(["~/runs/mine", "--output=$PLACE/curves.svg"]) == 0
    assert dashboard.main(["me/project", "--dry-run=~/board.json"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("mild.svg", "runs", "report", "curves.svg", "board.json"),
    }


@pytest.mark.usefixtures("compiled")
def test_a_run_of_odd_paths_trains_and_its_command_repeats_it(tmp_path: Path, warm_training: WarmPython) -> None:
    photos = write_photos(tmp_path / ODD)
    environ = {**os.environ, "HOME": str(tmp_path / "home"), "PLACE": str(tmp_path / "my runs")}
    words = [
        *TINY, "data=imagefolder", "dataset=imagefolder", *shlex.split(setting("dataset.dir", photos)),
        'runs_dir="$PLACE/year=2019, [a] it\'s"', 'data.cache_dir="~/cache"', "run_id=mine",
    ]  # fmt: skip
    done = warm_training.run(["resnet_exp", *words], tmp_path, environ)
    assert (done.returncode, done.stderr) == (0, "")
    run = RunFolder(tmp_path / "my runs" / "year=2019, [a] it's" / "mine")
    result, config = read_result(run), read_config(run)
    assert result is not None and result.command is not None
    assert config.dataset.dir == str(photos) and config.data.cache_dir == str(tmp_path / "home" / "cache")
    assert not (tmp_path / "~").exists()
    again = warm_training.run(["resnet_exp", *words_of(result.command)], tmp_path, environ)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"already done: {run.path}")
    shared = [word for word in words_of(result.command) if not word.startswith("run_id=")]
    several = warm_training.run(["resnet_exp.plan", "-m", *shared, "seed=1,2"], tmp_path, environ)
    assert (several.returncode, several.stderr) == (0, "")
