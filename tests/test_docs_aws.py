"""The walk through docs/aws.md: AWS's own command line against a simulated account, from the key to the teardown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from support.docs_blocks import shell_blocks
from support.paths import ROOT
from support.tool_environment import tool_environment

PAGE = ROOT / "docs" / "aws.md"
# What the simulated account does not have: these are read by the command line alone, which answers with a sample.
READ_ONLY = ("service-quotas", "ssm")
PROGRAM = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case " {alone} " in *" $1 "*) exec '{aws}' "$@" --generate-cli-skeleton output ;; esac
exec '{aws}' "$@"
"""


def typed() -> list[str]:
    """The lines of the page that need an account, and nothing else."""
    needs = [block for block in shell_blocks(PAGE) if "Needs an AWS account" in (block.reason or "")]
    return [line for block in needs for line in block.commands]


def test_every_line_of_the_command_line_is_walked() -> None:
    told = [line for block in shell_blocks(PAGE) for line in block.commands if re.search(r"\baws [a-z]", line)]
    # One is typed on the machine, where there are no credentials of an account but a role.
    assert len(told) > 20 and [line for line in told if line not in typed()] == [
        'aws s3 sync "s3://$BUCKET/tars" /opt/dlami/nvme/tars'
    ]


@pytest.fixture
def account() -> Iterator[str]:
    """The address of a simulated account."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.soak
def test_the_walk(account: str, tmp_path: Path) -> None:
    programs, calls = tool_environment(tmp_path, "awscli<2"), tmp_path / "calls"
    wrapper = tmp_path / "bin" / "aws"
    wrapper.parent.mkdir()
    wrapper.write_text(PROGRAM.format(alone=" ".join(READ_ONLY), aws=programs / "aws"))
    wrapper.chmod(0o755)
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "ILSVRC2012_img_val.tar").write_text("images")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CALLS": str(calls),
        "AWS_ENDPOINT_URL": account,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    script = "\n".join(["set -eu", *typed(), 'echo "machine: $ID at $HOST"'])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, f"{calls.read_text()}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert re.search(r"^machine: i-\w+ at \d+\.\d+\.\d+\.\d+$", done.stdout, re.MULTILINE)
    assert "BEGIN RSA PRIVATE KEY" in (tmp_path / "resnet.pem").read_text()
    assert "upload: tars/ILSVRC2012_img_val.tar" in done.stdout
    # Nothing is left at the end of the teardown, which the page has before the spot machine.
    assert re.search(r"^remove_bucket: my-imagenet\n\[\]\n", done.stdout, re.MULTILINE)
    assert "run-instances" in shlex.split(calls.read_text().splitlines()[-1])
    assert '"InstanceLifecycle": "spot"' in done.stdout
