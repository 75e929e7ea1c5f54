"""Compose the configuration of each run of a sweep as Hydra would, which takes a tenth of a second per run."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, open_dict

from resnet_exp.config.finalize import close, finish
from resnet_exp.config.overrides import command_line, no_effect
from resnet_exp.config.schema import RunConfig
from resnet_exp.sweep.composition import Composition


class RunComposer:
    """Composes the runs of a sweep.

    Runs that differ only in values, not in group options, share one Hydra composition. Their values are set on it
    afterward, as Hydra does in its last step.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig, remote: bool = False) -> None:
        """`remote`: the runs are for other machines, whose hardware is not visible here."""
        self.loader, self.master, self.remote = loader, master, remote
        self.parser = OverridesParser.create(config_loader=loader)
        self._compositions: dict[tuple[str, ...], Composition] = {}
        self._parsed: dict[str, Override] = {}
        self._groups: dict[str, bool] = {}

    def compose(self, overrides: Sequence[str]) -> RunConfig:
        """Finalized configuration of one run.

        Raises:
            RequestError: it cannot be run.
        """
        parsed = [self._parse(line) for line in overrides]
        values = [override for override in parsed if self._is_value(override)]
        lines = {override.input_line for override in values}
        composition = self._composition(tuple(line for line in overrides if line not in lines))
        if more := no_effect.words_for_folder(overrides, composition.dataset):
            return self.compose([*overrides, *more])
        chosen = {override.key_or_group: override.value() for override in values}
        no_effect.refuse_words(
            overrides,
            chosen.get("dataset.name", composition.dataset),
            chosen.get("hardware.device", composition.device),
        )
        if not all(composition.can_set(override) for override in values):
            values, composition = [], self._composition(tuple(overrides))
        return finish(composition.resolve(values), overrides)

    def _parse(self, line: str) -> Override:
        if line not in self._parsed:
            (self._parsed[line],) = self.parser.parse_overrides([line])
        return self._parsed[line]

    def _is_value(self, override: Override) -> bool:
        simple = override.type == OverrideType.CHANGE and override.package is None
        return simple and not self.is_group(override.key_or_group)

    def is_group(self, key: str) -> bool:
        """Whether a key chooses a file of a group."""
        # Cached: Hydra's lookup takes a hundredth of a second.
        if key not in self._groups:
            self._groups[key] = bool(self.loader.get_group_options(key))
        return self._groups[key]

    def _composition(self, overrides: tuple[str, ...]) -> Composition:
        if overrides not in self._compositions:
            composed = self.loader.load_sweep_config(self.master, list(overrides))
            task = command_line.as_typed(composed.hydra.overrides.task)
            with open_dict(composed):
                del composed["hydra"]
            self._compositions[overrides] = Composition(close(composed, task), self.remote)
        return self._compositions[overrides]
