"""`resnet_exp.api`: what notebooks and programs use, in this process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from resnet_exp import api, plan
from resnet_exp.core.errors import RequestError, RunFailed, RunStopped
from resnet_exp.core.terminal.relay import Relay
from resnet_exp.launch.run import freeze_run
from resnet_exp.planning.known_ways import Answer
from resnet_exp.planning.run_plan import RunPlan
from resnet_exp.planning.sweep_plan import SweepPlan
from resnet_exp.reporting import table_files
from resnet_exp.runs.command import this_command
from resnet_exp.runs.folder import RunFolder
from support.paths import ROOT
from support.run_folders import result_of, write_run

HEAVY = ("torch", "composer", "numba", "hydra", "omegaconf", "pandas", "numpy", "matplotlib")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_import_is_light() -> None:
    program = f"import sys, resnet_exp.api; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_compose() -> None:
    config = api.compose("recipe=hot ssr=0.5 hardware=cpu")
    assert config == api.compose(["recipe=hot", "ssr=0.5", "hardware=cpu"])
    assert (
        config.run_id == "hot-ssr0.5-cpu-s17-b7037dc7"
        and config.command == "resnet_exp recipe=hot ssr=0.5 hardware=cpu"
    )
    assert config.folder.path == Path("runs").absolute() / str(config.run_id)
    for words, said in (
        ("recipe=none", "recipe=none is not available"),
        ("ssr=long", "ssr=long: use a number"),
        ("-m seed=1,2", "-m seed=1,2 is a sweep; compose its runs one by one"),
        ("--cfg job recipe=hot", "--cfg job recipe=hot asks for no run"),
        ("'recipe=hot", "'recipe=hot: No closing quotation; give a list of words"),
        (["--nope"], "--nope is not an option"),
    ):
        with pytest.raises(RequestError) as refused:
            api.compose(words)
        assert str(refused.value).startswith(said) and "\n" not in str(refused.value)


def test_plans_are_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    kinds: dict[str, type] = {
        "recipe=mild ssr=0.36 dataset=imagenet hardware=p4d.24xlarge": RunPlan,
        "-m recipe=mild,hot ssr=0.1 hardware=cpu": SweepPlan,
        "target_top1=0.766": Answer,
        "budget=30min dataset=imagenet": Answer,
    }
    made = {words: api.plan(words) for words in kinds}
    for words, kind in kinds.items():
        capsys.readouterr()
        assert plan.main(words.split()) == 0
        assert isinstance(made[words], kind) and f"{made[words]}\n" == capsys.readouterr().out
    run, sweep, target, budget = made.values()
    assert isinstance(run, RunPlan) and run.seconds and run.cost_usd and run.top1 == (0.766, 0.766)
    assert run.seconds[0] == pytest.approx(27.8 * 60, rel=0.01) and run.cost_usd[0] == pytest.approx(10.16, rel=0.001)
    assert run.batches == 20_000 and run.elsewhere.known[0].cost_usd < run.cost_usd and run.state.kind == "missing"
    assert isinstance(sweep, SweepPlan) and [each.run.config.recipe for each in sweep.runs] == ["mild", "hot"]
    assert isinstance(target, Answer) and {way.name for way in target.ways} == {"cheapest", "fastest"}
    assert isinstance(budget, Answer) and budget.ways[0].group.top1.mean == 0.766
    with pytest.raises(RequestError, match="budget= looks at all runs of runs_dir and is not for a sweep"):
        api.plan("-m budget=1h")


def test_results_are_a_table(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one", top1=0.5)
    write_run(tmp_path / "runs", "two", top1=0.75, hardware__usd_per_node_hour=None)
    stopped = RunFolder(tmp_path / "runs" / "three")
    freeze_run(api.compose("hardware=cpu run_id=three"), this_command())
    stopped.checkpoints.mkdir()
    table = api.results()
    assert tuple(table.columns) == table_files.COLUMNS and list(table["run_id"]) == ["one", "two"]
    assert list(table["top1"]) == [0.5, 0.75] and table["cost_usd"].isna().tolist() == [False, True]
    assert {kind: str(table[kind].dtype) for kind in ("top1", "seed", "dirty", "recipe", "tta")} == {
        "top1": "float64", "seed": "Int64", "dirty": "boolean", "recipe": "string", "tta": "string",
    }  # fmt: skip
    assert [row[:2] for row in table.attrs["unfinished"]] == [("three", "stopped")]
    assert len(api.results("runs", published=True)) > 100
    with pytest.raises(RequestError, match="none is not a folder"):
        api.results("none")


def test_each_column_is_documented() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    rows = re.findall(r"^\| (`[^|]+) \|", text[text.index("| column |") : text.index("## Errors")], re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert [name for name in listed if name in table_files.COLUMNS] == [*dict.fromkeys(listed)][
        : len(table_files.COLUMNS)
    ]
    assert set(table_files.COLUMNS) <= set(listed)


def test_a_finished_run_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = api.compose("hardware=cpu run_id=one data=synthetic")
    freeze_run(config, this_command())
    write_run(tmp_path / "other", "one")
    (tmp_path / "other" / "one" / "result.json").rename(config.folder.result)
    assert api.train(config).top1 == result_of("one")["top1"]
    said = capsys.readouterr().out
    assert "already done" in said and "note: " not in said
    api.train("hardware=cpu run_id=one data=synthetic seed=18 recipe=mild +algorithms=mixup")
    note = "note: it was trained with other settings (seed=17, not 18; algorithms.mixup"
    assert note in capsys.readouterr().out


@pytest.mark.parametrize("error", [RequestError("use another"), RunFailed("it ended"), RunStopped("go on")])
def test_errors_are_one_line_in_a_notebook(
    error: BaseException, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # IPython warns where it names another environment
    shell = InteractiveShell()
    try:
        raise error
    except BaseException:
        shell.showtraceback()
    assert capsys.readouterr().out.strip() == f"{type(error).__name__}: {error}"


def test_a_program_without_a_terminal_shows_what_rank_0_prints(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Relay()
    written = b"\r\x1b[Kstarting\r\x1b[Kepoch 1/2 |##| loss 1.0\r       \repoch 1/2  top-1 50%\n\repoch 2/2 |#"
    for part in (written[:30], written[30:55], written[55:]):
        with open(relay.descriptor, "wb", closefd=False) as rank:
            rank.write(part)
        relay.show()
    relay.close()
    assert capsys.readouterr().out == "epoch 1/2  top-1 50%\n"


def test_the_page_is_what_the_docstrings_say() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "write_api.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
