"""Checkpoints of dsn train as teachers: the day model of Eq 15, or labels of an older network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.teachers.base import DepthTeacher, Labeller, Labels, LabelTeacher, Ranger
from dsn_core.teachers.classes import train_id_table
from dsn_core.teachers.fingerprint import files_digest, fingerprint_of
from dsn_core.teachers.pictures import resized

if TYPE_CHECKING:
    from torch import Tensor

    from dsn_core.models import DepthSegNet, Perceived

__all__ = ['CheckpointDepthTeacher', 'CheckpointLabelTeacher']


@dataclass(frozen=True)
class CheckpointLabelTeacher(LabelTeacher, kind='checkpoint'):
    """The labels of a network that dsn train made."""

    path: Path
    """The checkpoint, NAME.safetensors."""

    def fingerprint(self) -> str:
        return _fingerprint(self.kind, self.path)

    def load(self, device: str) -> Labeller:
        return _Labeller(_Network(self.path, device))


@dataclass(frozen=True)
class CheckpointDepthTeacher(DepthTeacher, kind='checkpoint'):
    """The depth of a network that dsn train made, by its day-depth stage for instance."""

    path: Path
    """The checkpoint, NAME.safetensors."""

    affine = False

    def fingerprint(self) -> str:
        return _fingerprint(self.kind, self.path)

    def load(self, device: str) -> Ranger:
        return _Ranger(_Network(self.path, device))


def _fingerprint(kind: str, path: Path) -> str:
    if not path.is_file():
        raise UserError(f'{path}: no such checkpoint')
    return fingerprint_of(kind, files_digest([path], path.parent))


class _Network:
    """A checkpoint's network, shown pictures at the size it was trained on."""

    def __init__(self, path: Path, device: str) -> None:
        from dsn_core.checkpoint import load_checkpoint

        network, self.info = load_checkpoint(path)
        self.path = path
        self.network: DepthSegNet = network.eval().requires_grad_(False).to(device)
        self._device = device

    def __call__(self, images: NDArray[np.uint8]) -> 'Perceived':
        """Pictures (N, H, W, 3) → what the network makes of them at its own size, scale 0."""
        import torch

        shown = resized(images, self.info.height, self.info.width)
        pixels = torch.from_numpy(shown).to(self._device).permute(0, 3, 1, 2)  # (N, 3, h, w)
        perceived: Perceived = self.network(pixels.contiguous().float() / 255, scales=(0,))
        return perceived


class _Labeller:
    def __init__(self, network: _Network) -> None:
        self._network = network
        self._table = train_id_table(network.info.class_names, f'checkpoint {network.path}')

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """See ``Labeller``. Confidence is the softmax's, enlarged to the picture's size."""
        import torch

        with torch.inference_mode():
            probabilities = self._network(images).logits[0].softmax(dim=1)  # (N, C, h, w)
            best, winner = _enlarged(probabilities, images).max(dim=1)  # (N, H, W)
            confidence = (best * 255).round().byte().cpu().numpy()
        return Labels(self._table[winner.cpu().numpy()], confidence)


class _Ranger:
    def __init__(self, network: _Network) -> None:
        self._network = network

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.float32]:
        """See ``Ranger``; in 1 / the network's unit."""
        import torch

        with torch.inference_mode():
            disparity = self._network(images).disparities[0]  # (N, 1, h, w)
            inverse = 1 / self._network.network.depth(disparity)
            found: NDArray[np.float32] = _enlarged(inverse, images)[:, 0].cpu().numpy()
        return found


def _enlarged(maps: 'Tensor', images: NDArray[np.uint8]) -> 'Tensor':
    """``maps`` (N, C, h, w) at the size of ``images`` (N, H, W, 3)."""
    from torch.nn.functional import interpolate

    size = (images.shape[1], images.shape[2])
    if maps.shape[2:] == size:
        return maps
    return interpolate(maps, size=size, mode='bilinear', align_corners=False)
