"""Checkpoints: the weights as safetensors, with what they are as JSON in the same file's header.

Never a pickle: loading a checkpoint runs no code. The header's entry ``dsn`` holds the fields of
``CheckpointInfo``, or ``{"kind": "pose"}`` where the file is a PoseNet, which only training needs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dsn_core.errors import UserError
from dsn_core.files import replacing
from dsn_core.labels import CITYSCAPES
from dsn_core.models import DepthSegNet
from dsn_core.models.pose import PoseNet
from dsn_core.models.variants import PAPER, VARIANTS

__all__ = [
    'HEADER',
    'POSE_FILE',
    'CheckpointError',
    'CheckpointInfo',
    'load_checkpoint',
    'load_pose',
    'matching_state',
    'read_safetensors',
    'save_checkpoint',
    'save_pose',
    'save_safetensors',
]

HEADER = 'dsn'
"""The entry of a safetensors header that tells our files from others."""
_POSE = 'pose'
POSE_FILE = 'pose.safetensors'
"""What training calls a network's PoseNet, beside its checkpoint."""


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
    variant: str = PAPER

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f'variant must be one of {", ".join(VARIANTS)}, got {self.variant!r}')

    def build(self) -> DepthSegNet:
        """A network of this shape, freshly initialised."""
        return DepthSegNet(
            len(self.class_names), self.min_depth, self.max_depth, self.light, self.variant
        )


def save_checkpoint(path: Path, network: DepthSegNet, info: CheckpointInfo) -> None:
    """Write ``path`` whole or not at all: beside it first, then renamed."""
    save_safetensors(path, network, asdict(info))


def save_pose(path: Path, pose: PoseNet) -> None:
    """Write ``path`` as ``save_checkpoint`` does: what training goes on with, not for robots."""
    save_safetensors(path, pose, {'kind': _POSE})


def load_checkpoint(path: Path) -> tuple[DepthSegNet, CheckpointInfo]:
    """Read what ``save_checkpoint`` wrote; raises CheckpointError naming what is wrong."""
    fields, tensors = _load(path)
    if fields.get('kind') == _POSE:
        raise CheckpointError(f'{path} holds a PoseNet: give the checkpoint of the network itself')
    try:
        info = CheckpointInfo(**{**fields, 'class_names': tuple(fields['class_names'])})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f'{path} is not a checkpoint of dsn train: {error}') from error
    network = info.build()
    network.load_state_dict(matching_state(path, tensors, network, 'the network of its header'))
    return network, info


def load_pose(path: Path) -> PoseNet:
    """Read what ``save_pose`` wrote; raises CheckpointError naming what is wrong."""
    fields, tensors = _load(path)
    if fields.get('kind') != _POSE:
        raise CheckpointError(f'{path} holds no PoseNet: give the file that training wrote of it')
    pose = PoseNet()
    pose.load_state_dict(matching_state(path, tensors, pose, 'a PoseNet'))
    return pose


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header entries and tensors, on the CPU, of any safetensors file.

    Raises CheckpointError naming the file that is missing, cut short or something else.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such checkpoint')
    try:
        with safe_open(path, framework='pt') as file:
            header = file.metadata() or {}
        return header, load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} cannot be read as safetensors: {error}') from error


def matching_state(
    path: Path,
    tensors: Mapping[str, Tensor],
    module: nn.Module,
    what: str,
    theirs: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """State dict of ``module`` from the ``tensors`` of file ``path``, every one of them used.

    ``theirs`` gives their name of a tensor of ours. The counters of batch norms, which nothing
    here reads, may be absent. Raises CheckpointError that ``path`` does not hold ``what``, naming
    the first tensor that is missing, of another shape, of integers, not finite, or too many.
    """

    def wrong(name: str, why: str) -> CheckpointError:
        return CheckpointError(f'{path} does not hold {what}: tensor {name} {why}')

    state: dict[str, Tensor] = {}
    for ours, mine in module.state_dict().items():
        name = theirs(ours)
        if name not in tensors:
            if not ours.endswith('num_batches_tracked'):
                raise wrong(name, 'is missing')
            state[ours] = mine
            continue
        found = tensors[name]
        if found.shape != mine.shape:
            raise wrong(name, f'is {tuple(found.shape)}, must be {tuple(mine.shape)}')
        if found.is_floating_point() != mine.is_floating_point():
            raise wrong(name, f'is {found.dtype}, must be {mine.dtype}')
        # Not isfinite(found).all(): that allocates as much again.
        if not torch.isfinite(torch.stack(torch.aminmax(found))).all():
            raise wrong(name, 'has values that are not finite')
        state[ours] = found
    unused = set(tensors) - {theirs(ours) for ours in state}
    if unused:
        raise wrong(min(unused), 'has no place there')
    return state


def save_safetensors(path: Path, module: nn.Module, fields: Mapping[str, object]) -> None:
    """Write the weights of ``module``, with ``fields`` as the header's entry HEADER."""
    with replacing(path) as beside:
        state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        try:
            save_file(state, beside, metadata={HEADER: json.dumps(fields)})
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(str(error)) from error


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    header, tensors = read_safetensors(path)
    if HEADER not in header:
        raise CheckpointError(
            f'{path} has no {HEADER!r} entry in its header: not a checkpoint of dsn train'
        )
    try:
        fields = json.loads(header[HEADER])
    except json.JSONDecodeError as error:
        raise CheckpointError(f'{path} is not a checkpoint of dsn train: {error}') from error
    if not isinstance(fields, dict):
        raise CheckpointError(f'{path} is not a checkpoint of dsn train: its header is {fields!r}')
    return fields, tensors
