"""Stages that runs which differ late have in common: made once, in a folder that they share.

What decides a stage is looked up in the configurations alone, so that every process, and every
run in whatever order, finds the same folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsn_core.digest import Digests, digest_of
from dsn_core.training.label_free_config import LabelFreeConfig
from dsn_core.training.plain import plain
from dsn_core.training.plan import Plan

__all__ = ['SHARED', 'SharedStages']

SHARED = ('frames', 'translate', 'day-depth', 'label')
"""The stages that can be shared: those before distil."""

_KEY = 12  # hex digits; a handful of folders are told apart


class SharedStages:
    """Where the runs of ``configs`` keep their stages before ``distil``.

    A stage that is decided by the same fields as that of ``base`` is in ``folder`` itself, another
    one in a folder below it that is named for those fields. It holds what any of the runs needs,
    and its randomness is the seed of ``base``, whatever the seeds of the runs.
    """

    def __init__(
        self, folder: Path, base: LabelFreeConfig, configs: Sequence[LabelFreeConfig]
    ) -> None:
        self.seed = base.seed
        self.digests = Digests(folder / '.digests.json')
        self._folder = folder
        self._base = base
        self._plans = [Plan(config) for config in configs]

    def home(self, config: LabelFreeConfig, stage: str) -> Path:
        """The run folder that a stage of ``SHARED``, or ``validation``, of a run lies in."""
        key = _key(config, stage)
        return self._folder if key == _key(self._base, stage) else self._folder / key

    def domains(self, config: LabelFreeConfig) -> tuple[str, ...]:
        """The domains whose frames its stage ``frames`` stores."""
        needed = {d for plan in self._alike(config, 'frames') for d in plan.domains}
        return _in_order(needed)

    def labelled(self, config: LabelFreeConfig) -> tuple[str, ...]:
        """The domains that its stage ``label`` labels."""
        needed = {d for plan in self._alike(config, 'label') for d in plan.labelled}
        return _in_order(needed)

    def _alike(self, config: LabelFreeConfig, stage: str) -> list[Plan]:
        key = _key(config, stage)
        return [plan for plan in self._plans if _key(plan.config, stage) == key]


def _in_order(domains: set[str]) -> tuple[str, ...]:
    return tuple(d for d in ('day', 'night') if d in domains)


def _key(config: LabelFreeConfig, stage: str) -> str:
    return digest_of(plain(_deciding(config, stage)))[:_KEY]


def _deciding(config: LabelFreeConfig, stage: str) -> list[Any]:
    """The fields that decide a stage's result, those of the stages before it among them."""
    if stage == 'validation':
        return [config.validation]
    frames = [config.day, config.night, config.height, config.width, config.frames]
    day, weights = config.day_depth, config.weights
    own = [day, weights.smoothness, weights.speed, config.options]
    return {
        'frames': frames,
        'translate': [*frames, config.translate],
        'day-depth': [*frames, *(own if day.teacher is None else [day.teacher])],
        'label': [*frames, config.label.teacher],
    }[stage]
