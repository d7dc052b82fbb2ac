"""The obstacle cloud: what a costmap's obstacle or voxel layer is to mark, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_ros.pipeline import Perception

__all__ = ['OBSTACLE_DTYPE', 'ObstacleOptions', 'obstacle_classes', 'obstacle_cloud']

OBSTACLE_DTYPE = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('label', 'u1')])

_NEIGHBOURS = 3  # of the nine pixels around and at a pixel; a line one pixel wide has three
_TALL = 4  # a costmap flattens height: the points are better spent on the plan
_FARTHEST, _FINEST = 1000.0, 0.01  # metres
_STRIP_BYTES = 2**18  # of a picture at a time: what lies in the cache is not fetched again
_INDEX = 2**32 - 1
_BITS = 63  # of a whole number's, but its sign
_FAR_RANK = 0x7F800000 << 32  # from that of infinity on


@dataclass(frozen=True)
class ObstacleOptions:
    """Which obstacle points a costmap gets.

    ``max_range``: metres from the camera. ``min_confidence``: of the class, 0 to 1. ``voxel``:
    width of the boxes, metres, four times as high along the picture's y, of which each keeps one
    point. ``max_points``: where there are more the nearest stay.
    """

    max_range: float = 20.0
    min_confidence: float = 0.0
    voxel: float = 0.1
    max_points: int = 5000

    def __post_init__(self) -> None:
        if not 0 < self.max_range <= _FARTHEST:
            raise ValueError(
                f'obstacles.max_range must be above 0 to {_FARTHEST:g} m, got {self.max_range}'
            )
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f'obstacles.min_confidence must be 0 to 1, got {self.min_confidence}')
        if not _FINEST <= self.voxel <= self.max_range:
            raise ValueError(
                f'obstacles.voxel must be {_FINEST:g} m to obstacles.max_range, got {self.voxel}'
            )
        if self.max_points < 1:
            raise ValueError(f'obstacles.max_points must be at least 1, got {self.max_points}')


def obstacle_classes(names: Sequence[str]) -> NDArray[np.bool_]:
    """(256,) bool: whether each label id, of the classes ``names`` in order, is an obstacle.

    By the roles of :data:`dsn_core.labels.CITYSCAPES`. A class that it does not know is one: a
    robot had better not drive into what nobody has called ground or sky. Ids beyond ``names``
    (255, unlabelled) are none.
    """
    known = {each.name: each.roles for each in CITYSCAPES.classes}
    table = np.zeros(256, dtype=np.bool_)
    for i, name in enumerate(names):
        table[i] = name not in known or 'obstacle' in known[name]
    return table


def obstacle_cloud(
    seen: Perception, is_obstacle: NDArray[np.bool_], options: ObstacleOptions
) -> NDArray[np.void]:
    """(1, N) structured array of OBSTACLE_DTYPE in the camera's optical frame, metres.

    The pixels whose label ``is_obstacle`` (256,), that are not alone, and whose depth is known
    and in range; of those in one voxel the nearest to the camera, so that thinning takes away
    points but no obstacle. Nearest first; the same frame gives the same points. N = 0 says that
    nothing is in the way. Raises ValueError where the depth is not metric or the camera is not
    calibrated.
    """
    if not seen.scale.metric:
        raise ValueError(f'an obstacle cloud needs metric depth: {seen.scale.source}')
    if seen.camera is None:
        raise ValueError('an obstacle cloud needs a calibrated camera: no usable camera_info')
    depth = seen.depth
    labels = np.ascontiguousarray(seen.labels)
    # A table of bytes: OpenCV looks up five times as fast as NumPy.
    chosen = np.asarray(cv2.LUT(labels, is_obstacle.view(np.uint8))).view(np.bool_)
    if options.min_confidence > 0:
        chosen &= seen.confidence >= round(options.min_confidence * 255)
    chosen = _without_specks(chosen)
    # Along the axis it is no farther than the point: cheap, and leaves out +inf and NaN.
    chosen &= depth > 0
    chosen &= depth <= options.max_range
    # Pixels that share a voxel even where they are farthest apart, at max_range.
    block = int(seen.camera.focal_length * options.voxel / options.max_range)
    pixels = _nearest_of_blocks(depth, chosen, block)
    z = depth.ravel()[pixels]
    x, y = (seen.camera.rays()[..., axis].ravel()[pixels] * z for axis in (0, 1))
    squared = x * x + y * y + z * z
    near = np.flatnonzero(squared <= options.max_range**2)  # false for NaN, where no ray is known
    points = np.stack([x[near], y[near], z[near]])
    first = _nearest_of_voxels(points, squared[near], options.voxel)[: options.max_points]
    cloud = np.empty((1, len(first)), dtype=OBSTACLE_DTYPE)
    cloud['x'], cloud['y'], cloud['z'] = points[:, first]
    cloud['label'] = labels.ravel()[pixels[near[first]]]
    return cloud


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``mask`` (H, W) without pixels that have fewer than two neighbours in it."""
    counts = cv2.boxFilter(
        mask.view(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    kept: NDArray[np.bool_] = mask & (np.asarray(counts) >= _NEIGHBOURS)
    return kept


def _nearest_of_blocks(
    depth: NDArray[np.float32], chosen: NDArray[np.bool_], block: int
) -> NDArray[np.intp]:
    """Flat indices of the least depth of the ``chosen`` pixels in each block x block, in order.

    Of equal ones the first. Blocks begin at the picture's first pixel and end at its last.
    """
    if block < 2:
        return np.flatnonzero(chosen)
    height, width = depth.shape
    strip = block * max(1, _STRIP_BYTES // (8 * block * width))  # rows at a time
    found = []
    for top in range(0, height, strip):
        rows = slice(top, top + strip)
        ranks = _ranks(np.where(chosen[rows], depth[rows], np.float32(np.inf)), top * width)
        least = _least(_least(ranks, block).T, block).T
        found.append(least[least < _FAR_RANK])
    return np.concatenate(found) & _INDEX


def _ranks(distance: NDArray[np.float32], first: int = 0) -> NDArray[np.int64]:
    """Distances from 0 on and, behind them, how many there were before: whole numbers.

    They sort as distances do, equal ones by their place, which ``& _INDEX`` gives, counted from
    ``first`` on: the bits of such floats are in the order of the floats.
    """
    ranks = distance.view(np.uint32).astype(np.int64)
    ranks <<= 32
    ranks |= np.arange(first, first + distance.size).reshape(distance.shape)
    return ranks


def _least(ranks: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """(ceil(N / block), M): the least of each ``block`` rows of ``ranks`` (N, M)."""
    least = ranks[::block].copy()
    for i in range(1, min(block, len(ranks))):
        each = ranks[i::block]
        np.minimum(least[: len(each)], each, out=least[: len(each)])
    return least


def _nearest_of_voxels(
    points: NDArray[np.float32], squared: NDArray[np.float32], width: float
) -> NDArray[np.intp]:
    """Indices of the nearest of the ``points`` (3, N) in each voxel, nearest first.

    ``squared`` (N,): of their distances. Of equal ones the first counts as nearer.
    """
    if not squared.size:
        return np.empty(0, dtype=np.intp)
    codes, voxels = np.zeros(squared.size, dtype=np.int64), 1
    for along, edge in zip(points, (width, width * _TALL, width), strict=True):
        cells = np.floor(along / np.float32(edge))
        first = cells.min()
        span = int(cells.max() - first) + 1
        codes *= span
        codes += (cells - first).astype(np.int64)
        voxels *= span  # 10^15 at most, by the ranges above
    # Each voxel's code with the point's place behind it: sorting numbers is faster than finding
    # their order.
    places = codes.size.bit_length()
    if voxels.bit_length() + places > _BITS:
        codes = np.unique(codes, return_inverse=True)[1]
    codes <<= places
    codes |= np.arange(codes.size)
    codes.sort()
    order = codes & ((1 << places) - 1)
    codes >>= places
    begins = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    nearest = np.sort(np.minimum.reduceat(_ranks(squared)[order], begins))
    return nearest & _INDEX
