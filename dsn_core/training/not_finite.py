"""A loss that is no number ends the training: named, and with the batch that it came of."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from dsn_core.errors import UserError
from dsn_core.files import replacing
from dsn_core.training import world

__all__ = ['NotFiniteError', 'require_finite']


class NotFiniteError(UserError, FloatingPointError):
    """A loss that is NaN or infinite; the text names it, the batch and the remedy."""


def require_finite(
    terms: Mapping[str, Tensor], batch: Mapping[str, Any], work: Path, step: int, remedy: str
) -> None:
    """Raise NotFiniteError naming the first of ``terms`` (scalars) that is not finite, if any.

    The tensors of ``batch`` are left in ``work`` as not-finite-RANK.safetensors; the frames that
    its entries ``*_name`` list are named. ``remedy``: what to do if the frames are well.
    """
    numbers = torch.stack([term.detach().float() for term in terms.values()]).tolist()
    values = dict(zip(terms, numbers, strict=True))
    bad = next((name for name, value in values.items() if not math.isfinite(value)), None)
    if bad is None:
        return
    names = [n for key in batch if key.endswith('_name') for n in batch[key]]
    on = f' on {", ".join(names)}' if names else ''
    path = work / f'not-finite-{world.rank()}.safetensors'
    tensors = {k: v.detach().cpu().contiguous() for k, v in batch.items() if isinstance(v, Tensor)}
    try:
        with replacing(path) as beside:
            save_file(tensors, beside)
        kept = f'the batch is kept as {path}'
    except (UserError, SafetensorError) as error:  # that is not what the training ends for
        kept = f'the batch is not kept: {error}'
    raise NotFiniteError(
        f'step {step}: {bad} is {values[bad]}{on}; {kept}: look at those frames, or {remedy}'
    )
