"""Random views, frames and labels, as all that the total loss may want."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.losses import (
    Frames,
    LossInputs,
    LossWeights,
    PseudoLabels,
    View,
)
from dsn_core.models import Perceived
from support.loss_reference import SlantedPlane, images, tensors

NOTHING = LossWeights(
    light=0, self_supervision=0, consistency=0, depth_distillation=0, segmentation=0
)
GROUPS = ('light', 'self_supervision', 'consistency', 'depth_distillation', 'segmentation')
SKY = 10


def view(seed):
    """A random picture and random outputs, as leaves that remember their gradient."""
    image, light = images(seed, 1, 3, 32, 48), images(seed + 1, 1, 3, 32, 48) - 0.5
    disparities = {s: images(seed + 2 + s, 1, 1, 32 >> s, 48 >> s) for s in range(4)}
    logits = {s: 4 * images(seed + 6 + s, 1, 19, 32 >> s, 48 >> s) for s in range(4)}

    def leaf(array):
        return torch.from_numpy(array).requires_grad_(True)

    light_leaf = leaf(light)
    perceived = Perceived(
        {s: leaf(d) for s, d in disparities.items()},
        {s: leaf(x) for s, x in logits.items()},
        light_leaf,
        torch.from_numpy(image) + light_leaf,
    )
    return View(torch.from_numpy(image), perceived)


def frames(seed):
    plane = SlantedPlane()
    transforms = [plane.transform(translation=(x, 0.1, -0.2))[None] for x in (-0.3, 0.3)]
    target, before, after = tensors(*(images(seed + i, 1, 3, 32, 48) for i in range(3)))
    poses = tuple(t.requires_grad_(True) for t in tensors(*transforms))
    k = torch.from_numpy(plane.intrinsics)
    distances = tuple(tensors(np.array([0.5]), np.array([0.4])))
    return Frames(target, (before, after), poses, k, distances)


def random_inputs():
    rng = np.random.default_rng(1)
    day_ids, night_ids = rng.integers(0, 19, (2, 1, 32, 48))
    night_ids[:, :12] = SKY
    return LossInputs(
        day=view(100),
        synthetic_night=view(200),
        night=view(300),
        synthetic_day=view(400),
        day_frames=frames(500),
        night_frames=frames(600),
        teacher_disparity=torch.from_numpy(images(700, 1, 1, 32, 48) + 0.5),
        day_labels=PseudoLabels(*tensors(day_ids, images(701, 1, 32, 48))),
        night_labels=PseudoLabels(*tensors(night_ids)),
    )


def generator():
    return torch.Generator().manual_seed(4)
