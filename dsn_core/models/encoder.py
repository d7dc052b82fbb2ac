"""ResNet-18 without its classifier, giving the features of its five stages.

Ours, because torchvision has no CPU wheel on PyPI for every torch; the state dict has
torchvision's names, so that ImageNet weights load as they are.
"""

from torch import Tensor, nn

__all__ = ['ResNetEncoder']


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    conv_norms = (('conv1', 'bn1'), ('conv2', 'bn2'))

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + shortcut)
        return out


def _stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(in_channels, channels, stride),
        BasicBlock(channels, channels),
    )


class ResNetEncoder(nn.Module):
    """ResNet-18; ``channels`` are those of the five features, strides 2, 4, 8, 16, 32."""

    channels = (64, 64, 128, 256, 512)
    conv_norms = (('conv1', 'bn1'),)

    def __init__(self, images: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 * images, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 128, 2)
        self.layer3 = _stage(128, 256, 2)
        self.layer4 = _stage(256, 512, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, 3, H, W) in [0, 1] → five features (B, channels[i], H / 2^(i+1), ...).

        Normalised by one mean and spread for day and night alike, as [17] does: at test time
        nobody has to say which of the two it is.
        """
        x = (image - 0.45) / 0.225
        x = self.relu(self.bn1(self.conv1(x)))
        features = [x]  # stride 2
        x = self.layer1(self.maxpool(x))
        features.append(x)  # stride 4
        for layer in (self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)  # stride 8, 16, 32
        return features
