"""Sparse true depth of a drive whose poses are known: tracked corners, triangulated.

Corners of one picture (Shi and Tomasi 1994) are followed through its neighbours in time, before
and after, by pyramidal Lucas-Kanade; each is then the point that best explains where all pictures
saw it (Hartley and Zisserman, Multiple View Geometry, 2nd ed., 12.2 and 18.1). The poses give the
metres. What disagrees with the poses is left out, and with it most of what moves by itself; so is
what they cannot tell the depth of.

What no single camera can tell: something that moves evenly along its own epipolar lines (a car in
the same lane of a straight road) looks like something standing at another depth.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import require

__all__ = ['Limits', 'Points', 'Tracks', 'sparse_depth', 'track', 'triangulate']

_WINDOW = (
    9,
    9,
)  # pixels that a corner is recognised by: few, or what is behind it leads it astray
_LEVELS = 4  # halvings: steps of up to some 100 pixels between two pictures
_RETURN = 0.5  # pixels: followed there and back, a corner must come home
_QUALITY = 0.002  # of the strongest corner: asphalt is faint beside a number plate
_SPACING = 4  # pixels between corners
_SIGMA = 0.5  # pixels: what a track is off by when its residuals say less
_ROUNDS = 5  # of Gauss-Newton; two are usually enough
_ALIKE = 1.15  # ratio of the depths of points on one surface
_OUTWARD = 5  # pixels: a point further out by less may lie on the same outline


@dataclass(frozen=True)
class Limits:
    """Which points count as measured."""

    neighbours: int = 6
    """Pictures before, and as many after, that corners are followed through."""
    corners: int = 3000
    """So many corners of a picture at most."""
    views: int = 3
    """Pictures that must have seen a point, its own among them."""
    reprojection: float = 1.0
    """Pixels that the point may be off in any of them."""
    parallax: float = 1.0
    """Degrees: the widest angle between two of its rays must be more."""
    error: float = 0.1
    """Expected relative error of the depth that is still measured."""
    support: float = 20.0
    """Pixels within which points of like depth must lie on all sides of a point. A corner on the
    outline of something has them on one side, and its pixel may be what is behind. 0: not
    asked for."""

    def __post_init__(self) -> None:
        require(self.neighbours >= 1, 'neighbours', 'one or more', self.neighbours)
        require(self.corners >= 1, 'corners', 'one or more', self.corners)
        require(self.views >= 3, 'views', 'three or more: two agree on anything', self.views)
        require(self.reprojection > 0, 'reprojection', 'above zero', self.reprojection)
        require(0 < self.parallax < 90, 'parallax', 'above 0 and below 90', self.parallax)
        require(0 < self.error < 1, 'error', 'above 0 and below 1', self.error)
        require(self.support >= 0, 'support', 'zero or more', self.support)


class Tracks(NamedTuple):
    """P corners of one picture in V pictures."""

    pixels: NDArray[np.float64]
    """(P, V, 2) u and v; any number where not seen."""
    seen: NDArray[np.bool_]
    """(P, V)."""


class Points(NamedTuple):
    """What P tracks say."""

    depth: NDArray[np.float64]
    """(P,) along the optical axis of the picture they began in, in the unit of the poses; 0 where
    it is not measured."""
    error: NDArray[np.float64]
    """(P,) expected standard deviation of the depth over the depth; +inf where not measured."""


def sparse_depth(
    pictures: NDArray[np.uint8],
    intrinsics: NDArray[np.float64],
    poses: NDArray[np.float64],
    index: int,
    limits: Limits | None = None,
) -> NDArray[np.float32]:
    """Depth (H, W) in metres along the optical axis of picture ``index``; 0 = not measured.

    ``pictures`` (N, H, W) grey, without distortion, in the order of time; ``intrinsics`` (3, 3)
    pixels, pixel (0, 0) the centre of the first; ``poses`` (N, 3, 4) camera to world, metres.
    Raises ValueError naming the argument whose shape is wrong.
    """
    limits = limits or Limits()
    if pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise ValueError(f'pictures must be (N, H, W) uint8, got {pictures.shape}')
    if poses.shape != (len(pictures), 3, 4):
        raise ValueError(f'poses must be ({len(pictures)}, 3, 4), got {poses.shape}')
    first = max(index - limits.neighbours, 0)
    around = slice(first, index + limits.neighbours + 1)
    tracks = track(pictures[around], index - first, limits.corners)
    points = triangulate(tracks, intrinsics, poses[around], index - first, limits)
    depth = np.zeros(pictures.shape[1:], dtype=np.float32)
    good = points.depth > 0
    pixels, found = tracks.pixels[good, index - first], points.depth[good]
    if limits.support:
        inner = _surrounded(pixels, found, limits.support)
        pixels, found = pixels[inner], found[inner]
    u, v = pixels.astype(np.intp).T  # goodFeaturesToTrack gives whole pixels
    depth[v, u] = found
    return depth


def track(pictures: NDArray[np.uint8], index: int, corners: int = 3000) -> Tracks:
    """Follow up to ``corners`` corners of picture ``index`` of (N, H, W), from one to the next.

    A corner is lost for good where following it back does not lead to where it was.
    """
    found = cv2.goodFeaturesToTrack(pictures[index], corners, _QUALITY, _SPACING)
    start = np.zeros((0, 2), np.float32) if found is None else np.float32(found).reshape(-1, 2)
    pixels = np.zeros((len(start), len(pictures), 2), dtype=np.float64)
    seen = np.zeros(pixels.shape[:2], dtype=np.bool_)
    pixels[:, index], seen[:, index] = start, True
    for way in (range(index + 1, len(pictures)), range(index - 1, -1, -1)):
        before, alive, at = index, np.arange(len(start)), start
        for now in way:
            if not alive.size:
                break
            at, found_again = _follow(pictures[before], pictures[now], at)
            at, alive, before = at[found_again], alive[found_again], now
            pixels[alive, now], seen[alive, now] = at, True
    return Tracks(pixels, seen)


def triangulate(
    tracks: Tracks,
    intrinsics: NDArray[np.float64],
    poses: NDArray[np.float64],
    index: int,
    limits: Limits | None = None,
) -> Points:
    """Depth of each track in picture ``index``, where ``limits`` call it measured.

    ``intrinsics`` (3, 3) and ``poses`` (V, 3, 4), camera to world, of the V pictures. The expected
    error of a depth follows from that of its pixels: about sigma / (focal length x parallax) for
    two views, with sigma the root mean square of its residuals, and at least half a pixel.
    """
    limits = limits or Limits()
    count = len(tracks.pixels)
    views = _Views.of(poses, index)
    if not count or views is None:
        return Points(np.zeros(count), np.full(count, np.inf))
    rays = _rays(tracks.pixels, intrinsics)  # (P, V, 2)
    seen = tracks.seen
    with np.errstate(all='ignore'):  # what is not finite fails every comparison below
        point = _linear(rays, seen, views)
        for _ in range(_ROUNDS):
            point = point - _step(point, rays, seen, views, intrinsics)[0]
        _, residuals, variance = _step(point, rays, seen, views, intrinsics)
        off = np.linalg.norm(residuals, axis=2)  # (P, V) pixels
        in_front = (views.place(point)[..., 2] > 0) | ~seen
        observed = seen.sum(axis=1)
        freedom = np.maximum(2 * observed - 3, 1)
        sigma = np.sqrt(np.maximum((off**2).sum(axis=1) / freedom, _SIGMA**2))
        error = sigma * np.sqrt(variance) / point[:, 2]
        good = (
            (observed >= limits.views)
            & (point[:, 2] > 0)
            & in_front.all(axis=1)
            & (off < limits.reprojection).all(axis=1)
            & (_parallax(point, seen, views) > math.radians(limits.parallax))
            & (error < limits.error)
        )
        depth = np.where(good, views.unit / point[:, 2], 0.0)
    return Points(depth, np.where(good, error, np.inf))


class _Views(NamedTuple):
    """Where V cameras are, as seen from one of them; lengths in units of the longest baseline.

    A point is (x / z, y / z, unit / z) in the camera that it is measured in: far away is near
    zero, and how it is seen is linear in it.
    """

    rotation: NDArray[np.float64]
    """(V, 3, 3), that camera to each."""
    translation: NDArray[np.float64]
    """(V, 3)."""
    centres: NDArray[np.float64]
    """(V, 3) in that camera."""
    unit: float
    """Metres."""

    @classmethod
    def of(cls, poses: NDArray[np.float64], index: int) -> '_Views | None':
        """None where all cameras are at one place: then nothing has a depth."""
        home, origin = poses[index, :, :3], poses[index, :, 3]
        centres = (poses[:, :, 3] - origin) @ home  # home^T c
        unit = float(np.linalg.norm(centres, axis=1).max())
        if not unit > 0:
            return None
        rotation = poses[:, :, :3].transpose(0, 2, 1) @ home
        centres = centres / unit
        return cls(rotation, -(rotation @ centres[..., None])[..., 0], centres, unit)

    def place(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, V, 3) points in each camera, each divided by its depth in the first."""
        ray = np.concatenate([point[:, :2], np.ones((len(point), 1))], axis=1)
        turned = np.einsum('vij,pj->pvi', self.rotation, ray)
        return np.asarray(turned + point[:, None, 2:] * self.translation)


def _follow(
    before: NDArray[np.uint8], now: NDArray[np.uint8], at: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where pixels (P, 2) have gone, and whether they have been found again."""
    there, found = _flow(before, now, at)
    back, found_back = _flow(now, before, there)
    height, width = now.shape
    inside = (there >= 0).all(axis=1) & (there <= (width - 1, height - 1)).all(axis=1)
    home = np.linalg.norm(back - at, axis=1) < _RETURN
    good = found & found_back & inside & home
    return there, np.asarray(good, dtype=np.bool_)


def _flow(
    before: NDArray[np.uint8], now: NDArray[np.uint8], at: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    guess: Any = None  # OpenCV's stubs do not know that there may be none
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, at, guess, winSize=_WINDOW, maxLevel=_LEVELS
    )
    return np.asarray(there, dtype=np.float32), np.asarray(found)[:, 0] == 1


def _surrounded(
    pixels: NDArray[np.float64], depth: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Which of P points have some of like depth within ``radius`` on every side."""
    pixels, depth = pixels.astype(np.float32), depth.astype(np.float32)  # P x P: half the memory
    right, down = (pixels[:, i] - pixels[:, i, None] for i in (0, 1))
    ratio = depth / depth[:, None]
    alike = (np.hypot(right, down) < radius) & (ratio < _ALIKE) & (ratio > 1 / _ALIKE)
    inner = np.ones(len(depth), dtype=np.bool_)
    for angle in np.arange(8) * math.pi / 4:
        along = right * np.float32(math.cos(angle)) + down * np.float32(math.sin(angle))
        inner &= (alike & (along > _OUTWARD)).any(axis=1)
    return inner


def _rays(pixels: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ray x / z, y / z of each of pixels (..., 2)."""
    y = (pixels[..., 1] - k[1, 2]) / k[1, 1]
    x = (pixels[..., 0] - k[0, 2] - k[0, 1] * y) / k[0, 0]
    return np.stack([x, y], axis=-1)


def _linear(
    rays: NDArray[np.float64], seen: NDArray[np.bool_], views: _Views
) -> NDArray[np.float64]:
    """The point (P, 3) whose place has least cross product with all rays: linear in it."""
    columns = np.concatenate(
        [views.rotation[:, :, :2], views.translation[:, :, None], views.rotation[:, :, 2:]], axis=2
    )  # (V, 3, 4): x / z, y / z, unit / z and 1
    rows = rays[..., None] * columns[:, None, 2] - columns[:, :2]  # (P, V, 2, 4)
    rows = np.where(seen[..., None, None], rows, 0.0).reshape(len(rays), -1, 4)
    return -_solve(rows[..., :3], rows[..., 3])[0]


def _step(
    point: NDArray[np.float64],
    rays: NDArray[np.float64],
    seen: NDArray[np.bool_],
    views: _Views,
    k: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Newton's step (P, 3), residuals (P, V, 2) in pixels, variance of unit / z (P,)."""
    place = views.place(point)  # (P, V, 3)
    projected = place[..., :2] / place[..., 2:]
    columns = np.concatenate(
        [views.rotation[:, :, :2], views.translation[:, :, None]], axis=2
    )  # (V, 3, 3): what place changes by
    slope = columns[:, :2] - projected[..., None] * columns[:, None, 2]
    slope = slope / place[..., 2:, None]  # (P, V, 2, 3)
    slope = np.where(seen[..., None, None], k[:2, :2] @ slope, 0.0)
    residuals = np.where(seen[..., None], (projected - rays) @ k[:2, :2].T, 0.0)
    count = len(point)
    step, inverse = _solve(slope.reshape(count, -1, 3), residuals.reshape(count, -1))
    return step, residuals, inverse[:, 2, 2]


def _solve(
    matrix: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least squares of (P, N, 3) x = (P, N), and the inverse (P, 3, 3) of the normal matrix.

    Not a number where a column says nothing.
    """
    normal = matrix.transpose(0, 2, 1) @ matrix
    known = np.isfinite(normal).all(axis=(1, 2))
    # The determinant over its largest possible value: 0 where there is no one answer.
    scale = np.einsum('pii->pi', normal).prod(axis=1)
    known &= np.linalg.det(normal) > 1e-12 * scale
    normal = np.where(known[:, None, None], normal, np.eye(3))
    inverse = np.where(known[:, None, None], np.linalg.inv(normal), np.nan)
    moment = matrix.transpose(0, 2, 1) @ right[..., None]
    return np.asarray((inverse @ moment)[..., 0]), inverse


def _parallax(
    point: NDArray[np.float64], seen: NDArray[np.bool_], views: _Views
) -> NDArray[np.float64]:
    """(P,) radians: the widest angle at the point between two cameras that saw it."""
    ray = np.concatenate([point[:, :2], np.ones((len(point), 1))], axis=1)
    to_point = ray[:, None] - point[:, None, 2:] * views.centres  # (P, V, 3)
    to_point = to_point / np.linalg.norm(to_point, axis=2, keepdims=True)
    cosine = to_point @ to_point.transpose(0, 2, 1)  # (P, V, V)
    both = seen[:, :, None] & seen[:, None]
    return np.asarray(np.arccos(np.clip(np.where(both, cosine, 1.0).min(axis=(1, 2)), -1, 1)))
