"""Write the FFCV files of a dataset ahead of its first run: ``python -m resnet_exp.convert dataset=... ``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp import cli, commands, console, launch, tree
from resnet_exp.data import ffcv_files, file_manifest, sources
from resnet_exp.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.footprint import size

HELP = """\
Writes the FFCV files of an image folder, train and val, that every run with the same data.* settings then uses.

  python -m resnet_exp.convert dataset=imagefolder dataset.dir=PATH
  python -m resnet_exp.convert dataset=imagenet dataset.dir=PATH data.loader.write_mode=raw
  python -m resnet_exp.convert dataset=imagenet dataset.dir=PATH on_error=skip max_skipped=20
  python -m resnet_exp.convert dataset=imagenet dataset.dir=PATH verify=true

  data.loader.write_mode=proportion|raw|jpg   pixels, JPEG, or JPEG for data.loader.compress_probability of the images
  data.loader.max_resolution=500              longest side in pixels; null keeps every size
  data.loader.jpeg_quality=90
  data.cache_dir=PATH                         where the files go
  on_error=stop|skip                          what an image does that cannot be converted; stop, unless said otherwise
  max_skipped=100                             with on_error=skip: more than so many stop the conversion after all
  verify=true                                 writes nothing: checks every byte of the files, and every image's state

A conversion that was interrupted goes on when the same command is given again. docs/data.md says what becomes of each
kind of image, and what is in the manifest beside each file.

Exit code: 0 done, 1 an image cannot be converted, the disk filled up, or a file is damaged, 2 the request is wrong."""
ON_ERROR, MAX_SKIPPED, VERIFY = "on_error", "max_skipped", "verify"
DEFAULT_MAX_SKIPPED = 100


def main() -> int:
    """Command line; returns the exit code."""
    if any(word in ("-h", "--help") for word in sys.argv[1:]):
        console.say(HELP)
        return EXIT_DONE
    words = commands.take_words(ON_ERROR, MAX_SKIPPED, VERIFY)
    try:
        most_skipped = _most_skipped(words)
        verifies = _choice(words, VERIFY, ("false", "true")) == "true"
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    return cli.run_hydra(verify if verifies else partial(convert, most_skipped=most_skipped))


def _choice(words: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = words.get(name, allowed[0])
    if value not in allowed:
        raise RequestError(f"{name}={value} is unknown; use {' or '.join(allowed)}")
    return value


def _most_skipped(words: dict[str, str]) -> int:
    if _choice(words, ON_ERROR, ("stop", "skip")) == "stop":
        if MAX_SKIPPED in words:
            raise RequestError(f"{MAX_SKIPPED}={words[MAX_SKIPPED]} is for {ON_ERROR}=skip; add that or leave it out")
        return 0
    number = words.get(MAX_SKIPPED, str(DEFAULT_MAX_SKIPPED))
    if not number.isdecimal() or int(number) < 1:
        raise RequestError(f"{MAX_SKIPPED}={number}: use a number of images, 1 or more")
    return int(number)


def convert(config: dict[str, Any], most_skipped: int = 0) -> int:
    """Write the files that a run of this configuration would write, and say how to name them.

    Args:
        config: of `resnet_exp.check.finalize`.
        most_skipped: so many images that cannot be converted are left out.

    Raises:
        RequestError: the configuration's data format is not FFCV, or its dataset is of no use.
        RunFailed: the conversion failed.
    """
    files = _files(config)
    # A training batch is of no concern here, nor are its default 2,048 images to a smaller dataset.
    launch.prepare_data({**config, "train_batch_size": 1}, most_skipped)
    for split in tree.SPLITS:
        path = ffcv_files.split_file(config["dataset"]["dir"] or "", split, files)
        console.say(f"data.loader.{split}_file={path}  ({path.stat().st_size / 2**20:,.1f} MiB)")
    return EXIT_DONE


def verify(config: dict[str, Any]) -> int:
    """Check every byte of the files of this configuration, and every image that they were made from.

    Raises:
        RequestError: there is no such file, or no manifest to check it against.
    """
    files = _files(config)
    root = config["dataset"]["dir"] or ""
    due = []
    for split in tree.SPLITS:
        path = ffcv_files.split_file(root, split, files)
        if not path.is_file():
            raise RequestError(
                f"{path} does not exist: there is nothing to verify; convert first, without {VERIFY}=true"
            )
        due.append((path, None if files[f"{split}_file"] is not None else Path(root) / split))
    return max(_verify_file(path, folder) for path, folder in due)


def _verify_file(path: Path, folder: Path | None) -> int:
    try:
        manifest = file_manifest.read(path)
        if manifest is None:
            raise RequestError(f"{path} has no manifest to verify it against; convert the dataset again")
        whole = size(manifest.file_bytes)
        file_manifest.check_fully(
            path, manifest, lambda done: console.status(f"{path.name}: {size(done)} of {whole} checked")
        )
        if folder is not None:
            file_manifest.check_all_sources(path, manifest, sources.of_split(folder))
    except file_manifest.Differs as error:
        console.complain(str(error))
        return EXIT_FAILED
    skipped = f", {len(manifest.skipped)} images were skipped when it was written" if manifest.skipped else ""
    console.say(f"{path}: whole, {manifest.images:,} images of {len(manifest.classes)} classes, {whole}{skipped}")
    return EXIT_DONE


def _files(config: dict[str, Any]) -> dict[str, Any]:
    files = ffcv_files.settings_of(config["data"])
    if files is None:
        raise RequestError(f"data={config['data']['name']} is not converted; use data=ffcv")
    return files


if __name__ == "__main__":
    sys.exit(main())
