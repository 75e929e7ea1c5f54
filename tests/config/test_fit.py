"""``dataset.fit``: what follows from the size of a data set, what does not, and what wins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from resnet_exp.config import fit, identity
from resnet_exp.config.checks import validate
from resnet_exp.config.fit import Facts
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.launch import summary
from support.configs import make_config


def photos(root: Path, train: int, side: int = 48) -> str:
    """A folder of two classes, `train` images to train on, of different shapes; half of them share a file."""
    for label in ("cat", "dog"):
        for split, count in (("train", train // 2), ("val", 2)):
            folder = root / split / label
            folder.mkdir(parents=True)
            Image.new("RGB", (side, 3 * side)).save(folder / "0.png")
            for number in range(1, count):
                (folder / f"{number}.png").hardlink_to(folder / "0.png")
    return f"dataset.dir={root}"


def values(config: RunConfig) -> list[object]:
    ema, sizes = config.algorithms.get("ema", {}), config.resolution
    return [
        *(config.train_batch_size, config.optimizer.lr, config.schedule.warmup),
        *(ema.get("half_life"), ema.get("update_interval")),
        *(sizes.train, sizes.eval_resize, sizes.eval_crop),
    ]


RECIPE = [2048, 2.048, "8ep", "100ba", "20ba", 176, 232, 224]


def test_three_hundred_small_photographs(tmp_path: Path) -> None:
    words = ("dataset=imagefolder", photos(tmp_path / "photos", 300), "hardware=cpu")
    config = make_config(*words, "recipe=mild")
    assert values(config) == [32, 0.032, "8ep", "50ba", "10ba", 36, 48, 48]
    assert config.dataset.fitted["train_batch_size"] == 2048 and (config.dataset.train_images, 48) == (300, 48)
    (row,) = [text for name, text in summary.description(config) if name == "fit"]
    assert row == (
        "300 training images of 48 px: train_batch_size=32 for 8 batches an epoch or more, not 2048; "
        "optimizer.lr=0.032 in proportion to the batch, not 2.048; algorithms.ema.half_life=50ba at most 1/16 of the "
        "run, not 100ba; resolution.train=36 for images of this size, not 176 (dataset.fit=none keeps the recipe's)"
    )
    in_a_log = summary.row("fit", row, None).splitlines()
    assert len(in_a_log) > 1 and max(map(len, in_a_log)) <= 100
    short = make_config(*words, "recipe=mild", "ssr=0.1")
    assert values(short)[2:5] == ["2ep", "3ba", "1ba"]
    assert "learn" not in " ".join(validate.notes(short))
    assert values(make_config(*words, "recipe=finetune"))[:3] == [32, 0.005, "1ep"]
    assert values(make_config(*words, "recipe=hot"))[:3] == [32, 0.032, "8ep"]
    assert make_config(*words, "recipe=mild", "hardware=a100x8").train_batch_size == 32
    assert (
        make_config(
            *words, "recipe=mild", "hardware=a100x8", "hardware.devices=3", "eval_batch_size=3"
        ).train_batch_size
        == 33
    )


def test_what_is_given_by_hand_wins(tmp_path: Path) -> None:
    words = ("dataset=imagefolder", photos(tmp_path / "photos", 300), "hardware=cpu", "recipe=mild")
    given = ("optimizer.lr=0.3", "schedule.warmup=1ep", "algorithms.ema.half_life=7ba", "resolution.train=64")
    assert values(make_config(*words, *given)) == [32, 0.3, "1ep", "7ba", "10ba", 64, 48, 48]
    # The rate is that of the batch that is given.
    assert values(make_config(*words, "train_batch_size=64"))[:2] == [64, 0.064]
    assert make_config(*words, "dataset.batch_scale=0.5", "train_batch_size=${batch:64}").train_batch_size == 32
    kept = make_config(*words, "dataset.fit=none")
    assert values(kept) == RECIPE and kept.dataset.fitted == {} and fit.text(kept) is None


@pytest.mark.parametrize(
    "words",
    [
        ("dataset=imagenet", "dataset.dir=TREE", "dataset.num_classes=2"),
        ("dataset=imagefolder", "dataset.dir=TMP/none", "dataset.num_classes=2"),
        ("dataset=imagefolder", "dataset.dir=TREE", "dataset.train_images=65536", "dataset.image_side=375"),
    ],
    ids=["ImageNet", "no images here", "as large as ImageNet"],
)
def test_the_recipes_stay_as_they_are(words: tuple[str, ...], tmp_path: Path) -> None:
    tree = photos(tmp_path / "photos", 20).removeprefix("dataset.dir=")
    there = [word.replace("TREE", tree).replace("TMP", str(tmp_path)) for word in words]
    config = make_config(*there, "recipe=mild", "hardware=cpu")
    assert values(config) == RECIPE and config.dataset.fitted == {}
    assert make_config(*there, "recipe=mild", "hardware=cpu", "dataset.fit=none").run_id == config.run_id


@pytest.mark.parametrize(("dataset", "sides"), [("digits", [24, 24, 24]), ("photos", [32, 40, 40])])
def test_what_is_in_the_box_stays_as_it_is(dataset: str, sides: list[int]) -> None:
    words = (f"dataset={dataset}", "recipe=mild", "hardware=cpu")
    config = make_config(*words)
    assert values(config) == [64, 0.512, "8ep", "100ba", "20ba", *sides]
    assert make_config(*words, "dataset.fit=none").run_id == config.run_id


def test_the_id_says_what_changed_and_not_how(tmp_path: Path) -> None:
    words = ("dataset=imagefolder", photos(tmp_path / "photos", 300), "hardware=cpu", "recipe=mild")
    fitted = make_config(*words)
    by_hand = (f"train_batch_size={fitted.train_batch_size}", f"optimizer.lr={fitted.optimizer.lr}")
    assert make_config(*words, *by_hand).run_id == fitted.run_id != make_config(*words, "dataset.fit=none").run_id
    # Runs of other lengths are of its family, though warm-up and average follow from the length.
    family = identity.family(fitted)
    assert {identity.family(make_config(*words, f"ssr={ssr}")) for ssr in (0.1, 0.5)} == {family}
    assert identity.family(make_config(*words, "schedule.warmup=2ep")) != family
    # A few images more or less change no value.
    assert make_config(*words, "dataset.train_images=310").run_id == fitted.run_id


@pytest.mark.parametrize(("images", "size"), [(3, 3), (20, 8), (127, 8), (128, 16), (5000, 512), (40_000, 2048)])
def test_the_batch(images: int, size: int) -> None:
    assert fit.batch(2048, Facts(images, 224), 1) == size


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("dataset.fit=some", "is unknown; use one of auto, none"),
        ("dataset.train_images=-5", "must be 1 or more"),
        ("dataset.train_images=0", "must be 1 or more"),
        ("dataset.image_side=0", "must be 1 or more"),
    ],
)
def test_a_wrong_value_is_refused(word: str, why: str, tmp_path: Path) -> None:
    words = ("dataset=imagefolder", photos(tmp_path / "photos", 300), "hardware=cpu", "recipe=mild")
    with pytest.raises(RequestError, match=f"^{re.escape(f'{word} {why}')}$"):
        make_config(*words, word)


def test_a_run_that_cannot_learn_says_so(tmp_path: Path) -> None:
    words = ("dataset=imagefolder", photos(tmp_path / "photos", 40), "hardware=cpu", "recipe=mild", "dataset.fit=none")

    def notes(*more: str) -> str:
        return " | ".join(validate.notes(make_config(*words, *more)))

    few = notes("train_batch_size=20", "ssr=0.1")
    assert "18 batches are few to learn from fresh weights; use a higher ssr" in few
    assert "EMA never averages in 18 batches (algorithms.ema.update_interval=20ba): the initial weights would be" in few
    stands = notes("train_batch_size=10", "ssr=0.6")
    assert "after 216 batches, 22% of what EMA evaluates are still the initial weights" in stands
    assert "never leave the warm-up" in notes("train_batch_size=8", "ssr=0.05")
    assert notes("train_batch_size=4", "ssr=0.75") == ""
