"""Names and ranges that are checked before anything is imported, against what Composer has."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from resnet_exp.config import resolvers, values
from resnet_exp.config.finalize import finalize
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError


def test_losses_initializers_and_blocks_are_those_that_can_be_built() -> None:
    from composer import loss
    from composer.models import Initializer

    from resnet_exp.planning import disk_usage
    from resnet_exp.training import model

    assert all(callable(getattr(loss, name)) for name in values.LOSSES)
    assert set(values.INITIALIZERS) == {one.value for one in Initializer}
    assert set(values.BLOCKS) == set(model.BLOCKS) == set(disk_usage.EXPANSION)


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
