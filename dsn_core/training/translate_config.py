"""Configuration of the translation between day and night."""

from dataclasses import dataclass
from pathlib import Path

from dsn_core.errors import require

__all__ = ['TranslateConfig']

_SMALLEST_CROP = 32  # the discriminator's last feature maps have 2 x 2 pixels then


@dataclass(frozen=True)
class TranslateConfig:
    """CycleGAN, trained on the frames of both domains. Defaults are those of [47]."""

    epochs: int = 100
    """Epochs at the full learning rate."""
    decay_epochs: int = 100
    """Epochs after them, over which the learning rate falls linearly to zero."""
    samples_per_epoch: int = 0
    """Pairs of a day and a night crop that make an epoch; 0: as many as the larger domain has
    frames."""
    batch_size: int = 1
    """Pairs a step, of all processes together."""
    learning_rate: float = 2e-4
    """Adam's, of generators and discriminators alike; its beta1 is 0.5."""
    width: int = 64
    """Channels of the networks' first layers."""
    blocks: int = 9
    """Residual blocks of a generator."""
    load_height: int = 286
    """Height that a frame is resized to before it is cropped, its aspect kept, pixels."""
    crop: tuple[int, ...] = (256,)
    """Height and width of a crop, or the side of a square one; pixels, multiples of 4."""
    cycle_weight: float = 10.0
    """Weight of the cycle losses (there and back), the adversarial losses weighing 1."""
    identity_weight: float = 5.0
    """Weight of the identity losses (a day picture made day stays as it is); 0: none."""
    pool: int = 50
    """Generated pictures of each domain that are kept to show the discriminators again; 0: they
    see the latest only."""
    jpeg_quality: int = 95
    """Of the translated frames, 1 to 100."""
    generators: Path | None = None
    """Generators trained before (``generators.safetensors`` of another run): none are trained,
    and only ``jpeg_quality`` of the other fields counts."""

    def __post_init__(self) -> None:
        for name in ('epochs', 'decay_epochs', 'samples_per_epoch', 'pool'):
            require(getattr(self, name) >= 0, name, 'zero or more', getattr(self, name))
        require(self.epochs + self.decay_epochs > 0, 'epochs', 'above zero', self.epochs)
        for name in ('batch_size', 'width', 'blocks', 'load_height'):
            require(getattr(self, name) > 0, name, 'above zero', getattr(self, name))
        require(0 < self.learning_rate < 1, 'learning_rate', '0 to 1', self.learning_rate)
        require(
            len(self.crop) in (1, 2)
            and all(side >= _SMALLEST_CROP and side % 4 == 0 for side in self.crop),
            'crop',
            f'a side, or height and width, multiples of 4 from {_SMALLEST_CROP} on',
            list(self.crop),
        )
        require(
            self.load_height >= self.crop[0],
            'load_height',
            f'at least the height of crop, {self.crop[0]}',
            self.load_height,
        )
        require(self.cycle_weight > 0, 'cycle_weight', 'above zero', self.cycle_weight)
        require(self.identity_weight >= 0, 'identity_weight', 'zero or more', self.identity_weight)
        require(1 <= self.jpeg_quality <= 100, 'jpeg_quality', '1 to 100', self.jpeg_quality)

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of a crop."""
        return self.crop[0], self.crop[-1]
