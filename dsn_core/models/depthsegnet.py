"""DepthSegNet24: light module, shared encoder, a decoder for depth and one for classes.

Reads from top to bottom as Figure 2 of the paper does from left to right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dsn_core.models.decoder import SCALES, Decoder, disparity_to_depth
from dsn_core.models.encoder import ResNetEncoder
from dsn_core.models.light import LightModule

__all__ = ['DepthSegNet', 'Perceived']


class Perceived(NamedTuple):
    """What the network makes of a batch of images (B, 3, H, W).

    Keys of the dictionaries are the scales s; their maps are H / 2^s x W / 2^s.
    """

    disparities: dict[int, Tensor]  # (B, 1, h, w), sigmoid, in (0, 1)
    logits: dict[int, Tensor]  # (B, num_classes, h, w); none without classes
    light: Tensor  # (B, 3, H, W) in (-1, 1)
    enhanced: Tensor  # (B, 3, H, W): image + light


class DepthSegNet(nn.Module):
    """One network for monocular depth and semantic segmentation, by day and by night.

    ``light=False`` leaves the light module out (Table 5's LE ablation, Monodepth2-naive);
    ``num_classes=0`` the decoder for classes, which leaves Monodepth2 [17] when both are out.
    """

    def __init__(
        self,
        num_classes: int = 19,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        light: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.light = LightModule() if light else None
        self.encoder = ResNetEncoder()
        self.depth_decoder = Decoder(ResNetEncoder.channels, 1)
        self.seg_decoder = Decoder(ResNetEncoder.channels, num_classes) if num_classes else None

    def forward(self, image: Tensor, scales: Sequence[int] = SCALES) -> Perceived:
        """Image (B, 3, H, W) in [0, 1], H and W multiples of 32 → disparities, classes, light."""
        if self.light is None:
            light = torch.zeros_like(image)  # (B, 3, H, W)
            enhanced = image
        else:
            light = self.light(image)  # (B, 3, H, W)
            enhanced = image + light
        features = self.encoder(enhanced)  # strides 2, 4, 8, 16, 32
        raw_disparities = self.depth_decoder(features, scales)
        # In bfloat16 a sigmoid is exactly 1 from 6 on, and its gradient 0: never to come back.
        disparities = {s: torch.sigmoid(raw.float()) for s, raw in raw_disparities.items()}
        logits = {} if self.seg_decoder is None else self.seg_decoder(features, scales)
        return Perceived(disparities, logits, light, enhanced)

    def start_at(self, logit: float) -> None:
        """Let a fresh network's disparity be about sigmoid(``logit``) everywhere.

        Without it that is 0.5, which leaves near things less than one doubling above the middle.
        """
        for head in self.depth_decoder.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.constant_(head.bias, logit)

    def depth(self, disparity: Tensor) -> Tensor:
        """Depth of a disparity map of this network, same shape, in the network's units."""
        return disparity_to_depth(disparity, self.min_depth, self.max_depth)
