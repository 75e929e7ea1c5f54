"""``python -m resnet_exp``."""

import sys

from resnet_exp import cli
from resnet_exp.core.terminal import program


def main() -> int:
    """The program ``resnet_exp``; returns its exit code."""
    return program.run(cli.main)


if __name__ == "__main__":
    sys.exit(main())
