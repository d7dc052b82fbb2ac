"""Samples of the joint training: a day frame and a night frame, with all that the losses need.

Sample i is the same whenever it is asked for. Both domains are gone through in a new order every
time, independently: the frames of a pair are of different places.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dsn_core.data.jitter import ColourJitter
from dsn_core.teachers.storage import read_inverse_depth, read_labels
from dsn_core.training.frame_store import FrameStore, read_picture
from dsn_core.training.label_free_config import ScheduleConfig

__all__ = ['Domain', 'Pairs']


class Domain(NamedTuple):
    """One domain's frames, and the folders of what was made of them."""

    name: str
    """day or night."""
    frames: FrameStore
    synthetic: Path | None = None
    """Their translations, NAME.jpg."""
    labels: Path | None = None
    """Their pseudo-labels, NAME.png."""
    inverse_depth: Path | None = None
    """The teacher's depth of them, NAME.png."""


class Pairs(Dataset[dict[str, Any]]):
    """``count`` samples of one domain or of a day and a night domain.

    A sample holds, for each domain d (float32 in [0, 1] unless said otherwise):

    - ``d`` (3, H, W), as the network is shown it, and ``d_name``, the frame's ('day/000012');
    - ``d_target`` (3, H, W) and ``d_sources`` (2, 3, H, W), t - 1 and t + 1, before any jitter;
    - ``d_pose_frames`` (3, 3, H, W): t - 1, t, t + 1 as PoseNet is shown them;
    - ``d_intrinsics`` (3, 3), pixels, and ``d_distances`` (2,), metres to the sources, or nan;
    - ``d_synthetic`` (3, H, W): its translation to the other time of day;
    - ``d_labels`` (H, W) uint8, and ``d_confidence`` (H, W);
    - ``d_disparity`` (1, H, W): the depth teacher's, up to scale.

    What a domain has no folder for is absent.
    """

    def __init__(
        self, domains: tuple[Domain, ...], schedule: ScheduleConfig, seed: int, count: int
    ) -> None:
        self.domains = domains
        self._schedule = schedule
        self._seed = seed
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, index])
        sample: dict[str, Any] = {}
        for number, domain in enumerate(self.domains):
            targets = domain.frames.targets
            lap, place = divmod(index, len(targets))
            frame = int(targets[_order(self._seed, number, lap, len(targets))[place]])
            flip = bool(rng.random() < self._schedule.flip)
            changed = bool(rng.random() < self._schedule.jitter)
            jitter = ColourJitter.draw(rng) if changed else ColourJitter()
            for key, value in _views(domain, frame, flip, jitter).items():
                sample[f'{domain.name}{key}'] = value
        return sample


@lru_cache(maxsize=8)
def _order(seed: int, domain: int, lap: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, domain, lap, count]).permutation(count)


def _views(domain: Domain, index: int, flip: bool, jitter: ColourJitter) -> dict[str, Any]:
    frames = domain.frames
    name = frames.name(index)
    size = (frames.height, frames.width)

    def turned(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array[:, ::-1]) if flip else array

    def unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return turned(image).astype(np.float32) / np.float32(255)

    around = [unit(frames.image(i)) for i in (index - 1, index, index + 1)]
    jittered = [jitter(image) for image in around]
    intrinsics = frames.intrinsics(index)
    if flip:
        intrinsics[0, 2] = frames.width - 1 - intrinsics[0, 2]
    distances = [frames.distance(i, index) for i in (index - 1, index + 1)]
    views: dict[str, Any] = {
        '': _chw(jittered[1]),
        '_name': f'{domain.name}/{name}',
        '_target': _chw(around[1]),
        '_sources': torch.stack([_chw(around[0]), _chw(around[2])]),
        '_pose_frames': torch.stack([_chw(image) for image in jittered]),
        '_intrinsics': torch.from_numpy(intrinsics.astype(np.float32)),
        '_distances': torch.tensor(distances, dtype=torch.float32),
    }
    if domain.synthetic is not None:
        synthetic = read_picture(domain.synthetic / f'{name}.jpg', size)
        views['_synthetic'] = _chw(jitter(unit(synthetic)))
    if domain.labels is not None:
        ids, confidence = read_labels(domain.labels / f'{name}.png')
        views['_labels'] = torch.from_numpy(turned(ids))
        views['_confidence'] = torch.from_numpy(turned(confidence)).float() / 255
    if domain.inverse_depth is not None:
        disparity = read_inverse_depth(domain.inverse_depth / f'{name}.png')
        views['_disparity'] = torch.from_numpy(turned(disparity))[None]
    return views


def _chw(image: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()
