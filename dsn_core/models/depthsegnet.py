"""DepthSegNet24: light module, shared encoder, a decoder for depth and one for classes.

Reads from top to bottom as Figure 2 of the paper does from left to right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dsn_core.models.context import Context
from dsn_core.models.decoder import SCALES, Decoder, disparity_to_depth
from dsn_core.models.light import LightModule
from dsn_core.models.variants import PAPER, VARIANTS

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
    ``variant`` is a name of ``VARIANTS``.
    """

    def __init__(
        self,
        num_classes: int = 19,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        light: bool = True,
        variant: str = PAPER,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.variant = variant
        self.light = self.make_light() if light else None
        parts = VARIANTS[variant]
        self.finest = parts.finest
        self.encoder = parts.encoder()
        self.context = Context(parts.encoder.channels[-1]) if parts.context else None

        def decoder(out_channels: int) -> Decoder:
            widths = parts.encoder.channels
            return Decoder(widths, out_channels, parts.decoder_channels, parts.finest)

        self.depth_decoder = decoder(1)
        self.seg_decoder = decoder(num_classes) if num_classes else None

    def make_light(self) -> LightModule:
        """A fresh light module of this variant."""
        parts = VARIANTS[self.variant]
        return LightModule(parts.light_width, parts.light_halves)

    def forward(
        self,
        image: Tensor,
        scales: Sequence[int] = SCALES,
        label_scales: Sequence[int] | None = None,
    ) -> Perceived:
        """Image (B, 3, H, W) in [0, 1], H and W multiples of 32 → disparities, classes, light.

        ``label_scales`` are those of the classes, where they are not to be ``scales``.
        """
        if self.light is None:
            light = torch.zeros_like(image)  # (B, 3, H, W)
            enhanced = image
        else:
            light = self.light(image)  # (B, 3, H, W)
            enhanced = image + light
        features = self.encoder(enhanced)  # strides 2, 4, 8, 16, 32
        if self.context is not None:
            features[-1] = self.context(features[-1])
        raw_disparities = self._heads(self.depth_decoder, features, scales, 'bilinear')
        # In bfloat16 a sigmoid is exactly 1 from 6 on, and its gradient 0: never to come back.
        disparities = {s: torch.sigmoid(raw.float()) for s, raw in raw_disparities.items()}
        logits = {}
        if self.seg_decoder is not None:
            scales = scales if label_scales is None else label_scales
            logits = self._heads(self.seg_decoder, features, scales, 'nearest')
        return Perceived(disparities, logits, light, enhanced)

    def _heads(
        self, decoder: Decoder, features: Sequence[Tensor], scales: Sequence[int], mode: str
    ) -> dict[int, Tensor]:
        """Raw outputs at ``scales``; those finer than any head are doubled from the finest.

        Classes by nearest neighbour: whatever is made of them at the finest head's size can then
        be doubled in their stead.
        """
        outputs = decoder(features, {max(s, self.finest) for s in scales})
        found = {}
        for s in scales:
            found[s] = outputs[max(s, self.finest)]
            if s < self.finest:
                corners = False if mode == 'bilinear' else None
                factor = 2.0 ** (self.finest - s)
                found[s] = interpolate(
                    found[s], scale_factor=factor, mode=mode, align_corners=corners
                )
        return found

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
