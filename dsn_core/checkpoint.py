"""Checkpoints: the weights as safetensors, with what they are as JSON in the same file's header.

Never a pickle: loading a checkpoint runs no code.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from dsn_core.errors import UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.models import DepthSegNet

__all__ = ['CheckpointError', 'CheckpointInfo', 'load_checkpoint', 'save_checkpoint', 'sha256']

_KEY = 'dsn'


class CheckpointError(UserError):
    """A checkpoint that cannot be read; the text names the file and the remedy."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's network is and what it was trained on.

    ``scale`` and ``focal_length`` mean the same as in ``ModelMetadata``; ``focal_length`` is in
    pixels at ``width``.
    """

    name: str
    height: int
    width: int
    training_data: str
    class_names: tuple[str, ...] = CITYSCAPES.names
    min_depth: float = 0.1
    max_depth: float = 100.0
    light: bool = True
    scale: str = 'relative'
    focal_length: float | None = None

    def build(self) -> DepthSegNet:
        """A network of this shape, freshly initialised."""
        return DepthSegNet(len(self.class_names), self.min_depth, self.max_depth, self.light)


def save_checkpoint(path: Path, network: DepthSegNet, info: CheckpointInfo) -> None:
    """Write ``path`` whole or not at all: beside it first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f'{path.name}.partial')
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, beside, metadata={_KEY: json.dumps(asdict(info))})
    os.replace(beside, path)


def load_checkpoint(path: Path) -> tuple[DepthSegNet, CheckpointInfo]:
    """Read what ``save_checkpoint`` wrote; raises CheckpointError naming what is wrong."""
    if not path.is_file():
        raise CheckpointError(f'{path}: no such checkpoint')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
        if _KEY not in metadata:
            raise CheckpointError(
                f'{path} has no {_KEY!r} entry in its header: not a checkpoint of dsn train'
            )
        fields = json.loads(metadata[_KEY])
        info = CheckpointInfo(**{**fields, 'class_names': tuple(fields['class_names'])})
        network = info.build()
        network.load_state_dict(load_file(path))
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f'{path} is not a checkpoint of dsn train: {error}') from error
    except RuntimeError as error:  # load_state_dict: names or shapes of another network
        first_line = str(error).splitlines()[0]
        raise CheckpointError(f'{path} holds another network: {first_line}') from error
    return network, info


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
