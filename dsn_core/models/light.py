"""The light enhancement module (paper 3.2): a map that is added to the image.

The paper's [41] (DANNet) uses a far larger one (4.3 M parameters). This one gives the paper's
Table 4 exactly: 166,787 parameters and, counted as thop counts, 20.573 GMACs at 320 x 576.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from dsn_core.models.padding import ReflectPad2d

__all__ = ['LightModule']


class LightModule(nn.Module):
    """Encoder-decoder with one downsampling; the caller adds its output to the image.

    ``halves``: it works on the picture at half its size, and its map is doubled.
    """

    def __init__(self, width: int = 64, halves: bool = False) -> None:
        super().__init__()
        self.halves = halves
        self.layers = nn.Sequential(
            ReflectPad2d(3),
            nn.Conv2d(3, width, 7, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(
                2 * width, width, 3, stride=2, padding=1, output_padding=1, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            ReflectPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )

    def start_at_nothing(self) -> None:
        """Let a fresh module's light map be 0 everywhere: the enhanced image is the image."""
        last = self.layers[-2]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] → light map (B, 3, H, W) in (-1, 1).

        H and W are even, and multiples of four where the module ``halves``.
        """
        if not self.halves:
            light: Tensor = self.layers(image)
            return light
        light = self.layers(avg_pool2d(image, 2))
        return interpolate(light, scale_factor=2.0, mode='bilinear', align_corners=False)
