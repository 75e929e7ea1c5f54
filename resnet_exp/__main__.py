"""``python -m resnet_exp``."""

import sys

from resnet_exp.cli import main

if __name__ == "__main__":
    sys.exit(main())
