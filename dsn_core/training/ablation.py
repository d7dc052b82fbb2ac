"""An ablation: variants of one training, each from the same stages, in the same budget.

Below the ablation's folder, ``shared`` holds the stages before ``distil`` for all of them, and
``runs/VARIANT/seed-N`` what a variant trained with a seed. Nothing is copied, and nothing that is
done is done again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dsn_core.errors import UserError
from dsn_core.training import world
from dsn_core.training.ablation_config import Ablation, Variant
from dsn_core.training.label_free import train_label_free
from dsn_core.training.network_training import CHECKPOINT
from dsn_core.training.plan import STAGES
from dsn_core.training.run_story import tell_story
from dsn_core.training.shared_stages import SharedStages

__all__ = ['Trained', 'train_variants']

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What became of a variant with a seed."""

    variant: Variant
    seed: int
    checkpoint: Path | None
    """The trained network; None: training failed."""
    failure: str = ''
    """Why it failed: the term that is not finite, and the frames."""


def train_variants(ablation: Ablation, only: Sequence[str] = ()) -> list[Trained]:
    """Train the variants named in ``only``, or all, with every seed; those done stay as they are.

    A training whose loss is not finite is told in its ``Trained`` and the others go on; with
    several processes, which would wait for each other for ever, the error is raised. Raises
    UserError naming what cannot be used, KeyboardInterrupt when stopped. Run again, it goes on.
    """
    world.join()
    names = [variant.name for variant in ablation.variants]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UserError(f'there is no variant {unknown[0]}: choose from {", ".join(names)}')
    # Of all variants: what is shared must not depend on who asks for it.
    shared = SharedStages(
        ablation.base.out, ablation.base, [variant.config for variant in ablation.variants]
    )
    tell_story(ablation.base)
    return [
        _train(ablation, variant, seed, shared)
        for seed in ablation.config.seeds
        for variant in ablation.variants
        if not only or variant.name in only
    ]


def _train(ablation: Ablation, variant: Variant, seed: int, shared: SharedStages) -> Trained:
    out = ablation.config.out / 'runs' / variant.name / f'seed-{seed}'
    config = replace(variant.config, out=out, seed=seed)
    _logger.info('variant %s, seed %d', variant.name, seed)
    try:
        train_label_free(config, STAGES[-1] if ablation.config.export else 'distil', shared)
    except FloatingPointError as error:
        if world.size() > 1:
            raise
        _logger.error('variant %s, seed %d failed: %s', variant.name, seed, error)
        return Trained(variant, seed, None, str(error))
    return Trained(variant, seed, out / 'distil' / CHECKPOINT)
