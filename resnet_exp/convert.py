"""Convert a dataset ahead of its first run: ``resnet_exp convert dataset=... ``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from resnet_exp import cli
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import DataConfig, RunConfig
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import byte_size, plural, setting
from resnet_exp.data import formats
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.images import image_tree
from resnet_exp.data.streaming import upload as mds_upload
from resnet_exp.data.streaming.files import MDSShards
from resnet_exp.launch.prepare import prepare_data

HELP = """\
Converts an image folder, train and val, to FFCV files or MDS shards that every run with the same data.* settings uses.

  resnet_exp convert dataset.dir=PATH
  resnet_exp convert dataset=imagenet dataset.dir=PATH data.loader.write_mode=raw
  resnet_exp convert dataset=imagenet dataset.dir=PATH on_error=skip max_skipped=20
  resnet_exp convert dataset=imagenet dataset.dir=PATH verify=true
  resnet_exp convert dataset=imagenet dataset.dir=PATH data=streaming data.loader.remote=s3://BUCKET/FOLDER

  data.loader.write_mode=raw|jpg|proportion   pixels, JPEG, or JPEG for data.loader.compress_probability of the images
  data.loader.write_mode=source               the JPEGs of the files, of every size: nothing is decoded
  data.loader.max_resolution=500              longest side in pixels; null keeps every size
  data.loader.jpeg_quality=90
  data.loader.images_per_shard=512            of data=streaming, whose images are all JPEGs: write_mode=jpg or source
  data.loader.remote=URL                      of data=streaming: copy the shards there, and read them there
  data=imagefolder data.loader.decoder=compiled data.loader.index=true   an index beside image files that stay
  data.cache_dir=PATH                         where the files go
  on_error=stop|skip                          what to do with an image that cannot be converted (default: stop)
  max_skipped=100                             with on_error=skip: stop after more skipped images than this
  verify=true                                 writes nothing: checks every byte of the files, and every image's state

Rerun the same command to resume an interrupted conversion. docs/images.md says how each kind of image is treated, and
what is in the manifest beside each file.

Exit code: 0 done, 1 an image cannot be converted, the disk filled up, or a file is damaged, 2 the request is wrong."""
ON_ERROR, MAX_SKIPPED, VERIFY = "on_error", "max_skipped", "verify"
WORDS = (f"{ON_ERROR}=", f"{MAX_SKIPPED}=", f"{VERIFY}=true")
DEFAULT_MAX_SKIPPED = 100


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    if any(word in ("-h", "--help") for word in words):
        console.say(help_text.wrapped(HELP, console.width()))
        return EXIT_DONE
    own, words = command_line.take_words(words, ON_ERROR, MAX_SKIPPED, VERIFY)
    try:
        most_skipped = _most_skipped(own)
        verifies = _choice(own, VERIFY, ("false", "true")) == "true"
        if verifies and (idle := [f"{name}={value}" for name, value in own.items() if name != VERIFY]):
            raise RequestError(f"{idle[0]} has no effect with {VERIFY}=true, which converts nothing; leave it out")
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    return cli.run_hydra(words, verify if verifies else partial(convert, most_skipped=most_skipped))


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


def convert(config: RunConfig, most_skipped: int = 0) -> int:
    """Write the files that a run of this configuration would write, and print how to name them.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.
        most_skipped: up to this many images that cannot be converted are skipped.

    Raises:
        RequestError: the configuration's data format has no conversion, or its dataset is invalid.
        RunFailed: the conversion failed.
    """
    files, local = _files(config.data), config.data
    remote = files if isinstance(files, MDSShards) and files.remote else None
    if remote is not None:
        mds_upload.check_target(remote)
        # A run would read the remote shards; this command writes them.
        local = replace(local, loader={**local.loader, "remote": None})
    program.work_begins()
    # The batch size does not matter here, and its default of 2,048 images could exceed a small dataset.
    prepare_data(replace(config, data=local, train_batch_size=1), most_skipped)
    places = {split: _files(local).place_of(config.dataset.root, split) for split in image_tree.SPLITS}
    if remote is not None:
        mds_upload.upload(remote, places, console.say, _progress_printer("written"))
        console.say(setting("data.loader.remote", str(remote.remote)))
        return EXIT_DONE
    for split, place in places.items():
        console.say(f"{files.named(split, place)}  ({byte_size(_bytes(place))})")
    return EXIT_DONE


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in (place.iterdir() if place.is_dir() else [place]))


def _progress_printer(what: str) -> Callable[[int, int], None]:
    return lambda done, whole: console.status(f"{byte_size(done)} of {byte_size(whole)} {what}")


def verify(config: RunConfig) -> int:
    """Check every byte of the files of this configuration, and every image that they were made from.

    Raises:
        RequestError: a file or its manifest does not exist.
    """
    files = _files(config.data)
    try:
        files.find_converted(config.dataset.root, console.say)
    except manifests.ManifestMismatch as error:
        console.complain(str(error))
        return EXIT_FAILED
    return max(_verify_split(files, config.dataset.root, split) for split in image_tree.SPLITS)


def _verify_split(files: ConvertedFiles, root: str, split: str) -> int:
    place = files.place_of(root, split)
    try:
        manifest = files.verify(root, split, _progress_printer(f"of {place.name} checked"))
    except manifests.ManifestMismatch as error:
        console.complain(str(error))
        return EXIT_FAILED
    skipped = f", {plural(len(manifest.skipped), 'image')} skipped when it was written" if manifest.skipped else ""
    facts = f"{manifest.images:,} images of {len(manifest.classes)} classes, {byte_size(_bytes(place))}"
    console.say(f"{place}: whole, {facts}{skipped}")
    return EXIT_DONE


def _files(data: DataConfig) -> ConvertedFiles:
    files = formats.files_of(data.loader, data.cache_dir)
    if not isinstance(files, ConvertedFiles):
        names = " or ".join(f"data={name}" for name, each in formats.converted() if each is not IndexFiles)
        raise RequestError(f"data={data.name} is not converted; use {names}")
    return files


if __name__ == "__main__":
    sys.exit(program.run(main))
