"""An engine that sees a bag's ground truth in a unit of its own: for what makes metres of it."""

from pathlib import Path

import numpy as np

from dsn_core.labels import CITYSCAPES
from dsn_ros.bags import open_bag
from dsn_ros.engines import Prediction
from dsn_ros.messages import image_view
from support.stand_in_engine import OneSize, metadata

DEMO = Path(__file__).resolve().parents[2] / 'demo' / 'street'
SKY = CITYSCAPES.id_of('sky')


class TrueDepthEngine(OneSize):
    """Answers the n-th picture with the n-th true depth / ``unit`` of the demo bag.

    Where the truth is not known (sky, far away) it says 100 / ``unit``.
    """

    name, device, precision = 'truth', 'CPU', 'fp32'

    def __init__(self, unit, bag=DEMO, limit=None, **changes):
        self.truth = []
        depths, labels = '/ground_truth/depth/image', '/ground_truth/labels/image'
        with open_bag(bag) as opened:
            held = {}
            for message in opened.messages([depths, labels]):
                held[message.topic] = np.array(image_view(opened.deserialize(message)))
                if len(held) == 2:
                    self.truth.append((held.pop(depths), held.pop(labels)))
                if len(self.truth) == limit:
                    break
        self.unit = unit
        height, width = self.truth[0][0].shape
        fields = {'height': height, 'width': width, 'scale': 'relative', **changes}
        self.metadata = metadata(**fields)
        self.calls = 0

    def infer(self, images):
        depth, labels = self.truth[self.calls % len(self.truth)]
        self.calls += 1
        metres = np.where(depth > 0, depth / 1000, 100)
        sure = np.full(labels.shape, 255, np.uint8)
        return Prediction((metres / self.unit).astype(np.float32)[None], labels[None], sure[None])

    def close(self):
        pass
