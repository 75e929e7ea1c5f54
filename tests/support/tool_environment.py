"""Environments of their own for tools that only one test needs, and whose packages would not go with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

UV = Path(sys.executable).with_name("uv")


def tool_environment(folder: Path, *requirements: str) -> Path:
    """The folder of programs of a new environment with these packages; skips the test where they cannot be had."""
    made = folder / "tools"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, made], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", made / "bin" / "python", *requirements]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(requirements)} cannot be installed: {done.stderr.strip()[-300:]}")
    return made / "bin"
