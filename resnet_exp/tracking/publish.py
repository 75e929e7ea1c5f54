"""Send workspace and report to Weights & Biases."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from resnet_exp.core import files
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import one_line
from resnet_exp.tracking.wandb_runs import TIMEOUT_SECONDS, end_client

if TYPE_CHECKING:
    from resnet_exp.tracking.workspace import View

# This many of the newest runs get the colors of their recipes.
MAX_COLORED = 1000


FIND = """
query FindView($entity: String!, $project: String!, $kind: String!, $name: String!) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $kind, viewName: $name) { edges { node { id name } } }
  }
}
"""


def write_definition(path: Path) -> None:
    """Write workspace and report to a file, as they would be sent to W&B for a project without runs.

    Raises:
        RequestError: the file cannot be written.
    """
    if path.is_dir():
        raise RequestError(f"--dry-run {path} is a folder; give a file")
    from resnet_exp.tracking import workspace

    with files.writing(f"--dry-run {path}", "give another file"):
        files.write_json(path, workspace.definition(workspace.views({})))


def publish(project: str) -> list[str]:
    """Create or update workspace and report of ``entity/project``; prints what was done and the addresses.

    Raises:
        RequestError: the project does not exist, or there is no login, no connection or no permission to write.
    """
    # Imported late: it takes a second, and a wrong request is answered at once.
    import wandb
    import wandb.errors
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    from resnet_exp.tracking import workspace

    try:
        api = wandb.Api(timeout=TIMEOUT_SECONDS)
        return [_publish(api, project, view) for view in workspace.views(_recipes(api, project))]
    except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
        # W&B raises many kinds of errors: no login, no such project, no network.
        end_client()
        raise RequestError(
            f"{project} cannot be written ({one_line(error):.200}); see wandb login and WANDB_BASE_URL"
        ) from error


def _recipes(api: Any, project: str) -> dict[str, str]:
    runs = api.runs(project, order="-created_at", per_page=500, lazy=True)
    return {run.id: run.job_type for run in itertools.islice(runs, MAX_COLORED)}


def _publish(api: Any, project: str, view: View) -> str:
    """Write one view."""
    from wandb_workspaces._graphql import execute_graphql, get_app_url
    from wandb_workspaces.reports.v2 import gql

    entity, _, name = project.partition("/")
    where = {"entity": entity, "project": name, "kind": view.kind, "name": view.name}
    found = execute_graphql(api, FIND, where)["project"]["allViews"]["edges"]
    known = next((edge["node"]["id"] for edge in found if edge["node"]["name"] == view.name), None)
    fields = {"id": known, "entityName": entity, "projectName": name, **view.fields()}
    sent = execute_graphql(api, gql.upsert_view, fields)["upsertView"]["view"]
    home = f"{get_app_url(api).rstrip('/')}/{quote(entity)}/{quote(name)}"
    return f"{'updated' if known else 'created'} {view.what} {home}{view.place(sent['id'])}"
