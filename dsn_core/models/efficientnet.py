"""EfficientNet-Lite0 and -Lite2 without classifier, giving the features of their five stages.

A fifth and a third of ResNet-18's work at the same size: for weak robots, and because weights of
them that have seen ImageNet are published under Apache-2.0. Ours, because timm imports
torchvision; the state dict has timm's names (``tf_efficientnet_lite0``, ``..._lite2``), so that
its files load as they are.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import pad

__all__ = ['EfficientNetEncoder', 'EfficientNetLite2Encoder']

_EPSILON = 1e-3  # of the batch norms, as TensorFlow trained them
_STEM = 32


class _Stage(NamedTuple):
    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


_LITE0 = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)
# 1.1 times as wide, rounded to eights, and 1.2 times as deep but for the first and the last stage
_LITE2 = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 3),
    _Stage(6, 5, 2, 48, 3),
    _Stage(6, 3, 2, 88, 4),
    _Stage(6, 5, 1, 120, 4),
    _Stage(6, 5, 2, 208, 5),
    _Stage(6, 3, 1, 352, 1),
)
_FEATURES = (0, 1, 2, 4, 6)  # the last stages at stride 2, 4, 8, 16, 32


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME does it, for sizes that the stride divides.

    At stride 2 the odd row and column of padding are at the bottom and on the right. Weights
    trained so would see everything half a pixel off with torch's even padding.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        total = kernel - stride
        self.uneven = (total // 2, total - total // 2) * 2 if total % 2 else None
        super().__init__(
            in_channels,
            channels,
            kernel,
            stride,
            padding=0 if self.uneven else total // 2,
            groups=groups,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.uneven is None else pad(x, self.uneven))


class DepthwiseBlock(nn.Module):
    """The first stage's block: depthwise, then to the channels wanted, no expansion."""

    conv_norms = (('conv_dw', 'bn1'), ('conv_pw', 'bn2'))

    def __init__(self, in_channels: int, channels: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        self.conv_dw = _SameConv2d(in_channels, in_channels, stage.kernel, stride, in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels, _EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv_dw(x)))
        out: Tensor = self.bn2(self.conv_pw(x))
        return out


class InvertedResidual(nn.Module):
    """Expand, depthwise, project, and a shortcut where shapes allow (Sandler et al. 2018)."""

    conv_norms = (('conv_pw', 'bn1'), ('conv_dw', 'bn2'), ('conv_pwl', 'bn3'))

    def __init__(self, in_channels: int, channels: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner = stage.expansion * in_channels
        self.conv_pw = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, _EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.conv_dw = _SameConv2d(inner, inner, stage.kernel, stride, inner)
        self.bn2 = nn.BatchNorm2d(inner, _EPSILON)
        self.conv_pwl = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels, _EPSILON)
        self.has_shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.act(self.bn2(self.conv_dw(y)))
        out: Tensor = self.bn3(self.conv_pwl(y))
        return x + out if self.has_shortcut else out


def _stage(in_channels: int, stage: _Stage) -> nn.Sequential:
    block = DepthwiseBlock if stage.expansion == 1 else InvertedResidual
    blocks = [block(in_channels, stage.channels, stage, stage.stride)]
    for _ in range(stage.blocks - 1):
        blocks.append(block(stage.channels, stage.channels, stage, 1))
    return nn.Sequential(*blocks)


class EfficientNetEncoder(nn.Module):
    """EfficientNet-Lite0; ``channels`` are those of the five features, strides 2 to 32."""

    published = 'lite0'
    """By which name its weights are published."""
    stages = _LITE0
    channels = tuple(_LITE0[i].channels for i in _FEATURES)
    conv_norms = (('conv_stem', 'bn1'),)

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, _STEM, 3, 2)
        self.bn1 = nn.BatchNorm2d(_STEM, _EPSILON)
        self.act = nn.ReLU6(inplace=True)
        widths = (_STEM, *(stage.channels for stage in self.stages))
        self.blocks = nn.Sequential(
            *(_stage(width, stage) for width, stage in zip(widths, self.stages, strict=False))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, 3, H, W) in [0, 1] → five features (B, channels[i], H / 2^(i+1), ...).

        Normalised as the published weights were trained: (x - 127) / 128 of a uint8 picture.
        """
        x = (image * 255 - 127) / 128
        x = self.act(self.bn1(self.conv_stem(x)))
        features = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in _FEATURES:
                features.append(x)
        return features


class EfficientNetLite2Encoder(EfficientNetEncoder):
    """EfficientNet-Lite2: of the same kind, deeper and a little wider."""

    published = 'lite2'
    stages = _LITE2
    channels = tuple(_LITE2[i].channels for i in _FEATURES)
