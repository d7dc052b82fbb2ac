"""Monodepth2's networks from a dictionary of tensors under its names, in functions alone.

Written from the published names and shapes and from the paper's description; nothing of ours is
used. Tensors are random: what is loaded under a wrong name gives another answer.
"""

import torch
from torch.nn import functional

DECODER_CHANNELS = (16, 32, 64, 128, 256)
ENCODER_CHANNELS = (64, 64, 128, 256, 512)


def resnet18(prefix='', images=1, seed=0, counters=True):
    """Random tensors under torchvision's names; ``counters``: num_batches_tracked too."""
    random = torch.Generator().manual_seed(seed)
    tensors = {}

    def conv(name, out, inside, size):
        spread = (2 / (inside * size * size)) ** 0.5
        weight = spread * torch.randn(out, inside, size, size, generator=random)
        tensors[f'{prefix}{name}.weight'] = weight

    def norm(name, channels):
        name = f'{prefix}{name}'
        tensors[f'{name}.weight'] = 0.5 + torch.rand(channels, generator=random)
        tensors[f'{name}.bias'] = 0.2 * torch.randn(channels, generator=random)
        tensors[f'{name}.running_mean'] = 0.2 * torch.randn(channels, generator=random)
        tensors[f'{name}.running_var'] = 1 + torch.rand(channels, generator=random)
        if counters:
            tensors[f'{name}.num_batches_tracked'] = torch.tensor(1234)

    conv('conv1', 64, 3 * images, 7)
    norm('bn1', 64)
    inside = 64
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            place = f'layer{stage}.{block}'
            conv(f'{place}.conv1', channels, inside, 3)
            norm(f'{place}.bn1', channels)
            conv(f'{place}.conv2', channels, channels, 3)
            norm(f'{place}.bn2', channels)
            if inside != channels:
                conv(f'{place}.downsample.0', channels, inside, 1)
                norm(f'{place}.downsample.1', channels)
            inside = channels
    tensors[f'{prefix}fc.weight'] = torch.zeros(10, 512)
    tensors[f'{prefix}fc.bias'] = torch.zeros(10)
    return tensors


def depth_decoder(seed=1):
    """Random tensors under the names of ``depth.pth``."""
    random = torch.Generator().manual_seed(seed)
    shapes = []
    inside = ENCODER_CHANNELS[-1]
    for i in (4, 3, 2, 1, 0):
        out = DECODER_CHANNELS[i]
        skip = ENCODER_CHANNELS[i - 1] if i else 0
        shapes += [('conv.conv', out, inside), ('conv.conv', out, out + skip)]
        inside = out
    shapes += [('conv', 1, DECODER_CHANNELS[s]) for s in range(4)]
    tensors = {}
    for number, (name, out, inside) in enumerate(shapes):
        weight = torch.randn(out, inside, 3, 3, generator=random) / (3 * inside**0.5)
        tensors[f'decoder.{number}.{name}.weight'] = weight
        tensors[f'decoder.{number}.{name}.bias'] = 0.1 * torch.randn(out, generator=random)
    return tensors


def pose_decoder(seed=2, motions=2):
    """Random tensors under the names of ``pose.pth``; as published it says two motions."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(256, 512, 1), (256, 256, 3), (256, 256, 3), (6 * motions, 256, 1)]
    tensors = {}
    for number, (out, inside, size) in enumerate(shapes):
        weight = torch.randn(out, inside, size, size, generator=random)
        tensors[f'net.{number}.weight'] = weight * (2 / (inside * size * size)) ** 0.5
        tensors[f'net.{number}.bias'] = torch.randn(out, generator=random)
    return tensors


def features(tensors, image, prefix='encoder.'):
    """Five features of pictures (B, 3 n, H, W) in [0, 1], strides 2 to 32."""

    def norm(x, name):
        t = {
            kind: tensors[f'{prefix}{name}.{kind}'].to(x)
            for kind in ('running_mean', 'running_var', 'weight', 'bias')
        }
        return functional.batch_norm(x, **t, training=False, eps=1e-5)

    def conv(x, name, stride, padding):
        weight = tensors[f'{prefix}{name}.weight'].to(x)
        return functional.conv2d(x, weight, stride=stride, padding=padding)

    x = conv((image - 0.45) / 0.225, 'conv1', 2, 3)
    found = [functional.relu(norm(x, 'bn1'))]
    x = functional.max_pool2d(found[0], 3, 2, padding=1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            place = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = functional.relu(norm(conv(x, f'{place}.conv1', stride, 1), f'{place}.bn1'))
            y = norm(conv(y, f'{place}.conv2', 1, 1), f'{place}.bn2')
            if stride == 2:
                x = norm(conv(x, f'{place}.downsample.0', 2, 0), f'{place}.downsample.1')
            x = functional.relu(x + y)
        found.append(x)
    return found


def disparities(encoder, decoder, image):
    """Disparities of the four scales of pictures (B, 3, H, W) in [0, 1]."""

    def conv(x, number, name):
        x = functional.pad(x, (1, 1, 1, 1), mode='reflect')
        weight = decoder[f'decoder.{number}.{name}.weight'].to(x)
        return functional.conv2d(x, weight, decoder[f'decoder.{number}.{name}.bias'].to(x))

    skips = features(encoder, image)
    x, found = skips[-1], {}
    for number, i in enumerate((4, 3, 2, 1, 0)):
        x = functional.elu(conv(x, 2 * number, 'conv.conv'))
        x = functional.interpolate(x, scale_factor=2, mode='nearest')
        if i > 0:
            x = torch.cat([x, skips[i - 1]], dim=1)
        x = functional.elu(conv(x, 2 * number + 1, 'conv.conv'))
        if i < 4:
            found[i] = torch.sigmoid(conv(x, 10 + i, 'conv'))
    return found


def motion(encoder, decoder, first, second):
    """Axis-angle and translation (B, 3) between two pictures (B, 3, H, W) in [0, 1]."""
    x = features(encoder, torch.cat([first, second], dim=1))[-1]
    for number in range(4):
        weight = decoder[f'net.{number}.weight'].to(x)
        bias = decoder[f'net.{number}.bias'].to(x)
        x = functional.conv2d(x, weight, bias, padding=1 if number in (1, 2) else 0)
        if number < 3:
            x = functional.relu(x)
    x = 0.01 * x.mean(dim=3).mean(dim=2).view(len(first), -1, 6)[:, 0]
    return x[:, :3], x[:, 3:]
