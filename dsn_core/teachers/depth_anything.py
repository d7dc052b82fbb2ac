"""Depth Anything V2, a foundation model of relative depth, through the transformers library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.teachers.base import DepthTeacher, Ranger
from dsn_core.teachers.fingerprint import fingerprint_of
from dsn_core.teachers.pictures import size_of_short
from dsn_core.teachers.pretrained import (
    answer_to,
    load_pretrained,
    pretrained_digest,
    require_pretrained,
)

__all__ = ['DepthAnythingTeacher']


@dataclass(frozen=True)
class DepthAnythingTeacher(DepthTeacher, kind='depth_anything'):
    """Depth Anything V2 (Yang et al., NeurIPS 2024): disparity up to scale and shift."""

    model: str = 'depth-anything/Depth-Anything-V2-Small-hf'
    """Name on the hub, or a folder with config.json and model.safetensors. The default is the
    small one, under Apache-2.0; Base and Large are better and under CC-BY-NC-4.0: what is
    distilled from them may not be used commercially."""
    revision: str = 'main'
    """Branch, tag or commit of a hub model."""
    short_side: int = 518
    """Pictures are shown to it with their shorter side this long, pixels, in multiples of 14;
    518 is what it was trained on."""
    precision: str = 'fp32'
    """fp32, or bf16 (mixed), which is faster on a GPU."""

    affine = True

    def __post_init__(self) -> None:
        require_pretrained(self.model, self.short_side, self.precision)

    def fingerprint(self) -> str:
        digest = pretrained_digest(self.model, self.revision)
        return fingerprint_of(self.kind, digest, self.short_side, self.precision)

    def load(self, device: str) -> Ranger:
        network = load_pretrained(
            self.model, self.revision, 'DepthAnythingForDepthEstimation', 'depth_anything', device
        )
        if network.config.depth_estimation_type != 'relative':
            raise UserError(
                f'model {self.model} says metres, which this teacher does not read: '
                'take a relative one (Depth-Anything-V2-Small-hf)'
            )
        return _DepthAnything(network, self.short_side, self.precision, device)


class _DepthAnything:
    def __init__(self, network: Any, short_side: int, precision: str, device: str) -> None:
        self._network = network
        self._short_side = short_side
        self._precision = precision
        self._device = device

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.float32]:
        """See ``Ranger``. As published: cubic, shape kept, ImageNet's mean and deviation."""
        import torch

        height, width = images.shape[1:3]
        size = size_of_short(height, width, self._short_side, self._network.config.patch_size)
        out = answer_to(images, size, self._network, self._precision, self._device)
        disparity = out.predicted_depth  # (N, h, w)
        with torch.inference_mode():
            full = torch.nn.functional.interpolate(
                disparity[:, None].float(),
                size=(height, width),
                mode='bilinear',
                align_corners=False,
            )[:, 0]  # (N, H, W)
            found: NDArray[np.float32] = full.clamp(min=0).cpu().numpy()
            return found
