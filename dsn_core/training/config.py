"""Training configurations: which recipes there are, and how a file becomes one of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dsn_core.data.sources  # noqa: F401  registers the kinds of sources
from dsn_core import config as generic
from dsn_core.errors import ConfigError
from dsn_core.training.label_free_config import LabelFreeConfig
from dsn_core.training.supervised_config import SupervisedConfig

__all__ = ['RECIPES', 'load_config', 'parse_config']

RECIPES: dict[str, type[LabelFreeConfig] | type[SupervisedConfig]] = {
    'label_free': LabelFreeConfig,
    'supervised': SupervisedConfig,
}
"""What a configuration's ``recipe`` can be."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> LabelFreeConfig | SupervisedConfig:
    """Read a YAML file and apply overrides: ``key=value`` (``phases.0.samples=64`` too) or files.

    The field ``recipe`` says which of ``RECIPES`` it is. An override without ``=`` that ends in
    .yaml is a file whose fields replace those of the files before it. Raises ConfigError naming
    the file and the field that is unknown, missing or wrong.
    """
    return generic.load(path, overrides, parse_config)


def parse_config(
    data: dict[str, Any], overrides: Sequence[str] = ()
) -> LabelFreeConfig | SupervisedConfig:
    """Turn the plain values of a YAML file into a configuration; raises as ``load_config``."""
    generic.apply_overrides(data, overrides)
    fields = dict(data)
    recipe = fields.pop('recipe', None)
    if recipe not in RECIPES:
        raise ConfigError(f'recipe must be one of {", ".join(RECIPES)}, got {recipe!r}')
    config: LabelFreeConfig | SupervisedConfig = generic.build(RECIPES[recipe], fields)
    return config
