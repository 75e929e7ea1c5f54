"""Addresses of an Explorer page: what is wrong, what the state is, and the address that the page has for it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from resnet_exp.results.record import RunRecord
from support.page_cases import random_run

_ONE = replace(
    random_run(random.Random(0), coarse=True), run_id="one", group="ones", published=False, recipe="mild",
    model="resnet50", dataset="own", data="ffcv", algorithms=("ema",), cloud="aws", hardware="p4d", eval_crop=224,
    tta="",
)  # fmt: skip
# Runs of two datasets, and many recipes.
READ = [
    _ONE,
    replace(_ONE, run_id="two", group="twos", hardware="my box", cloud=None, model="resnet18", data="", algorithms=()),
    replace(_ONE, run_id="big", group="bigs", published=True, dataset="imagenet", recipe="hot", cloud="gcp",
            model="resnet101", algorithms=None, eval_crop=256, tta="flip"),
    *(replace(_ONE, run_id=f"r{n}", group=f"r{n}", recipe=f"r{n}") for n in range(8)),
]  # fmt: skip

Reading = tuple[tuple[str, str], tuple[str, ...], dict[str, Any], str]


def _read(address: str, *problems: str, state: dict[str, Any] | None = None, again: str | None = None) -> Reading:
    """An address after "#"; `again` is the page's for it, the same if nothing is said."""
    return ("", f"#{address}"), problems, state or {}, f"dataset=own&{address}" if again is None else again


OWN = "dataset=own"
READINGS: list[Reading] = [
    (("", ""), (), {}, OWN),
    (("?order=reversed", "#x=cost"), (), {"order": "reversed", "x": "cost"}, "order=reversed&x=cost&dataset=own"),
    (("", "#?x=cost"), (), {"x": "cost"}, "x=cost&dataset=own"),
    (("", "?x=cost"), (), {"x": "cost"}, "x=cost&dataset=own"),
    _read("nonsense=1", "nonsense=1 is unknown", again=OWN),
    _read("toString=1", "toString=1 is unknown", again=OWN),
    _read("sortBy=x", "sortBy=x is not among accuracy, time, cost, timeSameQuality, costSameQuality", again=OWN),
    _read("sortBy=marks", state={"sortBy": "marks"}, again="sortBy=marks&dataset=own"),
    _read("model=vgg", "model=vgg is not among all, resnet101, resnet18, resnet50", again=OWN),
    _read("cloud=x", "cloud=x is not among all, aws, gcp", again=OWN),
    _read("hardware=x", "hardware=x is not among all, my box, p4d", again=OWN),
    _read("dataset=all", "dataset=all is not among imagenet, own", again=OWN),
    _read("recipe=x", "recipe=x is not among hot, mild, r0, r1, r2, r3, r4, r5, ...", again=OWN),
    _read("recipe=all&protocol=all&algorithms=all", again=OWN),
    _read("recipe=mild&recipe=mild", state={"recipe": ["mild"]}, again="dataset=own&recipe=mild"),
    _read("recipe=mild&recipe=medium", state={"recipe": ["mild", "medium"]},
          again="dataset=own&recipe=mild&recipe=medium"),
    _read("protocol=9", "protocol=9 is not among 224 px, 256 px, flip TTA", again=OWN),
    _read("protocol=224+px&protocol=224+px", state={"protocol": ["224 px"]}, again="dataset=own&protocol=224+px"),
    _read("algorithms=sam", "algorithms=sam is in no run", again=OWN),
    _read("algorithms=-sam", "algorithms=-sam is in no run", again=OWN),
    _read("algorithms=ema", state={"algorithms": [["ema", "with"]]}, again="dataset=own&algorithms=ema"),
    _read("algorithms=-ema", state={"algorithms": [["ema", "without"]]}, again="dataset=own&algorithms=-ema"),
    _read("algorithms=?ema", state={"algorithms": [["ema", "unstated"]]}, again="dataset=own&algorithms=%3Fema"),
    _read("baseline=x", "baseline=x is neither a recipe nor a run of this page", again=OWN),
    _read("baseline=mild@p4d", state={"baseline": "mild@p4d"}, again="dataset=own&baseline=mild%40p4d"),
    _read("baseline=twos", state={"baseline": "twos"}, again="dataset=own&baseline=twos"),
    _read("selected=x", "selected=x is not a run of this page", again=OWN),
    _read("selected=two", state={"selected": "two"}, again="dataset=own&selected=two"),
    _read("selected=twos", state={"selected": "twos"}, again="dataset=own&selected=twos"),
    _read("only=x", "only=x is not a series of this page", again=OWN),
    _read("only=others", state={"only": "others"}, again="dataset=own&only=others"),
    _read("only=my+box", state={"only": "my box"}, again="dataset=own&only=my+box"),
    _read("only=not+stated", state={"only": "not stated"}, again="dataset=own&only=not+stated"),
    # What is usual can be said too.
    *(
        _read(word, again=OWN)
        for word in ("order=usual", "compare=recipe", "x=time", "scale=log", "seeds=all", "published=on", "show=means",
                     "prices=today", "sortBy=accuracy", "model=all", "cloud=all", "hardware=all")
    ),
    _read("target=0.76612345678912", "target=0.76612345678912 is taken as 76.6123456789 %",
          state={"target": 76.6123456789}, again="dataset=own&target=76.6123456789"),
    _read("target=none", state={"target": "none"}, again="dataset=own&target=none"),
    _read("target=76.6", state={"target": 76.6}, again="dataset=own&target=76.6"),
    _read("target=1", state={"target": 1}, again="dataset=own&target=1"),
    _read("target=0.766", "target=0.766 is taken as 76.6 %", state={"target": 76.6}, again="dataset=own&target=76.6"),
    *(
        _read(f"target={bad}", f"target={bad} is not a percentage between 0 and 100", again=OWN)
        for bad in ("x", "0", "-1", "100", "Infinity", "NaN")
    ),
    _read("budget=10min", state={"budget": "10min"}, again="dataset=own&budget=10min"),
    _read("budget=.5usd", state={"budget": ".5usd"}, again="dataset=own&budget=.5usd"),
    *(
        _read(f"budget={bad}", f"budget={bad} is not a time or price; use 10min, 2h or 10usd", again=OWN)
        for bad in ("x", "0min", "-1h", "10", "10weeks", "min", "1e3s")
    ),
    _read("price.p4d=25.5", state={"own": [["p4d", 25.5]]}, again="dataset=own&price.p4d=25.5"),
    *(
        _read(f"price.p4d={bad}", f"price.p4d={bad} is not a price above 0", again=OWN)
        for bad in ("0", "-5", "x", "Infinity")
    ),
    # What is named chooses the dataset, if that is not named itself.
    _read("selected=big", state={"selected": "big", "dataset": "imagenet"}, again="dataset=imagenet&selected=big"),
    _read("selected=bigs", state={"selected": "bigs", "dataset": "imagenet"}, again="dataset=imagenet&selected=bigs"),
    _read("model=resnet101", state={"model": "resnet101", "dataset": "imagenet"},
          again="dataset=imagenet&model=resnet101"),
    _read("cloud=gcp", state={"cloud": "gcp", "dataset": "imagenet"}, again="dataset=imagenet&cloud=gcp"),
    _read("recipe=hot", state={"recipe": ["hot"], "dataset": "imagenet"}, again="dataset=imagenet&recipe=hot"),
    _read("recipe=hot&model=resnet18", state={"recipe": ["hot"], "model": "resnet18"},
          again="dataset=own&model=resnet18&recipe=hot"),
    _read("recipe=hot&cloud=aws", state={"recipe": ["hot"], "cloud": "aws"}, again="dataset=own&cloud=aws&recipe=hot"),
    _read("recipe=mild&model=resnet101", state={"recipe": ["mild"], "model": "resnet101"},
          again="dataset=own&model=resnet101&recipe=mild"),
    _read("recipe=hot&dataset=own", state={"recipe": ["hot"]}, again="dataset=own&recipe=hot"),
    # Links of the first Explorer are of ImageNet.
    _read("recipe=mosaicml_mild", state={"recipe": ["mild"], "dataset": "imagenet"},
          again="dataset=imagenet&recipe=mild"),
    _read("recipe=mosaicml_x", "recipe=mosaicml_x is not among hot, mild, r0, r1, r2, r3, r4, r5, ...",
          state={"dataset": "imagenet"}, again="dataset=imagenet"),
    _read("baseline=r50_optimized_p4d", "baseline=r50_optimized_p4d is neither a recipe nor a run of this page",
          state={"dataset": "imagenet"}, again="dataset=imagenet"),
]  # fmt: skip
_PUBLISHED = [run for run in READ if run.published]
# Runs, and addresses of their page.
PAGES: list[tuple[list[RunRecord], list[Reading]]] = [
    (READ, READINGS),
    (_PUBLISHED, [
        (("", ""), (), {"sortBy": "cost", "dataset": "imagenet"}, "sortBy=cost&dataset=imagenet"),
        _read("x=cost", state={"x": "cost", "dataset": "imagenet"}, again="x=cost&dataset=imagenet"),
    ]),
    # As many recipes as are listed.
    ([_ONE, *READ[3:10]], [
        _read("recipe=x", "recipe=x is not among mild, r0, r1, r2, r3, r4, r5, r6", again=OWN),
        _read("recipe=mosaicml_mild", state={"recipe": ["mild"]}, again="dataset=own&recipe=mild"),
    ]),
    ([_ONE, *READ[3:11]], [
        _read("recipe=x", "recipe=x is not among mild, r0, r1, r2, r3, r4, r5, r6, ...", again=OWN),
    ]),
    ([*_PUBLISHED, _ONE], [(("", ""), (), {}, OWN)]),
    ([], [
        (("", ""), (), {"sortBy": "cost", "dataset": ""}, "sortBy=cost"),
        _read("model=x&recipe=x", "model=x is not among all", "recipe=x is not among the runs",
              state={"dataset": ""}, again=""),
    ]),
]  # fmt: skip
