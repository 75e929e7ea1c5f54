"""ImageNet's archives of images: what is in them, class by class, without extracting any."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal.text import one_line, printable
from resnet_exp.data.folders.devkit import Devkit, read_devkit
from resnet_exp.data.images.image_layouts import IMAGENET_TARS

# Of the published archives: torchvision's ``datasets.imagenet.ARCHIVE_META``.
MD5 = {
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
    "ILSVRC2012_devkit_t12.tar.gz": "fa75699e90414af021442c21a62c3abf",
}
Image = tuple[str, bytes]


@dataclass(frozen=True)
class ClassArchive:
    """The images of one class in an archive.

    Attributes:
        split: ``train`` or ``val``.
        label: the class, a WordNet ID.
        count: images that it should have.
        size: bytes of the images, and a little more.
        images: reads them: name and content of each; raises `RunFailed` on damage.
    """

    split: str
    label: str
    count: int
    size: int
    images: Callable[[], Iterator[Image]]


def open_archives(folder: Path) -> tuple[Devkit, list[ClassArchive]]:
    """What the three archives of a folder hold, val first.

    Raises:
        RequestError: one is missing.
        RunFailed: one is damaged or cut off, or holds other classes than the devkit names.
    """
    missing = [name for name in IMAGENET_TARS if not (folder / name).is_file()]
    if missing:
        raise RequestError(
            f"{printable(folder)} holds no {' and no '.join(missing)}; image-net.org has ILSVRC2012's archives for "
            "those who register"
        )
    train, val, devkit = (folder / name for name in IMAGENET_TARS)
    kit = read_devkit(devkit)
    return kit, [*_val_classes(val, kit), *_train_classes(train, kit)]


@contextlib.contextmanager
def _reading(archive: Path, where: str = "") -> Iterator[None]:
    """Say in one line that an archive is damaged, if the block cannot read it."""
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _damaged(archive, f"{where}{one_line(error)}") from error


def _damaged(archive: Path, what: str) -> RunFailed:
    return RunFailed(
        f"{printable(archive)} is damaged or cut off ({what}); its md5sum should be {MD5[archive.name]}: download it "
        "again, then give the same command again, which keeps what is whole"
    )


def _members(archive: Path) -> list[tarfile.TarInfo]:
    with _reading(archive), tarfile.open(archive, "r:") as tar:
        return [member for member in tar if member.isfile()]


def _train_classes(archive: Path, kit: Devkit) -> Iterator[ClassArchive]:
    """The tars within the tar: one for each class."""
    members = {Path(member.name).stem: member for member in _members(archive)}
    if missing := sorted(set(kit.train) - set(members)):
        raise _damaged(archive, f"it holds {len(kit.train) - len(missing):,} of {len(kit.train):,} classes")
    for label, count in sorted(kit.train.items()):
        yield ClassArchive("train", label, count, members[label].size, _reader(archive, members[label]))


def _reader(archive: Path, member: tarfile.TarInfo) -> Callable[[], Iterator[Image]]:
    def images() -> Iterator[Image]:
        with (
            _reading(archive, f"in {member.name}: "),
            tarfile.open(archive, "r:") as outer,
            tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner,
        ):
            for image in inner:
                file = inner.extractfile(image)
                if file is not None:
                    yield _whole(archive, image, file.read())

    return images


def _val_classes(archive: Path, kit: Devkit) -> Iterator[ClassArchive]:
    """The images of val by class: number N, by its name, has the class of line N of the ground truth."""
    members = sorted(_members(archive), key=lambda member: Path(member.name).name)
    if len(members) != len(kit.val):
        raise _damaged(archive, f"it holds {len(members):,} of {len(kit.val):,} images")
    by_class: dict[str, list[tarfile.TarInfo]] = defaultdict(list)
    for label, member in zip(kit.val, members, strict=True):
        by_class[label].append(member)
    for label, found in sorted(by_class.items()):
        size = sum(member.size for member in found)
        yield ClassArchive("val", label, len(found), size, _picker(archive, found))


def _picker(archive: Path, members: list[tarfile.TarInfo]) -> Callable[[], Iterator[Image]]:
    def images() -> Iterator[Image]:
        with archive.open("rb") as file:
            for member in members:
                yield _whole(archive, member, os.pread(file.fileno(), member.size, member.offset_data))

    return images


def _whole(archive: Path, member: tarfile.TarInfo, content: bytes) -> Image:
    if len(content) != member.size:
        raise _damaged(archive, f"{member.name} has {len(content):,} of {member.size:,} bytes")
    # Without its folder: whatever the archive says, images are written below the class.
    return os.path.basename(member.name), content
