"""How exact the simulated street's ground truth is, by arithmetic that is not the street's own.

PYTHONPATH=.:test python -m support.street_truth [FPS]   # the figures of docs/simulation.md
"""

import sys
from typing import NamedTuple

import cv2
import numpy as np

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation import SimulatedDrive, SimulationOptions

MOVERS = [
    CITYSCAPES.id_of(name)
    for name in ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
]


class Warp(NamedTuple):
    """Mean absolute difference of a frame and its warped neighbour, percent of 255."""

    error: float
    share: float
    """Percent of the static pixels inside both pictures that are not hidden in one."""


class Scan(NamedTuple):
    """Points of a LiDAR scan in the picture, off the depth map's edges; percent of those."""

    close: float
    """Within 2 cm + 1 % of the depth map, of those that the camera sees."""
    hidden: float
    """Behind what the camera sees: the LiDAR stands 0.3 m higher and looks over it."""
    millimetres: float
    """Median of the absolute difference."""
    points: int


def warp_error(one, two, k) -> Warp:
    """Fetch ``one``'s pixels from ``two`` by true depth and poses (float64 NumPy).

    What could move (people, vehicles) is left out, and what is hidden in ``two``: where the four
    pixels around the place looked at aren't as far away as they should be, within 5 %.
    """
    height, width = one.depth.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    rays = np.stack([(u - k.cx) / k.fx, (v - k.cy) / k.fy, np.ones_like(u)], axis=-1)
    solid = np.isfinite(one.depth)
    points = rays * np.where(solid, one.depth, 1.0)[..., None]
    move = np.linalg.inv(two.camera_to_world) @ one.camera_to_world
    seen = points @ move[:3, :3].T + move[:3, 3]
    z = np.where(seen[..., 2] > 0.1, seen[..., 2], 1e-3)
    x, y = k.fx * seen[..., 0] / z + k.cx, k.fy * seen[..., 1] / z + k.cy
    static = solid & ~np.isin(one.labels, MOVERS)
    static &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    left, top = (np.clip(a, 0, n - 2).astype(int) for a, n in ((x, width), (y, height)))
    a, b = (x - left)[..., None], (y - top)[..., None]
    other, fetched, open_ = two.image.astype(np.float64), np.zeros((height, width, 3)), static
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (b if i else 1 - b) * (a if j else 1 - a)
        fetched += weight * other[top + i, left + j]
        open_ = open_ & (np.abs(z / two.depth[top + i, left + j] - 1) < 0.05)
        open_ &= ~np.isin(two.labels[top + i, left + j], MOVERS)
    difference = np.abs(fetched - one.image).mean(axis=-1)
    return Warp(
        float(difference[open_].mean() / 2.55), float(100 * open_.sum() / max(static.sum(), 1))
    )


def scan_error(points, depth, k) -> Scan:
    """Compare a scan (N, 3), camera frame, with the depth map at the sub-pixel place.

    Edges: where inverse depth, which is linear in the pixel on any plane, bends by more than
    0.2 % within the 3 x 3 pixels.
    """
    points = points[points[:, 2] > 0.1].astype(np.float64)
    x = k.fx * points[:, 0] / points[:, 2] + k.cx
    y = k.fy * points[:, 1] / points[:, 2] + k.cy
    height, width = depth.shape
    inside = (x >= 1) & (x < width - 2) & (y >= 1) & (y < height - 2)
    points, x, y = points[inside], x[inside], y[inside]
    u, v = np.rint(x).astype(int), np.rint(y).astype(int)
    near = np.array([[1 / depth[v + i, u + j] for j in (-1, 0, 1)] for i in (-1, 0, 1)])
    bend = np.maximum(
        np.abs(near[0] + near[2] - 2 * near[1]).max(axis=0),
        np.abs(near[:, 0] + near[:, 2] - 2 * near[:, 1]).max(axis=0),
    )
    flat = (near.min(axis=(0, 1)) > 0) & (bend < 0.002 * near[1, 1])
    inverse = np.where(np.isfinite(depth), 1 / depth, 0).astype(np.float32)
    at = [a[flat].astype(np.float32).reshape(-1, 1) for a in (x, y)]
    expected = 1 / cv2.remap(inverse, *at, cv2.INTER_LINEAR)[:, 0]
    behind = points[flat, 2] - expected
    allowed = 0.02 + 0.01 * expected
    hidden = behind > allowed
    seen = np.abs(behind[~hidden])
    if not seen.size:
        return Scan(0.0, 100.0, np.inf, int(flat.sum()))
    return Scan(
        float(100 * (seen <= allowed[~hidden]).mean()),
        float(100 * hidden.mean()),
        float(1000 * np.median(seen)),
        int(flat.sum()),
    )


def main(fps: float = 10.0, towns: int = 24) -> None:
    """Print the worst and the mean of the first ``towns`` towns, two frames each."""
    options = SimulationOptions(effects=False, fps=fps)
    scans = []
    for condition in ('day', 'dusk', 'night'):
        warps = []
        for seed in range(towns):
            drive = SimulatedDrive(seed, condition, options)
            frames = []
            for frame in drive.frames(2):
                frames.append(frame)
                if condition == 'day':
                    points = drive.lidar(frame)
                    scans.append(scan_error(points, frame.depth, drive.intrinsics))
            warps.append(warp_error(*frames, drive.intrinsics))
        error, share = np.array(warps).T
        sys.stdout.write(
            f'{condition}: warped {error.mean():.2f} % (median {np.median(error):.2f}, worst '
            f'{error.max():.2f}, {(error < 2).sum()} of {towns} below 2), of '
            f'{share.mean():.0f} % of the static pixels\n'
        )
    close, hidden, millimetres, points = np.array(scans).T
    sys.stdout.write(
        f'LiDAR: {close.mean():.3f} % close (worst scan {close.min():.3f}), median '
        f'{millimetres.mean():.1f} mm, hidden {hidden.mean():.2f} % (most {hidden.max():.2f}), '
        f'{points.sum():.0f} points\n'
    )


if __name__ == '__main__':
    main(*map(float, sys.argv[1:2]))
