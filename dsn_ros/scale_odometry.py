"""Scale from motion: depth that agrees with how far odometry says the camera went.

A point at Z metres on the ray x1 of one picture is seen in a later one at R x1 + t / Z, R and t
being the camera's known motion. Inverse depth is linear in what is seen, so each tracked point
gives 1/Z in closed form, without the network; Z over the network's depth is the factor.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_ros.scale_estimate import Estimate
from dsn_ros.scale_filter import robust_spread

__all__ = ['MotionGates', 'MotionScale', 'MotionView', 'motion_scale']

Array = NDArray[np.float64]

_CORNERS = 400
_APART = 8  # pixels between corners
_BORDER = 4  # pixels: a corner at the rim is half a corner
_ASTRAY = 0.7  # pixels between where a track began and where it ends, tracked back
_PIXEL_NOISE = 0.3  # of a track, pixels
_SEEN = 2  # times its noise: less parallax is none
_DEPTH_NOISE = 0.15  # of a network's depth at a point, as a share
_INDEPENDENT = 25  # tracks worth of a smooth map at most: neighbours share their error
_ROUNDS = 4
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)


@dataclass(frozen=True)
class MotionGates:
    """When a motion is believed.

    ``min_motion`` metres between the two pictures; ``min_tracks`` with parallax enough to tell
    their depth to within ``max_noise`` of it; ``max_epipolar`` pixels off the line on which a
    resting point moves; ``tolerance``: share of the factor within which a track agrees;
    ``min_inliers``: share of tracks that must; ``max_sigma``: the factor's own standard error.
    """

    min_motion: float = 0.3
    min_tracks: int = 20
    max_noise: float = 0.3
    max_epipolar: float = 1.5
    tolerance: float = 0.4
    min_inliers: float = 0.4
    max_sigma: float = 0.15


@dataclass(frozen=True)
class MotionView:
    """One picture at the model's size.

    ``grey`` (H, W) uint8; ``depth`` (H, W) float32, the network's units; ``still`` (H, W): where
    nothing is that may move by itself, nor sky; ``rays`` (H, W, 2) float32: x/z and y/z of each
    pixel; ``focal`` pixels; ``pose`` (4, 4) float64: points of the optical frame → points of a
    frame in which the world stands still, metres; ``guess``: metres a unit, as far as known. It
    only says where to look for a point first.
    """

    grey: NDArray[np.uint8]
    depth: NDArray[np.float32]
    still: NDArray[np.bool_]
    rays: NDArray[np.float32]
    focal: float
    pose: Array
    guess: float = 1.0


class MotionScale:
    """Tracks corners from a key picture on until the camera has moved far enough to measure."""

    def __init__(self, gates: MotionGates | None = None) -> None:
        self.gates = gates or MotionGates()
        self._key: MotionView | None = None
        self._start = np.empty((0, 2), np.float32)  # the corners in the key picture ...
        self._now = np.empty((0, 2), np.float32)  # ... and in the last one
        self._last: NDArray[np.uint8] | None = None

    def forget(self) -> None:
        """Begin anew with the next picture."""
        self._key = self._last = None

    def update(self, view: MotionView) -> Estimate:
        """The factor since the key picture, or why there is none (yet)."""
        key, last = self._key, self._last
        if key is None or last is None or last.shape != view.grey.shape:
            self._begin(view)
            return Estimate.none('the first picture')
        motion = np.linalg.inv(view.pose) @ key.pose
        self._follow(last, view.grey, self._expected(key, view, motion))
        moved = float(np.linalg.norm(motion[:3, 3]))
        if len(self._now) < self.gates.min_tracks:
            count = len(self._now)
            self._begin(view)
            return Estimate.none(f'too few points could be followed ({count})', count)
        if moved < self.gates.min_motion:
            return Estimate.none(f'the camera has hardly moved ({moved:.2f} m)')
        estimate = self._measure(key, view, motion)
        self._begin(view)
        return estimate

    def _begin(self, view: MotionView) -> None:
        known = view.still & np.isfinite(view.depth) & (view.depth > 0)
        mask = np.zeros(known.shape, np.uint8)
        inner = (slice(_BORDER, -_BORDER),) * 2
        mask[inner] = known[inner]
        corners = cv2.goodFeaturesToTrack(view.grey, _CORNERS, 0.005, _APART, mask=mask)
        found = np.empty((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
        self._key, self._last = view, view.grey
        self._start = self._now = found.astype(np.float32)

    def _expected(self, key: MotionView, view: MotionView, motion: Array) -> NDArray[np.float32]:
        """(N, 2) pixels where the corners should be by now, if ``view.guess`` is right."""
        rays = _sampled(key.rays, self._start)
        depth = view.guess * _nearest(key.depth, self._start)[:, None]
        points = np.concatenate([rays * depth, depth], axis=1) @ motion[:3, :3].T + motion[:3, 3]
        with np.errstate(divide='ignore', invalid='ignore'):
            shift = view.focal * (points[:, :2] / points[:, 2:] - rays)
            there = self._start + shift
        size = np.array(view.grey.shape[::-1])
        inside = (points[:, 2] > 0) & ((there >= 0) & (there <= size - 1)).all(axis=1)
        return np.where(inside[:, None], there, self._now).astype(np.float32)

    def _follow(
        self, last: NDArray[np.uint8], grey: NDArray[np.uint8], expected: NDArray[np.float32]
    ) -> None:
        """Move the corners on, those that can be followed from ``last`` to ``grey``."""
        self._last = grey
        there, good = _tracked(last, grey, self._now, expected)
        if good.sum() < 0.5 * len(good):  # the guess may be wrong: look where they were as well
            others, found = _tracked(last, grey, self._now, self._now)
            there, good = np.where(good[:, None], there, others), good | found
        self._start, self._now = self._start[good], there[good]

    def _measure(self, key: MotionView, view: MotionView, motion: Array) -> Estimate:
        u, v = np.rint(self._now).astype(np.intp).T
        still = view.still[v, u]
        start, now = self._start[still], self._now[still]
        return motion_scale(
            _sampled(key.rays, start),
            _sampled(view.rays, now),
            _nearest(key.depth, start),
            _nearest(view.depth, now),
            motion,
            view.focal,
            self.gates,
        )


def motion_scale(
    rays: Array,
    later_rays: Array,
    depth: Array,
    later_depth: Array,
    motion: Array,
    focal: float,
    gates: MotionGates | None = None,
) -> Estimate:
    """Metres for one unit of depth, from points seen before and after a known motion.

    ``rays``, ``later_rays`` (N, 2): x/z and y/z of where each point was seen; ``depth``,
    ``later_depth`` (N,): the network's there; ``motion`` (4, 4): points of the first optical
    frame → of the later one, metres; ``focal`` pixels, which tells what a pixel of noise does.
    """
    gates = gates or MotionGates()
    back = np.asarray(np.linalg.inv(motion), dtype=np.float64)
    ratio, noise, off = (
        np.concatenate(pair)
        for pair in zip(
            _shares(rays, later_rays, depth, motion, focal),
            _shares(later_rays, rays, later_depth, back, focal),
            strict=True,
        )
    )
    # What does not move in the picture is infinitely far, or goes with the camera: its own lights.
    moved = np.isfinite(noise) & (ratio > _SEEN * noise) & (off < gates.max_epipolar)
    middle = _consensus(ratio[moved], noise[moved], gates.max_noise)
    if middle is None:
        return Estimate.none('no point moved as the odometry says', 0)
    telling = noise < gates.max_noise * middle
    agreed = moved & telling & (np.abs(ratio / middle - 1) < gates.tolerance)
    inliers = int(agreed.sum())
    if not inliers:
        return Estimate.none('no two points agree on a scale', 0)
    sigma = robust_spread(ratio[agreed] / middle) / min(inliers, _INDEPENDENT) ** 0.5
    reason = _gated(int(telling.sum()), inliers, sigma, gates)
    return Estimate(1 / middle, sigma, inliers, reason)


def _consensus(ratio: Array, noise: Array, max_noise: float) -> float | None:
    """Median of ratios (N,) weighted by their certainty; None where none is certain."""
    if not len(ratio):
        return None
    middle = _weighted_median(ratio, noise**-2)
    for _ in range(_ROUNDS):
        sure = noise < max_noise * middle
        if not sure.any():
            return None
        weight = 1 / (noise**2 + (_DEPTH_NOISE * middle) ** 2)
        middle = _weighted_median(ratio[sure], weight[sure])
    return middle


def _shares(
    rays: Array, later: Array, depth: Array, motion: Array, focal: float
) -> tuple[Array, Array, Array]:
    """The network's depth as a share of the true one, by point, (N,).

    Its standard deviation for a track's noise, and by how many pixels the track leaves its
    epipolar line.
    """
    turned = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) @ motion[:3, :3].T
    shift = motion[:2, 3] - later * motion[2, 3]  # (N, 2): how a point moves for 1/Z = 1
    seen = later * turned[:, 2:] - turned[:, :2]
    with np.errstate(divide='ignore', invalid='ignore'):
        squared = (shift**2).sum(axis=1)
        inverse = (shift * seen).sum(axis=1) / squared  # 1/Z, least squares
        ahead = np.where(turned[:, 2] > 0, turned[:, 2], np.nan)
        off = np.linalg.norm(seen - inverse[:, None] * shift, axis=1) / ahead * focal
        noise = depth * _PIXEL_NOISE / focal * ahead / np.sqrt(squared)
    known = np.isfinite(depth) & (depth > 0)
    return np.where(known, inverse * depth, np.nan), noise, np.nan_to_num(off, nan=np.inf)


def _gated(tracks: int, inliers: int, sigma: float, gates: MotionGates) -> str:
    """Why the factor is not to be believed; empty: it is."""
    # Every track counts twice, once by the depth in either picture.
    if tracks < 2 * gates.min_tracks:
        return f'too few points with parallax ({tracks // 2})'
    if inliers < gates.min_inliers * tracks:
        return f'only {inliers / tracks:.0%} of the points agree on a scale'
    if sigma > gates.max_sigma:
        return f'the points disagree (factor to within {sigma:.0%})'
    return ''


def _tracked(
    last: NDArray[np.uint8],
    grey: NDArray[np.uint8],
    pixels: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where ``pixels`` (N, 2) of ``last`` are in ``grey`` (Lucas and Kanade), and if that is sure.

    Sure is what stays in the picture and finds its way back to where it came from.
    """
    if not len(pixels):
        return pixels, np.zeros(0, np.bool_)
    there, seen = _flow(last, grey, pixels, expected)
    back, found = _flow(grey, last, there, there - (expected - pixels))
    size = np.array(grey.shape[::-1])
    inside = ((there >= 0) & (there <= size - 1)).all(axis=1)
    returned = np.linalg.norm(back - pixels, axis=1) < _ASTRAY
    return there, inside & returned & seen & found


def _flow(
    one: NDArray[np.uint8],
    other: NDArray[np.uint8],
    pixels: NDArray[np.float32],
    first: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where ``pixels`` of ``one`` are in ``other``, looked for around ``first``; if found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        one,
        other,
        pixels,
        first.copy(),
        winSize=(15, 15),
        maxLevel=3,
        criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, dtype=np.float32), np.asarray(found).ravel() == 1


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])


def _nearest(values: NDArray[np.float32], pixels: NDArray[np.float32]) -> Array:
    u, v = np.rint(pixels).astype(np.intp).T
    return np.asarray(values[v, u], dtype=np.float64)


def _sampled(rays: NDArray[np.float32], pixels: NDArray[np.float32]) -> Array:
    """(N, 2) rays between the centres of pixels."""
    if not len(pixels):  # OpenCV takes no empty list
        return np.empty((0, 2))
    u, v = np.ascontiguousarray(pixels[:, :1]), np.ascontiguousarray(pixels[:, 1:])
    sampled = cv2.remap(rays, u, v, cv2.INTER_LINEAR)
    return np.asarray(sampled, dtype=np.float64).reshape(-1, 2)
