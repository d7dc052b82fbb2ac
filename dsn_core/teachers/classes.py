"""Class names of a teacher → Cityscapes' train ids."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.labels import CITYSCAPES, UNLABELLED

__all__ = ['train_id_table']

_UNLABELLED_NAME = 'unlabelled'


def train_id_table(names: Sequence[str], who: str) -> NDArray[np.uint8]:
    """(256,) uint8: the train id of the class at each place of ``names``, at most 255.

    Names are Cityscapes', in any case, with spaces, underscores or hyphens; 'unlabelled' and what
    lies beyond ``names`` become 255. Raises UserError beginning with ``who`` (the model and where
    its names are set) if one is none of them.
    """
    known = {name: i for i, name in enumerate(CITYSCAPES.names)} | {_UNLABELLED_NAME: UNLABELLED}
    plain = [name.lower().replace('_', ' ').replace('-', ' ').strip() for name in names]
    foreign = [name for name, key in zip(names, plain, strict=True) if key not in known]
    if foreign:
        raise UserError(
            f"{who}: {len(foreign)} of its {len(names)} classes are not Cityscapes', first "
            f'{foreign[0]!r}: take a model trained on Cityscapes'
        )
    table = np.full(256, UNLABELLED, dtype=np.uint8)
    table[: len(names)] = [known[key] for key in plain]
    return table
