"""The network as it runs on the robot: pictures in, depth, labels and confidence out.

The same answers as ``DepthSegNet`` with less work. Every rewrite here is exact in real
arithmetic (a test holds each against the network as trained):

- batch norms folded into the convolutions before them;
- the light module's last convolution (7x7, 64 → 3 at full size), whose three output channels
  waste most of a SIMD register, as an 8x8 convolution of stride 2 with twelve outputs and a pixel
  shuffle;
- only the finest heads are kept, and where these are at half the size (``lite``), labels and
  confidence are made there and doubled, not the map of all classes.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dsn_core.labels import UNLABELLED
from dsn_core.models.depthsegnet import DepthSegNet
from dsn_core.models.variants import VARIANTS

__all__ = ['DeployNet', 'fold_batch_norms', 'half_rate_convolution']


def _folded(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> nn.Module:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    folded = copy.deepcopy(conv)
    folded.weight, folded.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
    return folded


def _fold(owner: nn.Module, conv: str, norm: str) -> None:
    setattr(owner, conv, _folded(getattr(owner, conv), getattr(owner, norm)))
    setattr(owner, norm, nn.Identity())


def fold_batch_norms(network: DepthSegNet) -> None:
    """Fold every batch norm of ``network`` into the convolution before it, in place."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for i, layer in enumerate(list(module)):
                if isinstance(layer, nn.BatchNorm2d):
                    _fold(module, str(i - 1), str(i))
        for conv, norm in getattr(module, 'conv_norms', ()):
            _fold(module, conv, norm)


class HalfRateConvolution(nn.Module):
    """A k x k convolution (stride 1, valid) as one of stride 2 that makes 2 x 2 outputs at once.

    Output pixel (2i + a, 2j + b) reads inputs from (2i + a, 2j + b) on: the same window of
    (k + 1) x (k + 1) inputs from (2i, 2j) on serves all four, with the kernel shifted by (a, b).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        out_channels, in_channels, height, width = conv.weight.shape
        weight = conv.weight.new_zeros(out_channels, 2, 2, in_channels, height + 1, width + 1)
        for a in (0, 1):
            for b in (0, 1):
                weight[:, a, b, :, a : a + height, b : b + width] = conv.weight
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, (height + 1, width + 1), stride=2)
        self.conv.weight = nn.Parameter(weight.flatten(0, 2))
        assert conv.bias is not None
        self.conv.bias = nn.Parameter(conv.bias.repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(x), 2)


def half_rate_convolution(conv: nn.Conv2d) -> nn.Module:
    """``conv`` (stride 1, no padding of its own, with bias) at half the rate; even sizes."""
    if conv.stride != (1, 1) or conv.padding != (0, 0) or conv.bias is None:
        raise ValueError('half_rate_convolution takes a stride 1 convolution without padding')
    return HalfRateConvolution(conv)


def _doubled(x: Tensor, times: int) -> Tensor:
    """Map (B, h, w), each pixel repeated 2^``times`` times along both sides."""
    for _ in range(times):
        x = x[:, :, None, :, None].expand(-1, -1, 2, -1, 2).flatten(3, 4).flatten(1, 2)
    return x


class DeployNet(nn.Module):
    """The deploy graph: uint8 pictures in, everything a robot needs out, nothing outside."""

    def __init__(self, network: DepthSegNet) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval().requires_grad_(False)
        fold_batch_norms(network)
        if network.light is not None:
            last = network.light.layers[-2]
            assert isinstance(last, nn.Conv2d)
            network.light.layers[-2] = half_rate_convolution(last)
        # The coarser scales' heads serve the losses only.
        for decoder in (network.depth_decoder, network.seg_decoder):
            if decoder is not None:
                decoder.heads = decoder.heads[:1]
        self.network = network.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``image`` (B, H, W, 3) uint8 RGB → depth, labels, confidence, each (B, H, W).

        Depth float32 in the network's units, labels uint8 class ids, confidence uint8: the
        winning class's probability x 255, rounded. A network without classes says 255
        (unlabelled) and 0 everywhere.
        """
        dtype = next(self.network.parameters()).dtype
        x = image.to(dtype).permute(0, 3, 1, 2) / 255  # (B, 3, H, W)
        finest = self.network.finest
        perceived = self.network(x, scales=(0,), label_scales=(finest,))
        depth = self.network.depth(perceived.disparities[0].float())[:, 0]  # (B, H, W)
        if self.network.seg_decoder is None:
            unsure = torch.zeros_like(depth, dtype=torch.uint8)
            return depth, unsure + UNLABELLED, unsure
        logits = perceived.logits[finest]  # (B, C, h, w)
        best, classes = logits.max(dim=1)  # (B, h, w)
        # The winner's softmax is 1 / sum(exp(logit - best)): no division map of C channels.
        winner = 1 / (logits - best[:, None]).float().exp().sum(dim=1)  # (B, h, w)
        labels, confidence = classes.to(torch.uint8), (winner * 255).round().to(torch.uint8)
        return depth, _doubled(labels, finest), _doubled(confidence, finest)

    @classmethod
    def from_onnx(cls, path: Path, data: bytes | None = None) -> 'DeployNet':
        """The network whose parameters are those of a deploy graph, ``data`` or else ``path``.

        Raises ValueError if the graph's parameters are not those of the variant it says it is.
        """
        import onnx
        from onnx import numpy_helper

        from dsn_core.metadata import METADATA_KEY, ModelMetadata

        model = onnx.load_from_string(path.read_bytes() if data is None else data)
        props = {p.key: p.value for p in model.metadata_props}
        if METADATA_KEY not in props:
            raise ValueError(f'{path} has no {METADATA_KEY!r} metadata: export it with dsn export')
        metadata = ModelMetadata.from_json(props[METADATA_KEY])
        if metadata.variant not in VARIANTS:
            raise ValueError(f'{path} is of variant {metadata.variant!r}, which is not known here')
        found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        network = DepthSegNet(
            len(metadata.class_names),
            metadata.min_depth,
            metadata.max_depth,
            light=any(name.startswith('network.light.') for name in found),
            variant=metadata.variant,
        )
        deploy = cls(network)
        state = deploy.state_dict()
        missing = [n for n, p in state.items() if n not in found or found[n].shape != p.shape]
        if missing:
            raise ValueError(
                f'{path} is not a DepthSegNet that PyTorch can run: '
                f'{len(missing)} parameters are missing or of another shape, first {missing[0]}'
            )
        deploy.load_state_dict({n: torch.from_numpy(found[n].copy()).float() for n in state})
        return deploy
