"""LiDAR points as a camera sees them: sparse depth and labels in its picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.labels import UNLABELLED

__all__ = ['Seen', 'moved', 'read_points', 'seen']

NEAREST = 1.0  # metres before the camera: what is nearer is of the car or of another moment


@dataclass(frozen=True)
class Seen:
    """The points (M,) that a picture shows, one a pixel."""

    index: NDArray[np.int64]
    """Which of the points that were given."""
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    depth: NDArray[np.float64]
    """Metres along the optical axis."""
    size: tuple[int, int]
    """Rows and columns of the picture."""

    def depth_map(self, farthest: float = np.inf) -> NDArray[np.float32]:
        """(H, W) metres; 0 where there is no point, or one beyond ``farthest``."""
        depth = np.zeros(self.size, dtype=np.float32)
        depth[self.row, self.column] = np.where(self.depth <= farthest, self.depth, 0)
        return depth

    def label_map(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) of the ids (N,) of all points that were given; 255 where there is none."""
        labels = np.full(self.size, UNLABELLED, dtype=np.uint8)
        labels[self.row, self.column] = ids[self.index]
        return labels


def seen(
    points: NDArray[np.floating], intrinsics: NDArray[np.float64], size: tuple[int, int]
) -> Seen:
    """Which ``points`` (N, 3), optical axes, metres, a picture of ``size`` (H, W) shows.

    A point falls on the nearest pixel, (0, 0) being the centre of the first; the nearest of a
    pixel's points hides the others. Points less than 1 m before the camera, beside the picture,
    or not finite are left out.
    """
    x, y, z = np.asarray(points, dtype=np.float64).T
    index = np.flatnonzero(np.isfinite(x + y + z) & (z >= NEAREST))
    u, v, w = intrinsics @ np.stack([x[index], y[index], z[index]])
    # Rounded as floats first: a point beside the camera lies beyond any integer.
    column, row = np.rint(u / w), np.rint(v / w)
    height, width = size
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = index[inside]
    column, row = column[inside].astype(np.int64), row[inside].astype(np.int64)
    pixel = row * width + column
    nearest_first = np.lexsort((z[index], pixel))
    _, first = np.unique(pixel[nearest_first], return_index=True)
    kept = nearest_first[first]
    return Seen(index[kept], row[kept], column[kept], z[index[kept]], size)


def moved(points: NDArray[np.floating], motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """``points`` (N, 3) in the frame that ``motion`` (4, 4) takes them to."""
    return np.asarray(points @ motion[:3, :3].T + motion[:3, 3], dtype=np.float64)


def read_points(file: Path, kind: str, columns: int) -> NDArray[np.floating]:
    """(N, ``columns``) numbers of NumPy's type ``kind`` (as '<f4') that ``file`` holds.

    Raises UserError naming the file that is missing or damaged.
    """
    try:
        values: NDArray[np.floating] = np.fromfile(file, dtype=kind)
    except OSError as error:
        raise UserError(f'{file} cannot be read: {error.strerror or error}') from error
    if values.size % columns or file.stat().st_size != values.nbytes:
        raise UserError(
            f'{file} does not hold {columns} numbers of {values.itemsize} bytes a point: '
            'extract it again'
        )
    return values.reshape(-1, columns)
