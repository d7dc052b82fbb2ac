"""What others would run for the same answers: networks in eager PyTorch, as they publish them.

Random weights: how long a network takes does not depend on them.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsn_core.models import DepthSegNet
from dsn_core.models.decoder import SCALES, Decoder
from dsn_core.models.encoder import ResNetEncoder
from dsn_core.profile import profile

__all__ = ['DEPTH_ONLY', 'TWO_NETWORKS', 'peer_macs', 'peers']

DEPTH_ONLY = 'Monodepth2 (depth only), PyTorch eager'
TWO_NETWORKS = 'two networks (depth, labels), PyTorch eager'

_PARTS = {
    DEPTH_ONLY: ('encoder', 'depth_decoder'),
    TWO_NETWORKS: ('encoder', 'depth_decoder', 'encoder', 'seg_decoder'),
}


class _LabelsOnly(nn.Module):
    """The same shape for labels alone, with an encoder of its own."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.encoder = ResNetEncoder()
        self.decoder = Decoder(ResNetEncoder.channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] → class ids (B, H, W)."""
        logits: Tensor = self.decoder(self.encoder(image), SCALES)[0]
        return logits.argmax(dim=1)


def peers(
    device: str, num_classes: int, threads: int | None = None
) -> dict[str, Callable[[NDArray[np.uint8]], object]]:
    """Both peers on ``device`` ('CPU' or 'cuda:0'), in fp32, NCHW, without a rewrite, by name.

    They get what our engines get, pictures (N, H, W, 3) uint8, and give depth (N, 1, H, W) and
    labels (N, H, W) back, host to host.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    place = device.lower()
    # Without a light module and without classes it is Monodepth2's very network.
    depth = DepthSegNet(num_classes=0, light=False).eval().to(place)
    labels = _LabelsOnly(num_classes).eval().to(place)

    @torch.inference_mode()
    def depth_only(images: NDArray[np.uint8]) -> Tensor:
        return depth.depth(depth(_tensor(images, place)).disparities[0]).cpu()

    @torch.inference_mode()
    def two_networks(images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        return depth_only(images), labels(_tensor(images, place)).byte().cpu()

    return {DEPTH_ONLY: depth_only, TWO_NETWORKS: two_networks}


@lru_cache(maxsize=8)
def peer_macs(height: int, width: int, num_classes: int) -> dict[str, int]:
    """Multiply-adds of each peer for one picture, with all of its heads, as it is published."""
    costs = profile(height, width, num_classes)
    return {name: sum(costs[p].true_macs for p in parts) for name, parts in _PARTS.items()}


def _tensor(images: NDArray[np.uint8], place: str) -> Tensor:
    """(N, H, W, 3) uint8 → (N, 3, H, W) float32 in [0, 1], as torchvision's ToTensor makes it."""
    batch = torch.from_numpy(images).to(place).permute(0, 3, 1, 2)
    return batch.contiguous().float() / 255
