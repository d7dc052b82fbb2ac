"""An engine whose answers one can write down: for what happens around the network."""

import numpy as np

from dsn_core.golden import GoldenFigures
from dsn_core.labels import CITYSCAPES
from dsn_core.metadata import ModelMetadata
from dsn_ros.engines import Prediction

HEIGHT, WIDTH = 64, 96
SKY, ROAD, CAR = 10, 0, 13


def metadata(**changes):
    size = (changes.get('height', HEIGHT), changes.get('width', WIDTH))
    nothing = np.zeros(size, np.uint8)
    golden = GoldenFigures.of(np.ones(size, np.float32), nothing, nothing)
    fields = {
        'name': 'stand-in',
        'height': HEIGHT,
        'width': WIDTH,
        'class_names': CITYSCAPES.names,
        'min_depth': 0.1,
        'max_depth': 100.0,
        'scale': 'metric',
        'focal_length': None,
        'precision': 'fp32',
        'training_data': 'none',
        'checkpoint_sha256': '',
        'golden': golden,
    }
    return ModelMetadata(**{**fields, **changes})


class OneSize:
    """Answers at the size that its ``metadata`` say, and at no other."""

    def size_for(self, height, width):
        return self.metadata.size


class StandInEngine(OneSize):
    """Depth 100 / (1 + row), sky in the top eight rows, a car where the picture is red.

    Confidence is the picture's green channel.
    """

    name, device, precision = 'stand-in', 'CPU', 'fp32'

    def __init__(self, **changes):
        self.metadata = metadata(**changes)
        self.calls = 0

    def infer(self, images):
        self.calls += 1
        n, height, width, _ = images.shape
        assert (height, width) == self.metadata.size
        rows = np.arange(height, dtype=np.float32)[None, :, None]
        depth = np.broadcast_to(100 / (1 + rows), (n, height, width)).copy()
        labels = np.full((n, height, width), ROAD, np.uint8)
        labels[images[..., 0] > 200] = CAR
        labels[:, :8] = SKY
        return Prediction(depth, labels, images[..., 1].copy())

    def close(self):
        pass
