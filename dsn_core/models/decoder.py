"""The decoders: the U-Net of Monodepth2 [17], once for disparity, once for classes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dsn_core.models.padding import ReflectConv2d

__all__ = ['Decoder', 'disparity_to_depth']

CHANNELS = (16, 32, 64, 128, 256)  # of the paper's up-stages that end at stride 1, 2, 4, 8, 16
SCALES = (0, 1, 2, 3)  # heads at strides 1, 2, 4, 8


class UpStage(nn.Module):
    """Convolve, double the size, join the encoder's feature, convolve."""

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.before = ReflectConv2d(in_channels, channels)
        self.after = ReflectConv2d(channels + skip_channels, channels)
        self.elu = nn.ELU(inplace=True)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = self.elu(self.before(x))
        x = interpolate(x, scale_factor=2.0, mode='nearest')
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        out: Tensor = self.elu(self.after(x))
        return out


class Decoder(nn.Module):
    """Features of the encoder → raw head outputs at strides 1, 2, 4, 8 (keys 0, 1, 2, 3).

    ``channels`` are those of the up-stages that end at stride 1, 2, 4, 8, 16; ``finest`` is the
    scale of the finest heads that there are.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        out_channels: int,
        channels: Sequence[int] = CHANNELS,
        finest: int = 0,
    ) -> None:
        super().__init__()
        self.finest = finest
        stages: list[nn.Module] = []
        in_channels = encoder_channels[-1]
        for i in reversed(range(finest, 5)):
            skip = encoder_channels[i - 1] if i > 0 else 0
            stages.append(UpStage(in_channels, skip, channels[i]))
            in_channels = channels[i]
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList(
            ReflectConv2d(channels[s], out_channels) for s in SCALES if s >= finest
        )

    def forward(self, features: Sequence[Tensor], scales: Sequence[int]) -> dict[int, Tensor]:
        """Five features, strides 2 to 32 → {s: (B, out_channels, H / 2^s, W / 2^s)}.

        Only for scales that have heads.
        """
        x = features[-1]
        outputs: dict[int, Tensor] = {}
        for i, stage in zip(reversed(range(self.finest, 5)), self.stages, strict=True):
            x = stage(x, features[i - 1] if i > 0 else None)
            if i in scales:
                outputs[i] = self.heads[i - self.finest](x)
        return outputs


def disparity_to_depth(disparity: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """Sigmoid disparity in (0, 1) → depth between ``min_depth`` and ``max_depth`` ([17])."""
    low, high = 1.0 / max_depth, 1.0 / min_depth
    return 1.0 / (low + (high - low) * disparity)
