"""A sweep: every run composed, checked and written down before the first one starts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict

from resnet_exp.config.finalize import close, complete
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError


class RunComposer:
    """Composes the runs of a sweep.

    Hydra takes a tenth of a second for one. Runs that differ only in values, not in options of groups, start from a
    copy of one composition and have their values set on it, as Hydra does last of all.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig, elsewhere: bool = False) -> None:
        self.loader, self.master, self.elsewhere = loader, master, elsewhere
        self.parser = OverridesParser.create(config_loader=loader)
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}

    def compose(self, overrides: Sequence[str]) -> RunConfig:
        """Finalized configuration of one run.

        Raises:
            RequestError: it cannot be run.
        """
        parsed = self.parser.parse_overrides(list(overrides))
        plain = [override for override in parsed if self._is_value(override)]
        lines = {override.input_line for override in plain}
        base = self._base(tuple(line for line in overrides if line not in lines))
        if any(not _is_leaf(base, override) for override in plain):
            plain, base = [], self._base(tuple(overrides))
        closed = copy.deepcopy(base)
        for override in plain:
            OmegaConf.update(closed, override.key_or_group, override.value())
        if self.elsewhere and closed.hardware.device == "auto":
            raise RequestError(
                f"hardware={closed.hardware.name} is not known before the job runs; name it, such as hardware=a100x8"
            )
        return complete(closed)

    def _is_value(self, override: Override) -> bool:
        simple = override.type == OverrideType.CHANGE and override.package is None
        return simple and not self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        # Hydra takes a hundredth of a second to look.
        if key not in self._groups:
            self._groups[key] = bool(self.loader.get_group_options(key))
        return self._groups[key]

    def _base(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._bases:
            composed = self.loader.load_sweep_config(self.master, list(overrides))
            task = list(composed.hydra.overrides.task)
            with open_dict(composed):
                del composed["hydra"]
            self._bases[overrides] = close(composed, task)
        return self._bases[overrides]


def _is_leaf(base: DictConfig, override: Override) -> bool:
    node = OmegaConf.select(base, override.key_or_group, default=base)
    return not OmegaConf.is_config(node) and not isinstance(override.value(), (dict, list))
