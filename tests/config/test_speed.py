"""``speed``: the default changes no id; what does not fit is refused in one line."""

from __future__ import annotations

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.launch.summary import description
from support.configs import make_config

CPU = ("recipe=mild", "hardware=cpu")
GPU = ("recipe=mild", "hardware=h100x1", "dataset=imagenet", "dataset.dir=/data/imagenet", "speed=fast")
BLOCK = "algorithms.stochastic_depth.stochastic_method=block"


def test_only_fast_runs_have_another_id() -> None:
    ids = [make_config(*CPU, *words).run_id for words in ((), ("speed=faithful",), ("speed=fast",))]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*GPU, "hardware.device_train_microbatch_size=auto"), "hardware.device_train_microbatch_size=auto changes"),
        (("recipe=hot", "hardware=cpu", "speed=fast", BLOCK), f"{BLOCK} chooses blocks while it computes"),
        ((*CPU, "speed=fast", "speed.cuda_graphs_up_to=-4"), "speed.cuda_graphs_up_to=-4 must be 0 or more"),
        ((*CPU, "speed=fast", "speed.cuda_graphs_up_to=24"), "speed.cuda_graphs_up_to=24 needs a GPU"),
        ((*CPU, "speed.cuda_graphs_up_to=24"), "speed.cuda_graphs_up_to=24 has no effect with speed.compile=false"),
        (
            (*GPU, "speed.cuda_graphs_up_to=128", "hardware.device_train_microbatch_size=256"),
            "speed.cuda_graphs_up_to=128 cannot add up the gradients of microbatches",
        ),
    ],
)
def test_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        make_config(*words)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value) and "; use " in str(refused.value)


def test_a_run_says_that_it_is_compiled() -> None:
    devices = [dict(description(make_config(*CPU, *words)))["device"] for words in ((), ("speed=fast",))]
    assert devices[1] == f"{devices[0]}, compiled"


def test_taken() -> None:
    eight = make_config(*GPU, "hardware=h100x8", "speed.cuda_graphs_up_to=128")
    assert eight.speed.compile and eight.speed.cuda_graphs_up_to == 128
    assert make_config("recipe=hot", "hardware=cpu", BLOCK).speed.name == "faithful"
