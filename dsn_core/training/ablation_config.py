"""Configuration of ``dsn ablate``: variants of one label-free training, and what scores them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsn_core import config as generic
from dsn_core.errors import ConfigError, require
from dsn_core.evaluation.config import EvaluationConfig, load_evaluation
from dsn_core.training.config import load_config
from dsn_core.training.label_free_config import LabelFreeConfig
from dsn_core.training.plan import Plan

__all__ = [
    'DOMAINS',
    'PAPER_VARIANTS',
    'PARTS',
    'Ablation',
    'AblationConfig',
    'Variant',
    'VariantConfig',
    'load_ablation',
    'without',
]

PARTS = ('RN', 'SN', 'LE', 'PD')
"""Real night and synthetic night, light enhancement, day depth distillation: Table 5's columns."""

DOMAINS = ('segmentation', 'all')
"""What SN and RN can mean."""

_WITHOUT = {
    'RN': ('weights.segmentation_night=0',),
    'SN': ('weights.segmentation_synthetic_night=0',),
    'LE': ('weights.light=0', 'distil.light=false'),
    'PD': ('weights.depth_distillation=0',),
}
_WITHOUT_DOMAIN = {
    'RN': ('weights.self_supervision_night=0', 'weights.consistency_synthetic=0'),
    'SN': ('weights.self_supervision_synthetic_night=0', 'weights.consistency_real=0'),
}
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]*')


def without(part: str, domains: str = DOMAINS[0]) -> tuple[str, ...]:
    """What leaves a part of ``PARTS`` out of a label-free configuration, as ``key=value``.

    SN and RN are the domains of the segmentation distillation (Section 4.4), or with ``domains``
    all, of every loss.
    """
    everywhere = _WITHOUT_DOMAIN.get(part, ()) if domains == 'all' else ()
    return (*_WITHOUT[part], *everywhere)


@dataclass(frozen=True)
class VariantConfig:
    """One training to compare."""

    name: str
    """What the tables call it, and its folder: letters, digits and _ . + -"""
    marks: tuple[str, ...] | None = None
    """Which of RN, SN, LE and PD it has; the others are taken out of it. Nothing: it is no row of
    Table 5 (a baseline), and nothing is taken out."""
    overrides: tuple[str, ...] = ()
    """What else is different: files laid over those of train, and key=value."""

    def __post_init__(self) -> None:
        fits = bool(_NAME.fullmatch(self.name))
        require(fits, 'name', 'letters, digits and _ . + -, for a folder', self.name)
        known = self.marks is None or set(self.marks) <= set(PARTS)
        require(known, 'marks', f'some of {", ".join(PARTS)}', self.marks)


PAPER_VARIANTS = (
    *(VariantConfig(f'without-{p}', tuple(q for q in PARTS if q != p)) for p in PARTS),
    VariantConfig('full', PARTS),
)
"""Table 5's rows, in its order."""


@dataclass(frozen=True)
class AblationConfig:
    """Variants of one training in one budget, each with the same seeds, scored alike."""

    train: tuple[str, ...]
    """The label-free configuration: a file, files laid over it, key=value, as dsn train takes
    them."""
    evaluate: tuple[str, ...]
    """The evaluation configuration, likewise: its sets, its protocol of Table 2, its rows and
    baselines."""
    out: Path
    """The ablation's folder. It goes on from what is there."""
    seeds: tuple[int, ...] = (1,)
    """Seeds of the joint training; each variant is trained with each. The stages before it keep
    the seed of the label-free configuration."""
    domains: str = DOMAINS[0]
    """What SN and RN are: segmentation (domains of the segmentation distillation, as the paper's
    text has it) or all (domains of every loss)."""
    variants: tuple[VariantConfig, ...] = PAPER_VARIANTS
    """What is compared; by default the paper's five."""
    export: bool = False
    """Whether each trained network is made a deploy graph as well."""

    def __post_init__(self) -> None:
        for name in ('train', 'evaluate'):
            files = getattr(self, name)
            is_file = bool(files) and _is_file(files[0])
            require(is_file, name, 'a .yaml file, or a list that begins with one', files)
        require(self.domains in DOMAINS, 'domains', 'segmentation or all', self.domains)
        for name in ('seeds', 'variants'):
            require(bool(getattr(self, name)), name, 'at least one', getattr(self, name))
        require(min(self.seeds) >= 0, 'seeds', 'zero or above', self.seeds)
        require(len(set(self.seeds)) == len(self.seeds), 'seeds', 'different', self.seeds)
        names = [variant.name for variant in self.variants]
        distinct = len({name.lower() for name in names}) == len(names)
        require(distinct, 'variants', 'of different names', names)


@dataclass(frozen=True)
class Variant:
    """A variant, resolved; ``out`` and ``seed`` of its configuration are those of no run yet."""

    name: str
    marks: tuple[str, ...] | None
    config: LabelFreeConfig


@dataclass(frozen=True)
class Ablation:
    """An ablation, its files read."""

    config: AblationConfig
    base: LabelFreeConfig
    """What ``train`` says, without a variant's changes."""
    variants: tuple[Variant, ...]
    evaluation: EvaluationConfig


def load_ablation(path: Path, overrides: Sequence[str] = ()) -> Ablation:
    """Read a YAML file, apply overrides, and read the files that it names.

    Overrides that begin with ``train.`` or ``evaluate.`` are added to those lists. Files are
    looked for beside ``path``, then from the working directory. Raises ConfigError naming the
    variant and the field that is unknown, missing or wrong, before anything is trained.
    """

    def parse(data: dict[str, Any], overrides: Sequence[str]) -> Ablation:
        nested = {name: [o for o in overrides if _is_in(o, name)] for name in _NESTED}
        own = [o for o in overrides if not any(_is_in(o, name) for name in _NESTED)]
        generic.apply_overrides(data, own)
        config = generic.build(AblationConfig, data)
        return _resolved(config, nested, path.parent)

    return generic.load(path, overrides, parse)


_NESTED = ('train', 'evaluate')


def _is_in(override: str, name: str) -> bool:
    return override.startswith(f'{name}.')


def _resolved(config: AblationConfig, nested: dict[str, list[str]], folder: Path) -> Ablation:
    added = {name: [o.partition('.')[2] for o in nested[name]] for name in _NESTED}
    train = _found([*config.train, *added['train']], folder)
    evaluate = _found([*config.evaluate, *added['evaluate']], folder)
    base = _label_free(train, 'train')
    variants = []
    for variant in config.variants:
        place = f'variants: {variant.name}'
        left_out = [p for p in PARTS if variant.marks is not None and p not in variant.marks]
        changes = [change for part in left_out for change in without(part, config.domains)]
        own = _label_free([*train, *changes, *_found(variant.overrides, folder)], place)
        if own.seed != base.seed:
            raise ConfigError(f'{place}: seed is set by the ablation: use seeds')
        try:
            Plan(own)
        except ConfigError as error:
            raise ConfigError(f'{place}: {error}') from error
        variants.append(Variant(variant.name, variant.marks, own))
    base = replace(base, out=config.out / 'shared')
    evaluation = load_evaluation(Path(evaluate[0]), evaluate[1:])
    return Ablation(config, base, tuple(variants), evaluation)


def _label_free(items: Sequence[str], place: str) -> LabelFreeConfig:
    try:
        config = load_config(Path(items[0]), items[1:])
    except ConfigError as error:
        raise ConfigError(f'{place}: {error}') from error
    if not isinstance(config, LabelFreeConfig):
        raise ConfigError(f'{place}: {items[0]} must have recipe label_free')
    return config


def _is_file(item: str) -> bool:
    return '=' not in item and item.endswith(('.yaml', '.yml'))


def _found(items: Iterable[str], folder: Path) -> list[str]:
    """The items, files that are beside the ablation's own by their path from there."""
    return [
        str(folder / item) if _is_file(item) and (folder / item).is_file() else item
        for item in items
    ]
