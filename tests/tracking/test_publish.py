"""Workspace and report on Weights & Biases: their definition, and what W&B's real client sends of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_exp import dashboard
from resnet_exp.loggers import metric_names
from support.loopback import Loopback

# Written anew by: resnet_exp dashboard me/project --dry-run tests/tracking/dashboard.json
DEFINITION = Path(__file__).parent / "dashboard.json"
NOBODY = "http://127.0.0.1:9"
LOGIN = "0" * 40


class Wandb(Loopback):
    """As much of W&B as the command asks: keeps views, and says which runs there are.

    Attributes:
        views: by id; what the client sent of each.
        runs: job types by run id; None where there is no such project.
        refusal: what every request to write is answered, if anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, str] | None = {}
        self.refusal: str | None = None

    def answer(self, path: str, body: bytes) -> tuple[int, object]:
        asked = json.loads(body)
        return 200, self.graphql(asked["query"], asked.get("variables") or {})

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The answer to a GraphQL request, as W&B's service gives it."""
        if "upsertView" in query:
            if self.refusal:
                return {"errors": [{"message": self.refusal}], "data": None}
            return {"data": {"upsertView": self.upsert(variables)}}
        if "allViews" in query:
            edges = [
                {"node": {"id": id, "name": view["name"]}}
                for id, view in self.views.items()
                if view["type"] == variables["kind"]
            ]
            return {"data": {"project": {"allViews": {"edges": edges}}}}
        if "query Runs" in query:
            return {"data": {"project": None if self.runs is None else self.page(self.runs)}}
        return {"data": {"viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": None}}}

    def upsert(self, view: dict[str, Any]) -> dict[str, Any]:
        known = view.pop("id")
        id = known or f"VmlldzoxMjM0{len(self.views)}=="
        self.views[id] = view
        return {"view": {"id": id, **view}, "inserted": known is None}

    def page(self, runs: dict[str, str]) -> dict[str, Any]:
        edges = [{"cursor": name, "node": node(name, job_type)} for name, job_type in runs.items()]
        known = {"internalId": "1", "runCount": len(edges), "readOnly": False}
        return {**known, "runs": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}}


def node(name: str, job_type: str) -> dict[str, Any]:
    """A run as W&B's service describes it in a list."""
    empty = dict.fromkeys(("heartbeatAt", "commit", "group", "description", "notes", "historyKeys", "sweepName"))
    known = {"id": name, "name": name, "displayName": name, "state": "finished", "createdAt": "2026-11-01T00:00:00"}
    user = {"name": "me", "username": "me"}
    return {**empty, **known, "jobType": job_type, "tags": [], "readOnly": False, "projectId": "1", "user": user}


@pytest.fixture
def wandb() -> Iterator[Wandb]:
    with Wandb().running() as server:
        yield server


def call(folder: Path, *words: str, address: str = NOBODY, login: str | None = LOGIN) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    environ = {"WANDB_BASE_URL": address, "WANDB_ERROR_REPORTING": "false", "NO_PROXY": "127.0.0.1"}
    places = {"HOME": str(folder), "WANDB_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    key = {"WANDB_API_KEY": login} if login else {}
    done = subprocess.run(
        [sys.executable, "-m", "resnet_exp.dashboard", *words],
        cwd=folder,
        env={**environ, **places, **key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_definition_is_the_checked_one(tmp_path: Path) -> None:
    """Without network and login, in a process of its own: what is drawn by chance differs between two."""
    assert call(tmp_path, "me/project", "--dry-run", "out.json", login=None) == (0, "wrote out.json\n", "")
    assert (tmp_path / "out.json").read_text() == DEFINITION.read_text()


def test_sections_and_what_they_show() -> None:
    section = json.loads(DEFINITION.read_text())["workspace"]["spec"]["section"]
    shown = {one["name"]: one["panels"] for one in section["panelBankConfig"]["sections"]}
    assert list(shown) == ["Frontier", "Curves per recipe", "Throughput and data wait", "Schedule", "System"]
    scatter = [(panel["config"]["xAxis"], panel["config"]["yAxis"]) for panel in shown.pop("Frontier")]
    top1 = f"summary:{metric_names.TOP1}"
    assert scatter == [(f"summary:{metric_names.TRAIN_SECONDS}", top1), (f"summary:{metric_names.COST}", top1)]
    curves = [panel["config"] for panel in shown["Curves per recipe"]]
    assert [curve["xAxis"] for curve in curves] == [metric_names.EPOCH, metric_names.TRAIN_SECONDS]
    assert {curve["groupBy"] for curve in curves} == {"jobType"} and all(curve["aggregate"] for curve in curves)
    lines = [(name, panel["config"]["xAxis"]) for panels in shown.values() for panel in panels
             for name in panel["config"]["metrics"]]  # fmt: skip
    logged = {(name, metric_names.BATCH) for name in metric_names.BATCH_METRICS}
    assert logged <= set(lines)
    assert {name for name, _ in lines if not name.startswith("system/")} <= {
        *metric_names.BATCH_METRICS, *metric_names.EVAL_METRICS,
    }  # fmt: skip


def test_the_report_has_table_and_picture_of_sweeps() -> None:
    blocks = json.loads(DEFINITION.read_text())["report"]["spec"]["blocks"]
    sweeps, runs = (block["metadata"] for block in blocks if block["type"] == "panel-grid")
    wanted = [(sweeps, "=", ["Weave", "Media Browser"]), (runs, "!=", ["Scatter Plot", "Scatter Plot",
              "Run History Line Plot", "Run History Line Plot"])]  # fmt: skip
    for grid, operator, kinds in wanted:
        (chosen,) = grid["runSets"][0]["filters"]["filters"]
        assert (chosen["key"]["name"], chosen["op"], chosen["value"]) == ("jobType", operator, metric_names.SWEEP_JOB)
        assert [panel["viewType"] for panel in grid["panelBankSectionConfig"]["panels"]] == kinds
    table, picture = sweeps["panelBankSectionConfig"]["panels"]
    assert f'"val": "{metric_names.FRONTIER_TABLE}"' in json.dumps(table)
    assert picture["config"]["mediaKeys"] == [metric_names.FRONTIER_PICTURE]


@pytest.mark.slow
def test_a_second_call_updates_what_the_first_one_created(tmp_path: Path, wandb: Wandb) -> None:
    own = {"type": "project-view", "name": "nw-abc-v", "displayName": "resnet_exp", "spec": "{}"}
    wandb.views["own"] = dict(own)
    wandb.runs = {"mild-1": "mild", "other-1": "somebody's"}
    code, out, errors = call(tmp_path, "me/project", address=wandb.address)
    assert (code, errors) == (0, "")
    lines = [
        f"created workspace {wandb.address}/me/project?nw=resnetexp",
        f"created report {wandb.address}/me/project/reports/resnet_exp-frontier--VmlldzoxMjM02",
    ]
    assert out.splitlines() == lines
    first = {id: dict(view) for id, view in wandb.views.items()}

    again = call(tmp_path, "me/project", address=wandb.address)
    assert again == (0, out.replace("created", "updated"), "")
    assert wandb.views == first and wandb.views["own"] == own and len(first) == 3

    wandb.runs["hot-1"] = "hot"
    assert call(tmp_path, "me/project", address=wandb.address)[0] == 0
    assert list(wandb.views) == list(first) and wandb.views != first


@pytest.mark.slow
def test_what_is_sent_is_the_definition_and_the_colors(tmp_path: Path, wandb: Wandb) -> None:
    wandb.runs = {"mild-1": "mild", "other-1": "somebody's"}
    assert call(tmp_path, "me/project", address=wandb.address)[0] == 0
    expected = json.loads(DEFINITION.read_text())
    colors = {"mild-1": "#0072B2"}
    expected["workspace"]["spec"]["section"]["customRunColors"] = colors
    expected["report"]["spec"]["blocks"][6]["metadata"]["customRunColors"] = colors
    for sent, view in zip(wandb.views.values(), expected.values(), strict=True):
        assert (sent["entityName"], sent["projectName"]) == ("me", "project")
        assert (sent["type"], sent["name"], sent["displayName"]) == (view["kind"], view["name"], view["title"])
        assert json.loads(sent["spec"]) == view["spec"]


@pytest.mark.parametrize("project", ["project", "me/project/more", "me/", "/project", "", "me/my project"])
def test_no_project_is_named(project: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main([project]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{project}: use ENTITY/PROJECT\n")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (".", "is a folder; give a file"),
        ("no/file.json", "cannot be written (No such file or directory); give another file"),
    ],
)
def test_the_file_cannot_be_written(tmp_path: Path, file: str, said: str) -> None:
    assert call(tmp_path, "me/project", "--dry-run", file) == (2, "", f"--dry-run {file} {said}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_wandb_refuses(tmp_path: Path, wandb: Wandb) -> None:
    """No login, no such project, no right to write, no network: one line each, and nothing is written."""
    wandb.refusal = "permission denied"
    refused = call(tmp_path, "me/project", address=wandb.address)
    wandb.runs = None
    missing = call(tmp_path, "me/project", address=wandb.address)
    found = [refused, missing, call(tmp_path, "me/project", login=None), call(tmp_path, "me/project")]
    reasons = ("permission denied", "Could not find project project", "No API key configured", "Failed to verify")
    for (code, out, errors), reason in zip(found, reasons, strict=True):
        assert (code, out) == (2, "") and len(errors.splitlines()) == 1, errors
        assert errors.startswith("me/project cannot be written (") and reason in errors
    assert wandb.views == {}


def test_neither_torch_nor_hydra_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from resnet_exp import dashboard; "
        f"code = dashboard.main(['me/project', '--dry-run', {str(tmp_path / 'out.json')!r}]); "
        "print(code, [name for name in ('torch', 'hydra', 'omegaconf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "0 []"
