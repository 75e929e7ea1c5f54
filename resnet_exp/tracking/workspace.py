"""The workspace and the report that ``resnet_exp dashboard`` puts on Weights & Biases. No network.

Everything in them has a fixed id, so the same definition gives the same text: wandb-workspaces 0.4.13 would
use random ids, and has no setting for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wandb_workspaces import expr, workspaces
from wandb_workspaces.reports.v2 import interface as reports

from resnet_exp.loggers import metric_names
from resnet_exp.reporting import figures

# Internal names of the views, whatever their titles; the address of the workspace ends in `?nw=resnetexp`.
WORKSPACE, REPORT = "nw-resnetexp-v", "resnetexpreport"
# W&B's kinds of views.
WORKSPACE_KIND, REPORT_KIND = "project-view", "runs"
TITLE = "resnet_exp"
WORDS = (
    "Top-1 is the fraction of images that are classified correctly in one evaluation. Time covers training only, "
    "without evaluation and start-up. Cost is that time at the price that the run recorded."
)
FRONTIER_WORDS = (
    "Means over the seeds of each configuration of a sweep, as its launcher logged them when runs ended. Nothing is "
    "logged for runs submitted with hydra.launcher.wait=false: resnet_exp report makes the same table."
)
# W&B has one metric per device of a node; no preset of conf/hardware has more devices.
GPUS = 8
# W&B's default is ten.
MAX_RUNS = 100
# A panel of a report takes a share of 24 columns.
REPORT_COLUMNS = 24
SWEEP, NOT_SWEEP = (
    f'Metric("JobType") == "{metric_names.SWEEP_JOB}"',
    f'Metric("JobType") != "{metric_names.SWEEP_JOB}"',
)
COLUMNS = [
    "run:displayName", "run:jobType", "config:ssr.value", "config:model.value.name", "config:hardware.value.name",
    *(f"summary:{name}" for name in (metric_names.TOP1, metric_names.TRAIN_SECONDS, metric_names.COST)),
]  # fmt: skip


@dataclass(frozen=True)
class View:
    """A view as W&B stores it: its kind, its internal name, its title, and its content."""

    kind: str
    name: str
    title: str
    description: str
    spec: dict[str, object]

    @property
    def what(self) -> str:
        """What the view is called in messages."""
        return "workspace" if self.kind == WORKSPACE_KIND else "report"

    def fields(self) -> dict[str, str]:
        """The fields to send, under W&B's names."""
        shown = {"displayName": self.title, "description": self.description}
        return {"type": self.kind, "name": self.name, **shown, "spec": json.dumps(self.spec)}

    def place(self, view_id: str) -> str:
        """The view's address relative to the project's; `view_id` is W&B's id of it."""
        if self.kind == WORKSPACE_KIND:
            return f"?nw={self.name.removeprefix('nw-').removesuffix('-v')}"
        return f"/reports/{self.title.replace(' ', '-')}--{view_id.rstrip('=')}"


def views(recipes: Mapping[str, str]) -> list[View]:
    """The workspace and the report; `recipes` are the recipes of runs by run id, for the colors of their marks."""
    colors = {run_id: figures.COLORS[recipe] for run_id, recipe in recipes.items() if recipe in figures.COLORS}
    return [_workspace(colors), _report(colors)]


def definition(found: Sequence[View]) -> dict[str, object]:
    """The views as written to a file."""
    return {view.what: asdict(view) for view in found}


def _workspace(colors: Mapping[str, str]) -> View:
    sections = {
        "Frontier": _frontier(),
        "Curves per recipe": _curves(),
        "Throughput and data wait": _throughput(),
        "Schedule": _schedule(),
        "System": _system(),
    }
    for name, panels in sections.items():
        _name_panels(name, panels)
    workspace = workspaces.Workspace(
        # The project is set when it is sent: the content is the same for all projects.
        entity="",
        project="",
        name=TITLE,
        sections=[
            workspaces.Section(
                name=name,
                panels=panels,
                is_open=True,
                layout_settings=workspaces.SectionLayoutSettings(columns=2, rows=-(-len(panels) // 2)),
            )
            for name, panels in sections.items()
        ],
        settings=workspaces.WorkspaceSettings(max_runs=MAX_RUNS),
        runset_settings=workspaces.RunsetSettings(
            filters=NOT_SWEEP,
            order=[expr.Ordering(expr.Summary(metric_names.TOP1), ascending=False)],
            pinned_columns=[*COLUMNS],
            run_settings={run_id: workspaces.RunSettings(color=color) for run_id, color in colors.items()},
        ),
    )
    workspace._internal_runset_id = WORKSPACE
    return View(WORKSPACE_KIND, WORKSPACE, TITLE, "", _spec(workspace._to_model().spec))


def _report(colors: Mapping[str, str]) -> View:
    blocks: list[Any] = [
        reports.H1("The frontier"),
        reports.P(FRONTIER_WORDS),
        _sweeps(),
        reports.H1("The runs"),
        reports.P(WORDS),
        _runs(colors),
    ]
    report = reports.Report(
        entity="", project="", title=f"{TITLE} frontier", description=WORDS, width="fluid", blocks=blocks
    )
    return View(REPORT_KIND, REPORT, report.title, report.description, _spec(report._to_model().spec))


def _sweeps() -> reports.PanelGrid:
    """Panels of what the parents of sweeps logged."""
    panels = [
        reports.WeavePanelSummaryTable(
            table_name=metric_names.FRONTIER_TABLE, layout=reports.Layout(w=REPORT_COLUMNS, h=9)
        ),
        reports.MediaBrowser(
            title="Top-1 against time and cost",
            media_keys=[metric_names.FRONTIER_PICTURE],
            num_columns=1,
            layout=reports.Layout(y=9, w=REPORT_COLUMNS, h=12),
        ),
    ]
    _name_panels("Frontier of sweeps", panels)
    return reports.PanelGrid(runsets=[_runset("Sweeps", SWEEP)], panels=panels)


def _runs(colors: Mapping[str, str]) -> reports.PanelGrid:
    """Panels of the runs themselves, with a table below."""
    panels = [*_frontier(), *_curves()]
    half = REPORT_COLUMNS // 2
    for number, panel in enumerate(panels):
        panel.layout = reports.Layout(x=number % 2 * half, y=number // 2 * 8, w=half, h=8)
    _name_panels("Runs", panels)
    best = [reports.OrderBy(reports.SummaryMetric(metric_names.TOP1), ascending=False)]
    own_colors: dict[Any, Any] = dict(colors)
    return reports.PanelGrid(
        runsets=[_runset("Runs", NOT_SWEEP, order=best, pinned_columns=[*COLUMNS])],
        panels=panels,
        custom_run_colors=own_colors,
    )


def _runset(name: str, filters: str, **more: Any) -> reports.Runset:
    # Without a project, it uses the report's.
    runset = reports.Runset(name=name, filters=filters, **more)
    runset._id = f"{REPORT}-{name.lower()}"
    return runset


def _frontier() -> list[Any]:
    return [
        reports.ScatterPlot(title=title, x=reports.SummaryMetric(name), y=reports.SummaryMetric(metric_names.TOP1))
        for title, name in (
            ("Top-1 against training time (s)", metric_names.TRAIN_SECONDS),
            ("Top-1 against cost ($)", metric_names.COST),
        )
    ]


def _curves() -> list[Any]:
    return [
        _means("Top-1 against epochs", metric_names.EPOCH, "epoch"),
        _means("Top-1 against training time", metric_names.TRAIN_SECONDS, "training time (s)"),
    ]


def _means(title: str, x: str, x_title: str) -> reports.LinePlot:
    return _line(
        title,
        x,
        x_title,
        [metric_names.TOP1],
        groupby=reports.Metric("JobType"),
        groupby_aggfunc="mean",
        # Show the curve of each run behind the mean, because runs of a recipe differ in length.
        groupby_rangefunc="samples",
    )


def _throughput() -> list[Any]:
    return [
        _batches("Images a second", metric_names.IMAGES_PER_SECOND),
        _batches("Share of the time that waits for data", metric_names.DATA_WAIT_SHARE),
    ]


def _schedule() -> list[Any]:
    return [
        _batches("Learning rate", metric_names.LEARNING_RATE),
        _batches("Side of the images (pixels)", metric_names.IMAGE_SIZE),
        _batches("Training loss", metric_names.LOSS),
        _line("Evaluation loss", metric_names.EPOCH, "epoch", [metric_names.EVAL_LOSS]),
    ]


def _system() -> list[Any]:
    return [
        _over_time("GPU utilization (%)", [f"system/gpu.{number}.gpu" for number in range(GPUS)]),
        _batches("GPU memory in use (GiB)", metric_names.GPU_MEMORY),
        _over_time("CPU utilization (%)", ["system/cpu"]),
        _over_time("Memory in use (%)", ["system/memory"]),
    ]


def _batches(title: str, name: str) -> reports.LinePlot:
    return _line(title, metric_names.BATCH, "batch", [name])


def _over_time(title: str, names: list[str]) -> reports.LinePlot:
    return _line(title, "RelativeTime(Process)", "time (s)", names)


def _line(title: str, x: str, x_title: str, names: list[str], **more: Any) -> reports.LinePlot:
    return reports.LinePlot(
        title=title, x=x, title_x=x_title, y=[*names], max_runs_to_show=MAX_RUNS, smoothing_type="none", **more
    )


def _name_panels(section: str, panels: Sequence[Any]) -> None:
    for number, panel in enumerate(panels):
        panel._id = f"{section.lower().replace(' ', '-')}-{number}"


def _spec(model: Any) -> dict[str, object]:
    """The content of a view as W&B's library sends it."""
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
