"""Names and ranges that are checked before anything is imported, against what Composer has."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from resnet_exp.config import resolvers
from resnet_exp.config.checks import algorithm_values, validate, values
from resnet_exp.config.checks.algorithm_values import VALUES, Choice
from resnet_exp.config.finalize import finalize
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError
from support.configs import make_config


def test_losses_initializers_and_blocks_are_those_that_can_be_built() -> None:
    from composer import loss
    from composer.models import Initializer

    from resnet_exp.config import network
    from resnet_exp.training import model

    assert all(callable(getattr(loss, name)) for name in values.LOSSES)
    assert set(values.INITIALIZERS) == {one.value for one in Initializer}
    assert set(values.BLOCKS) == set(model.BLOCKS) == set(network.EXPANSION)


def check(*overrides: str) -> None:
    resolvers.register()
    with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        finalize(compose("config", ["hardware=cpu", "recipe=baseline", "dataset=digits", *overrides]), list(overrides))


def test_ranges_are_of_the_algorithms_that_they_are_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("class MixUp: pass\nclass RandAugment: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    check("+algorithms.mine._target_=mine.MixUp", "+algorithms.mine.alpha=-1")
    check("data=synthetic", "+algorithms.mine._target_=mine.RandAugment")
    for target in ("composer.algorithms.MixUp", "composer.algorithms.mixup.mixup.MixUp"):
        with pytest.raises(RequestError, match=r"algorithms.mine.alpha=-1 is out of range; use above 0"):
            check(f"+algorithms.mine._target_={target}", "+algorithms.mine.alpha=-1")
    with pytest.raises(RequestError, match=r"data=synthetic cannot run algorithms.randaugment"):
        check("data=synthetic", "+algorithms=randaugment")


def test_every_setting_of_every_shipped_algorithm_has_its_values() -> None:
    for path in sorted((paths.conf_dir() / "algorithms").glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text()).values():
            kind = algorithm_values.known_class(entry)
            settings = {key: value for key, value in entry.items() if key != "_target_"}
            # `dataset.fit` changes a value that is written as `${rule:value}`.
            plain = {
                key: re.sub(r"\$\{\w+:(.+)\}", r"\1", value) if isinstance(value, str) else value
                for key, value in settings.items()
            }
            assert all(VALUES[kind, key].has(value) for key, value in plain.items()), path.name


def test_words_of_algorithms_are_those_that_composer_takes() -> None:
    from composer.algorithms.progressive_resizing import progressive_resizing
    from composer.algorithms.stochastic_depth import stochastic_depth
    from composer.algorithms.utils import augmentation_primitives

    composers = {
        ("ProgressiveResizing", "mode"): progressive_resizing._VALID_MODES,
        ("RandAugment", "augmentation_set"): augmentation_primitives.augmentation_sets,
        ("StochasticDepth", "target_layer_name"): stochastic_depth._STOCHASTIC_LAYER_MAPPING,
        ("StochasticDepth", "stochastic_method"): stochastic_depth._VALID_STOCHASTIC_METHODS,
        ("StochasticDepth", "drop_distribution"): stochastic_depth._VALID_LAYER_DISTRIBUTIONS,
    }
    for key, words in composers.items():
        ours = VALUES[key]
        assert isinstance(ours, Choice) and set(ours.values) == set(words), key


DURATION = "use whole epochs (2ep) or batches (100ba), 1 or more"
WRONG = {
    "ema.half_life=-3ba": f"algorithms.ema.half_life=-3ba is out of range; {DURATION}",
    "ema.half_life=0ba": f"algorithms.ema.half_life=0ba is out of range; {DURATION}",
    "ema.half_life=100": f"algorithms.ema.half_life=100 is out of range; {DURATION}",
    "ema.update_interval=0.5ep": f"algorithms.ema.update_interval=0.5ep is out of range; {DURATION}",
    "ema.update_interval=2ep": "algorithms.ema.update_interval=2ep must be in ba, as half_life is",
    "ema.half_life=null": "algorithms.ema needs one of half_life and smoothing; set the other to null",
    "sam.interval=0": "algorithms.sam.interval=0 is out of range; use a whole number, 1 or more",
    "sam.interval=2.5": "algorithms.sam.interval=2.5 is out of range; use a whole number, 1 or more",
    "sam.rho=inf": "algorithms.sam.rho=inf is out of range; use above 0",
    "sam.rho=nan": "algorithms.sam.rho=nan is out of range; use above 0",
    "sam.epsilon=-1": "algorithms.sam.epsilon=-1 is out of range; use 0 or more",
    "randaugment.severity=11": "algorithms.randaugment.severity=11 is out of range; use a whole number, 0 to 10",
    "randaugment.depth=-1": "algorithms.randaugment.depth=-1 is out of range; use a whole number, 0 or more",
    "randaugment.augmentation_set=al": "algorithms.randaugment.augmentation_set=al is out of range; use all, safe, "
    "original",
    "colout.p_col=1": "algorithms.colout.p_col=1 is out of range; use 0 to below 1",
    "colout.p_col=0.99": "algorithms.colout.p_col=0.99 algorithms.progressive_resizing.initial_scale=0.6 "
    "algorithms.progressive_resizing.size_increment=4 leave nothing of images of resolution.train=24; use smaller "
    "steps or larger images",
    "progressive_resizing.size_increment=50": "algorithms.colout.p_col=0.05 "
    "algorithms.progressive_resizing.initial_scale=0.6 algorithms.progressive_resizing.size_increment=50 leave nothing "
    "of images of resolution.train=24; use smaller steps or larger images",
    "stochastic_depth.drop_rate=2": "algorithms.stochastic_depth.drop_rate=2 is out of range; use 0 to 1",
    "stochastic_depth.reset_blocks=1": "algorithms.stochastic_depth.reset_blocks=1 is out of range; use true, false",
    "blurpool.min_channels=true": "algorithms.blurpool.min_channels=true is out of range; use a whole number, 1 or "
    "more",
    "progressive_resizing.mode=shrink": "algorithms.progressive_resizing.mode=shrink is out of range; use resize, crop",
    "progressive_resizing.delay_fraction=0.9": "algorithms.progressive_resizing.delay_fraction=0.9 and "
    "finetune_fraction=0.2 are more than the whole run; use 1 or less together",
}


def test_settings_of_algorithms_are_checked_before_the_start() -> None:
    config = make_config("recipe=hot", "hardware=cpu")
    algorithms = config.algorithms
    for words, line in WRONG.items():
        key, _, text = words.partition("=")
        name, _, setting = key.partition(".")
        entry = {**algorithms[name], setting: yaml.safe_load(text) if text not in ("inf", "nan") else float(text)}
        with pytest.raises(RequestError) as refused:
            validate.validate(replace(config, algorithms={**algorithms, name: entry}))
        assert str(refused.value) == line
    ema = {**algorithms["ema"], "half_life": None, "smoothing": 0.99}
    validate.validate(replace(config, algorithms={**algorithms, "ema": ema}))
