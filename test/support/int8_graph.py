"""A small deploy graph as a network with depthwise convolutions makes it; needs no torch."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.int8.answers import answers
from dsn_core.metadata import METADATA_KEY, ModelMetadata

HEIGHT, WIDTH = 64, 96
CLASSES = ('road', 'sky', 'building')


class Builder:
    """Adds nodes and weights; each method returns the name of what it makes."""

    def __init__(self):
        self.rng = np.random.default_rng(3)
        self.nodes, self.weights = [], {}

    def constant(self, name, value):
        self.weights[name] = np.asarray(value)
        return name

    def node(self, kind, *inputs, name=None, **attributes):
        name = name or f'{kind.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def conv(self, x, part, size, stride=1, pads=(1, 1, 1, 1), group=1):
        out, channels, kernel = size
        weight = self.rng.normal(size=(out, channels, kernel, kernel))
        weight = (weight / np.sqrt(channels * kernel**2 / 2)).astype(np.float32)
        w = self.constant(f'network.{part}.weight', weight)
        b = self.constant(f'network.{part}.bias', np.float32(self.rng.normal(size=out) * 0.1))
        return self.node('Conv', x, w, b, strides=[stride] * 2, pads=list(pads), group=group)

    def relu6(self, x):
        low, high = self.constant('low', np.float32(0)), self.constant('high', np.float32(6))
        return self.node('Clip', x, low, high)

    def depthwise(self, x, part, channels, stride):
        x = self.conv(x, f'{part}.conv_dw', (channels, 1, 3), stride, group=channels)
        # Folded batch norms leave channels a hundred times apart: one step for all loses most.
        spread = np.geomspace(0.05, 5, channels).astype(np.float32)
        self.weights[f'network.{part}.conv_dw.weight'] *= spread[:, None, None, None]
        return self.relu6(x)

    def decoder(self, x, skip, part, classes):
        pads = self.constant('pads', np.array([0, 0, 1, 1, 0, 0, 1, 1]))
        twice = self.constant('twice', np.float32([1, 1, 2, 2]))
        x = self.conv(self.node('Pad', x, pads, mode='reflect'), f'{part}.stages.0.before',
                      (16, 24, 3), pads=(0,) * 4)  # fmt: skip
        x = self.node('Resize', self.node('Elu', x), '', twice, mode='nearest')
        x = self.node('Pad', self.node('Concat', x, skip, axis=1), pads, mode='reflect')
        x = self.node('Elu', self.conv(x, f'{part}.stages.0.after', (16, 32, 3), pads=(0,) * 4))
        x = self.node('Pad', x, pads, mode='reflect')
        x = self.conv(x, f'{part}.heads.0', (classes, 16, 3), pads=(0,) * 4)
        return self.node('Resize', x, '', twice, mode='linear')


def depthwise_graph(change=lambda weights: None):
    """The graph, with metadata and golden figures; ``change`` may alter the weights before."""
    b = Builder()
    x = b.node('Transpose', b.node('Cast', 'image', to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = b.node('Div', x, b.constant('full', np.float32(255)))
    stem = b.relu6(b.conv(x, 'encoder.conv_stem', (16, 3, 3), stride=2))
    x = b.depthwise(stem, 'encoder.blocks.0', 16, 2)
    x = b.conv(x, 'encoder.blocks.0.conv_pw', (24, 16, 1), pads=(0,) * 4)
    y = b.depthwise(x, 'encoder.blocks.1', 24, 1)
    y = b.conv(y, 'encoder.blocks.1.conv_pw', (24, 24, 1), pads=(0,) * 4)
    x = b.node('Add', y, x)
    disparity = b.node('Sigmoid', b.decoder(x, stem, 'depth_decoder', 1))
    axes = b.constant('channel', np.array([1]))
    disparity = b.node('Add', disparity, b.constant('least', np.float32(0.1)))
    b.node('Squeeze', b.node('Reciprocal', disparity), axes, name='depth')
    logits = b.decoder(x, stem, 'seg_decoder', len(CLASSES))
    labels = b.node('ArgMax', logits, axis=1, keepdims=0)
    b.node('Cast', labels, to=TensorProto.UINT8, name='labels')
    sure = b.node('ReduceMax', b.node('Softmax', logits, axis=1), axes, keepdims=0)
    sure = b.node('Mul', sure, 'full')
    b.node('Cast', sure, to=TensorProto.UINT8, name='confidence')
    b.weights['network.seg_decoder.heads.0.weight'] *= 4
    change(b.weights)
    return _model(b)


def _model(b):
    batch = ['N', HEIGHT, WIDTH]
    graph = helper.make_graph(
        b.nodes,
        'depthwise',
        [helper.make_tensor_value_info('image', TensorProto.UINT8, [*batch, 3])],
        [
            helper.make_tensor_value_info('depth', TensorProto.FLOAT, batch),
            helper.make_tensor_value_info('labels', TensorProto.UINT8, batch),
            helper.make_tensor_value_info('confidence', TensorProto.UINT8, batch),
        ],
        [numpy_helper.from_array(value, name) for name, value in b.weights.items()],
    )
    opset = [helper.make_opsetid('', 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(model)
    (answer,) = answers(model, [golden_frame(HEIGHT, WIDTH)])
    metadata = ModelMetadata(
        name='depthwise', height=HEIGHT, width=WIDTH, class_names=CLASSES, min_depth=0.1,
        max_depth=100.0, scale='relative', focal_length=None, precision='fp32',
        training_data='nothing', checkpoint_sha256='', golden=GoldenFigures.of(*answer),
    )  # fmt: skip
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    return model


def streets(count, seed=0):
    """Frames of the graph's size that differ in light and in place."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        picture = np.roll(golden_frame(HEIGHT, WIDTH), rng.integers(WIDTH), axis=1)
        noise = rng.normal(scale=6, size=picture.shape)
        frames.append((picture * rng.uniform(0.3, 1) + noise).clip(0, 255).astype(np.uint8))
    return frames
