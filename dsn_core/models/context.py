"""Context for an encoder that sees little of a large picture at a time.

Depth hangs on where in the whole picture a thing stands. EfficientNet-Lite0 was made for 224
pixels; at 576 its coarsest feature knows its surroundings, not the street.
"""

from torch import Tensor, nn

__all__ = ['Context']

_DILATIONS = (1, 2, 4)  # 3x3 each: together 15 cells, which at stride 32 is 480 pixels


class Context(nn.Module):
    """Dilated convolutions over the coarsest feature, added to it; begins as no change."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.ELU(inplace=True)]
        for dilation in _DILATIONS:
            layers.append(nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation))
            layers.append(nn.ELU(inplace=True))
        last = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        """Feature (B, channels, h, w) → the same shape."""
        out: Tensor = x + self.layers(x)
        return out
