"""Write the FFCV files of a dataset ahead of its first run: ``python -m resnet_exp.convert dataset=... ``."""

from __future__ import annotations

import sys
from typing import Any

from resnet_exp import cli, console, launch, tree
from resnet_exp.data import ffcv_files
from resnet_exp.errors import EXIT_DONE, RequestError


def convert(config: dict[str, Any]) -> int:
    """Write the files that a run of this configuration would write, and say how to name them.

    Raises:
        RequestError: the configuration's data format is not FFCV, or its dataset is of no use.
        RunFailed: the conversion failed.
    """
    files = ffcv_files.settings_of(config["data"])
    if files is None:
        raise RequestError(f"data={config['data']['name']} is not converted; use data=ffcv")
    # A training batch is of no concern here, nor are its default 2,048 images to a smaller dataset.
    launch.prepare_data({**config, "train_batch_size": 1})
    for split in tree.SPLITS:
        path = ffcv_files.split_file(config["dataset"]["dir"] or "", split, files)
        console.say(f"data.loader.{split}_file={path}  ({path.stat().st_size / 2**20:,.1f} MiB)")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(cli.run_hydra(convert))
