"""CycleGAN's networks ([47], appendix 7.2): a generator for each direction and a PatchGAN each.

Used before training only, to make the paper's synthetic nights and days. Instance normalisation
has no parameters and no running statistics here, so that a network does the same in training and
after it, and every convolution has a bias.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm

__all__ = ['Discriminator', 'Generator']

_STD = 0.02  # [47]: weights start as N(0, 0.02), biases at zero


class Generator(nn.Module):
    """[47]'s ResNet generator: picture of one domain → the same scene in the other.

    c7s1-64, d128, d256, nine residual blocks, u128, u64, c7s1-3 in [47]'s notation; 11,378,179
    parameters.
    """

    stride = 4
    """Height and width of a picture must be multiples of this."""

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, width, 7),
            *_normalised(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            *_normalised(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            *_normalised(),
            *(_Block(4 * width) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
            *_normalised(),
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            *_normalised(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )
        _initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) in [-1, 1] → translated, of the same shape, in (-1, 1)."""
        translated: Tensor = self.layers(image)
        return translated


class Discriminator(nn.Module):
    """[47]'s PatchGAN: which patches of a picture look real.

    C64-C128-C256-C512 and a last convolution to one channel, no sigmoid (least squares GAN);
    with three ``layers`` a patch is 70 x 70 pixels; 2,764,737 parameters.
    """

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        channels = [width * min(2**n, 8) for n in range(layers + 1)]
        body: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), _leaky()]
        for n in range(1, layers + 1):
            stride = 2 if n < layers else 1
            body += [
                nn.Conv2d(channels[n - 1], channels[n], 4, stride=stride, padding=1),
                _InstanceNorm(),
                _leaky(),
            ]
        self.layers = nn.Sequential(*body, nn.Conv2d(channels[-1], 1, 4, padding=1))
        _initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) in [-1, 1] → scores (B, 1, H / 8 - 2, W / 8 - 2), 1 = real."""
        scores: Tensor = self.layers(image)
        return scores


class _InstanceNorm(nn.Module):
    """Each channel of each picture brought to mean 0 and variance 1.

    Group normalisation with a group for each channel is the same, and faster. torch's own
    ``InstanceNorm2d`` has a wrong gradient, on the CPU at least (2.13), for a batch of one and a
    gradient that comes back with its channels last.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # its sums are in fp32 anyhow
            return group_norm(x, x.shape[1])


class _Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, nothing after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            *_normalised(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            _InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def _normalised() -> Iterator[nn.Module]:
    yield _InstanceNorm()
    yield nn.ReLU(inplace=True)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, std=_STD)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
