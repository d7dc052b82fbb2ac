"""Reflection padding that stays in the precision it is called in.

On CPUs autocast counts reflection padding among the operations that need fp32: each pad of a bf16
map would be widened, padded and narrowed again, three passes over memory where one will do. A pad
only copies.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

__all__ = ['ReflectConv2d', 'ReflectPad2d']


def _reflect(x: Tensor, width: int) -> Tensor:
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return pad(x, (width,) * 4, mode='reflect')
    x = x.to(torch.get_autocast_dtype(device))  # what the convolution behind it would do
    with torch.autocast(device, enabled=False):
        return pad(x, (width,) * 4, mode='reflect')


class ReflectPad2d(nn.Module):
    """Reflect ``width`` pixels at each side: (B, C, H, W) → (B, C, H + 2 width, W + 2 width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Padded ``x``, in the precision autocast asks for."""
        return _reflect(x, self.width)


class ReflectConv2d(nn.Conv2d):
    """A 3x3 convolution that keeps the size, its borders reflected; weights as nn.Conv2d's."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, out_channels, H, W)."""
        return conv2d(_reflect(x, 1), self.weight, self.bias)
