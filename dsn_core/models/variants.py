"""The network's variants: the paper's, and lighter ones of the same shape for weak robots."""

from dataclasses import dataclass, replace

from dsn_core.models.decoder import CHANNELS
from dsn_core.models.efficientnet import EfficientNetEncoder, EfficientNetLite2Encoder
from dsn_core.models.encoder import ResNetEncoder

__all__ = ['PAPER', 'VARIANTS', 'Variant']

PAPER = 'paper'


@dataclass(frozen=True)
class Variant:
    """What the parts of a network are. Light module, encoder, two decoders: always these four."""

    encoder: type[ResNetEncoder] | type[EfficientNetEncoder]
    decoder_channels: tuple[int, ...]
    """Of the decoders' up-stages that end at stride 1, 2, 4, 8, 16."""
    finest: int
    """Scale of the finest heads: at 1, scale 0 is scale 1 doubled."""
    context: bool
    """Whether the encoder's coarsest feature is given context from further away."""
    light_width: int
    """Channels of the light module at its input's size; twice as many at half of it."""
    light_halves: bool
    """Whether the light map is made at half the picture's size and doubled."""


_LITE = Variant(
    encoder=EfficientNetEncoder,
    decoder_channels=(0, 24, 40, 64, 128),
    finest=1,
    context=True,
    light_width=16,
    light_halves=True,
)
VARIANTS = {
    PAPER: Variant(
        encoder=ResNetEncoder,
        decoder_channels=CHANNELS,
        finest=0,
        context=False,
        light_width=64,
        light_halves=False,
    ),
    'lite': _LITE,
    'lite2': replace(
        _LITE, encoder=EfficientNetLite2Encoder, decoder_channels=(0, 24, 48, 80, 160)
    ),
}
"""By name. ``paper`` is Table 4's; ``lite`` does a sixth of its work, ``lite2`` a fifth."""
