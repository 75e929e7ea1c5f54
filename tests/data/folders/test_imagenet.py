"""``resnet_exp data imagenet`` on archives of the published structure, which it takes for nothing but what they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED
from resnet_exp.data.__main__ import main
from resnet_exp.data.folders import imagenet
from resnet_exp.data.images import image_tree
from support.configs import make_config
from support.imagenet_tars import jpeg, wnid, write_tars

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def extract(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    """Extract the archives of ``tars`` into ``out``: exit code, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["imagenet", str(tmp_path / "tars"), "-o", str(tmp_path / "out"), *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_archives_become_an_image_folder(tmp_path: Path, extract: Said) -> None:
    write_tars(tmp_path / "tars")
    code, said, errors = extract()
    assert (code, errors) == (EXIT_DONE, "")
    facts = "18 images to train, 6 to evaluate, 3 classes"
    assert f"out: {facts}, as the devkit has them\nnote: this is not ILSVRC2012 as published (1,281,167 " in said
    assert f"out: whole, {facts}\nnext: resnet_exp recipe=mild dataset=imagenet dataset.dir={tmp_path}/out" in said
    files = files_of(tmp_path / "out")
    assert len(files) == 24
    assert files[f"train/{wnid(2)}/{wnid(2)}_5.JPEG"] == jpeg(2005)
    # Image N has the class of line N: 1, 2, 3, 1, 2, 3.
    assert files[f"val/{wnid(2)}/ILSVRC2012_val_00000005.JPEG"] == jpeg(104)
    config = make_config("dataset=imagenet", f"dataset.dir={tmp_path / 'out'}", "dataset.num_classes=3", "hardware=cpu")
    assert image_tree.check_tree(config.dataset.root, 8, 2) == sorted(map(wnid, (1, 2, 3)))
    code, said, _ = extract()
    assert code == EXIT_DONE and "to write" not in said and files_of(tmp_path / "out") == files


def test_the_time_of_all_is_told_from_the_first(tmp_path: Path, extract: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "TIMED_BYTES", 2000)
    write_tars(tmp_path / "tars")
    _, said, _ = extract()
    assert re.search(r"out: [\d.]+ kB to write, .* free\nabout [\d.]+ s in all, at the speed of the first", said)


def test_only_the_missing_classes_are_written(tmp_path: Path, extract: Said) -> None:
    write_tars(tmp_path / "tars")
    extract()
    files = files_of(tmp_path / "out")
    for name in (f"train/{wnid(1)}", f"val/{wnid(3)}"):
        (tmp_path / "out" / name).rename(tmp_path / name.replace("/", "-"))
    kept = tmp_path / "out" / "train" / wnid(2)
    before = kept.stat().st_mtime_ns
    code, said, _ = extract()
    assert code == EXIT_DONE and "out: 17 of 24 images are there from an earlier try" in said
    assert files_of(tmp_path / "out") == files and kept.stat().st_mtime_ns == before


# Killed while it writes the first image after the third class.
KILLED = """
import os, signal, sys
from pathlib import Path
from resnet_exp.data.__main__ import main
tars, out = map(Path, sys.argv[1:])
def audit(event, words):
    if event == "open" and str(words[0]).endswith(".JPEG") and len(list(out.glob("train/*"))) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
main(["imagenet", str(tars), "-o", str(out)])
"""


def test_it_goes_on_after_it_was_killed(tmp_path: Path, extract: Said) -> None:
    write_tars(tmp_path / "tars", classes=30, train=120)
    out = tmp_path / "out"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "tars"), str(out)]
    assert subprocess.run(words, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    whole = {path.name: len(list(path.iterdir())) for path in out.glob("train/*")}
    assert 3 <= len(whole) < 30 and all(count == 9000 - int(name[1:]) + 120 for name, count in whole.items())
    code, said, _ = extract()
    assert code == EXIT_DONE and " images are there from an earlier try" in said
    assert len(files_of(out)) == 30 * 120 + sum(range(1, 31)) + 60 and not (out / imagenet.UNFINISHED).exists()


def cut(archive: str, size: int) -> Callable[[Path], object]:
    return lambda tars: os.truncate(tars / archive, size)


def fill(archive: str, at: int) -> Callable[[Path], object]:
    def damage(tars: Path) -> None:
        with (tars / archive).open("r+b") as file:
            file.seek(at)
            file.write(b"\xff" * 512)

    return damage


TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
# What is done to the archives, the exit code, and what the one line says.
FAULTS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "no val": (lambda tars: (tars / VAL).unlink(), EXIT_BAD_REQUEST, f"tars holds no {VAL}; image-net.org has"),
    "a short train": (cut(TRAIN, 15_000), EXIT_FAILED, f"{TRAIN} is damaged or cut off ("),
    "a short val": (cut(VAL, 3_000), EXIT_FAILED, f"{VAL} is damaged or cut off ("),
    "an empty train": (cut(TRAIN, 0), EXIT_FAILED, f"{TRAIN} is damaged or cut off (empty file); its md5sum should be"),
    "a damaged class": (fill(TRAIN, 512 + 1536), EXIT_FAILED, "n00008999 has 1 image, not 5; download it again"),
    "a short devkit": (cut(DEVKIT, 200), EXIT_FAILED, f"{DEVKIT} is damaged or another file ("),
    "another devkit": (
        lambda tars: (tars / TRAIN).rename(tars / DEVKIT).parent.joinpath(TRAIN).touch(), EXIT_FAILED,
        f"{DEVKIT} is damaged or another file (it holds no data/meta.mat); download it again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_damaged_archive_is_one_line(what: str, tmp_path: Path, extract: Said) -> None:
    damage, code, line = FAULTS[what]
    damage(write_tars(tmp_path / "tars"))
    found, _, errors = extract()
    assert found == code and line in errors and errors.count("\n") == 1
    assert not any((tmp_path / "out").glob("train/n00008999"))


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, extract: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tars(tmp_path / "tars")
    stray = tmp_path / "out" / "train" / wnid(1)
    stray.mkdir(parents=True)
    (stray / "mine.jpg").touch()
    assert extract()[::2] == (EXIT_BAD_REQUEST, f"{stray} holds 1 file, not 5; remove it\n")
    (stray / "mine.jpg").unlink()
    stray.rmdir()
    monkeypatch.setattr(imagenet.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    code, _, errors = extract()
    assert code == EXIT_BAD_REQUEST and "out has 1.0 kB free, the images need " in errors
    assert not files_of(tmp_path / "out" / "train")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), [("ffcv", "train.ffcv"), ("mds", "train/index.json")])
def test_it_converts(name: str, file: str, tmp_path: Path, extract: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tars(tmp_path / "tars")
    code, said, _ = extract("--convert", name)
    assert code == EXIT_DONE and "without the image folder" in said
    assert len(list((tmp_path / "cache").rglob(file))) == 1
