"""FFCV files before a run starts: where they are, and whether they are what they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet_exp.core.errors import RequestError
from resnet_exp.core.text import printable
from resnet_exp.data import image_tree
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion import process, sources
from resnet_exp.data.conversion.cache import ConversionRequest, ConvertedFormat, check_number
from resnet_exp.data.conversion.manifest import FIX
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv import manifest as ffcv_manifest

KIND = ConvertedFormat(
    name="ffcv",
    content=("write_mode", "max_resolution", "compress_probability", "jpeg_quality"),
    suffix=".ffcv",
    conversion="resnet_exp.data.ffcv.conversion.FFCVConversion",
)


def place_of(root: str, split: str, settings: dict[str, Any]) -> Path:
    """Path of a split's file: the one that the user named, else the cached one for this folder and settings."""
    given = settings[f"{split}_file"]
    return Path(given) if given is not None else ConversionRequest(KIND, root, settings).place(split)


def needs_folder(settings: dict[str, Any]) -> bool:
    """Whether an image folder is read: not if the settings name both files."""
    return not (settings["train_file"] and settings["val_file"])


def named(split: str, place: Path) -> str:
    """The setting that names a split's file."""
    return f"data.loader.{split}_file={place}"


def prepare(root: str, settings: dict[str, Any], options: ConversionOptions) -> list[Path]:
    """Check the files of both splits, and write those that are not there.

    Args:
        root: the image folder; not needed if the settings name both files.
        settings: of `resnet_exp.data.formats.settings_of`.
        options: how images are converted.

    Raises:
        RequestError: a file is not what it should be, one that the user named does not exist, or the cache cannot be
            written or is too small.
        RunFailed: the conversion failed; nothing is left under the file's name.
    """
    paths = {split: place_of(root, split, settings) for split in image_tree.SPLITS}
    missing = {split: path for split, path in paths.items() if not path.is_file()}
    for split, path in missing.items():
        if settings[f"{split}_file"] is not None:
            raise RequestError(f"data.loader.{split}_file={path} does not exist; convert the dataset first")
    if missing:
        process.convert(ConversionRequest(KIND, root, settings), missing, options)
    _check_files(paths, root, settings, options)
    return list(paths.values())


def _check_files(paths: dict[str, Path], root: str, settings: dict[str, Any], options: ConversionOptions) -> None:
    """Check quickly that the files are whole, those of this folder and these settings, and of the same classes."""
    found = {}
    for split, path in paths.items():
        manifest = ffcv_manifest.read_manifest(path)
        if manifest is None:
            ffcv_manifest.check_header(path, options.classes)
            options.say(f"note: {printable(path)} has no manifest, so only its header and class numbers were checked")
            continue
        found[split] = manifest
        given = settings[f"{split}_file"] is not None
        ffcv_manifest.check_quickly(path, manifest, "name another file" if given else FIX)
        if not given:
            content = ConversionRequest(KIND, root, settings).content
            manifests.check_origin(path, manifest, content, image_tree.class_names(Path(root) / split))
        manifests.check_class_count(path, manifest, options.classes)
    if len(found) == len(paths):
        manifests.check_classes_agree(*((paths[split], found[split]) for split in image_tree.SPLITS))


def verify(
    root: str, split: str, settings: dict[str, Any], tell: Callable[[int, int], None]
) -> ffcv_manifest.FFCVManifest:
    """Check every byte of a split's file, and every image that it was made from.

    `tell` takes how many bytes of how many have been read.

    Raises:
        RequestError: there is no such file, or no manifest to check it against.
        ManifestMismatch: it is not what was written.
    """
    path = place_of(root, split, settings)
    manifest = ffcv_manifest.read_manifest(path) if path.is_file() else None
    if not path.is_file():
        raise RequestError(f"{path} does not exist: there is nothing to verify; convert first, without verify=true")
    if manifest is None:
        raise RequestError(f"{path} has no manifest to verify it against; convert the dataset again")
    ffcv_manifest.check_fully(path, manifest, lambda done: tell(done, manifest.file_bytes))
    if settings[f"{split}_file"] is None:
        manifests.check_all_sources(path, manifest, sources.of_split(Path(root) / split))
    return manifest


def given_manifest(settings: dict[str, Any]) -> ffcv_manifest.FFCVManifest | None:
    """Manifest of the training file that settings name; None where they name none, or one without.

    Raises:
        RequestError: the manifest is damaged.
    """
    given = settings.get("train_file")
    return ffcv_manifest.read_manifest(Path(given)) if given else None


def facts(root: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What a run trains on, for its ``environment.json``: path, images, origin and seal of each file; the classes."""
    found: dict[str, Any] = {}
    for split in image_tree.SPLITS:
        path = place_of(root, split, settings)
        found[split] = {"file": str(path), **manifests.manifest_summary(path, ffcv_manifest.FFCVManifest)}
        found["classes"] = found[split].pop("classes", None) or found.get("classes")
    return found


def check_settings(settings: dict[str, Any]) -> None:
    """Check what the files are written with; raises `RequestError` on the first one that cannot be used."""
    mode, side = settings["write_mode"], settings["max_resolution"]
    if mode not in layout.MODES:
        raise RequestError(f"data.loader.write_mode={mode} is unknown; use one of {', '.join(layout.MODES)}")
    if side is not None:
        check_number("max_resolution", side, (int,), 1, layout.MAX_RESOLUTION)
    check_number("compress_probability", settings["compress_probability"], (int, float), 0, 1)
    check_number("jpeg_quality", settings["jpeg_quality"], (int,), 1, 100)
