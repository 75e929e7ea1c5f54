"""A run starts from weights: of a run, a file, torchvision; their content is part of its id; others are refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from resnet_exp.config.schema import ModelConfig, RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from resnet_exp.training import initial_weights
from resnet_exp.training.model import build_model
from support.configs import make_config
from support.trained_sweep import TrainedSweep
from support.training import folders_of, train

SMALL = ModelConfig("small", "bottleneck", [1, 1, 1, 1], 2)


def loaded(init_from: Path | str, model: ModelConfig = SMALL) -> nn.Module:
    config = make_config("recipe=finetune", "hardware=cpu", f"init_from={init_from}")
    network = build_model(model).module
    initial_weights.load(network, replace(config, model=model))
    return network


def test_a_run_is_started_from(hot_run: RunFolder) -> None:
    trained = torch.load(hot_run.weights)
    own = loaded(hot_run.path).state_dict()
    assert torch.equal(own["layer2.0.conv2.weight"], trained["layer2.0.conv2.conv.weight"])
    assert torch.equal(own["bn1.running_var"], trained["bn1.running_var"])
    assert torch.equal(own["fc.weight"], trained["fc.weight"])
    # Its last checkpoint has the same average.
    assert all(torch.equal(own[name], value) for name, value in loaded(hot_run.latest_checkpoint).state_dict().items())


def test_other_classes_get_a_new_classifier(hot_run: RunFolder) -> None:
    torch.manual_seed(1)
    own = loaded(hot_run.path, replace(SMALL, num_classes=5)).state_dict()
    torch.manual_seed(1)
    fresh = build_model(replace(SMALL, num_classes=5)).module.state_dict()
    assert torch.equal(own["fc.weight"], fresh["fc.weight"])
    assert not torch.equal(own["conv1.weight"], fresh["conv1.weight"])


def test_torchvision_is_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights where torchvision keeps those that it has downloaded; their names end with a hash that it checks."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = models.resnet18().state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(weights, folder / models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2])
    own = loaded("torchvision:resnet18", ModelConfig("resnet18", "basic", [2, 2, 2, 2], 3)).state_dict()
    assert torch.equal(own["layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])
    assert own["fc.weight"].shape == (3, 512)


def test_the_content_is_part_of_the_id(hot_run: RunFolder, tmp_path: Path) -> None:
    words = ("recipe=mild", "hardware=cpu")
    shutil.copyfile(hot_run.weights, tmp_path / "same.pt")
    torch.save({}, tmp_path / "other.pt")
    ids = [
        make_config(*words, *([f"init_from={path}"] if path else [])).run_id
        for path in (None, hot_run.path, tmp_path / "same.pt", tmp_path / "other.pt", "torchvision:resnet50")
    ]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 4
    config = make_config(*words, f"init_from={tmp_path / 'same.pt'}")
    torch.save({}, tmp_path / "same.pt")
    with pytest.raises(RequestError, match="have changed since the run was composed"):
        initial_weights.load(nn.Identity(), config)


@pytest.mark.parametrize(
    ("init_from", "said"),
    [
        ("TMP/none", "TMP/none is not a file; use a run folder"),
        ("TMP", "init_from=TMP has no weights.pt; name a finished run"),
        ("TMP/text.pt", "text.pt is damaged or holds no weights"),
        ("TMP/users.pt", "users.pt is damaged or holds no weights"),
        ("TMP/shallow.pt", r"shallow.pt has no layer3.0.conv1.weight: it is another network"),
        ("TMP/deep.pt", r"deep.pt has layer1.1.conv1.weight, which model=small has not"),
        ("TMP/wide.pt", r"layer1.0.conv1.weight has the shape \[128, 64, 1, 1\], that of model=small \[64, 64, 1, 1\]"),
        ("torchvision:resnet51", "torchvision has no weights of that name"),
    ],
)
def test_weights_of_no_use_are_refused(init_from: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "users.pt").write_text("root:x:0:0:root:/root")  # as a pickle it takes from an empty stack
    deep, wide = replace(SMALL, layers=[2, 1, 1, 1]), replace(SMALL, width_per_group=128)
    for name, config in (("deep", deep), ("wide", wide), ("shallow", SMALL)):
        weights = build_model(config).module.state_dict()
        kept = {key: value for key, value in weights.items() if name != "shallow" or not key.startswith("layer3")}
        torch.save(kept, tmp_path / f"{name}.pt")
    with pytest.raises(RequestError, match=said.replace("TMP", str(tmp_path))):
        loaded(init_from.replace("TMP", str(tmp_path)))


def test_stochastic_depth_must_not_lose_the_weights(hot_run: RunFolder) -> None:
    with pytest.raises(RequestError, match=r"add algorithms.stochastic_depth.reset_blocks=false"):
        make_config("recipe=hot", "hardware=cpu", f"init_from={hot_run.path}")
    config = make_config(
        "recipe=hot", "hardware=cpu", f"init_from={hot_run.path}", "algorithms.stochastic_depth.reset_blocks=false"
    )
    assert isinstance(config, RunConfig) and config.init_digest


def test_training_starts_there(trained_sweep: TrainedSweep, tmp_path: Path) -> None:
    """Without a learning rate, a run ends with the weights that it has started from."""
    first = next(iter(folders_of(trained_sweep.runs).values()))
    os.symlink(trained_sweep.folder / "photos", tmp_path / "photos")
    still = ("recipe=finetune", "ssr=0.05", "optimizer.lr=0", "optimizer.weight_decay=0", f"init_from={first}")
    done = train(trained_sweep.python, tmp_path, *still)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"from the weights of {first}" in done.stdout
    (folder,) = folders_of(tmp_path / "runs").values()
    result = read_result(RunFolder(folder))
    assert result is not None and result.recipe_text == f"finetune init_from={first.name}"
    before, after = (torch.load(RunFolder(path).weights) for path in (first, folder))
    for name in ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.bn3.bias", "fc.weight"):
        assert torch.equal(after[name], before[name])
    assert torch.equal(after["layer2.0.conv2.weight"], before["layer2.0.conv2.conv.weight"])
