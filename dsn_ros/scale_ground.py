"""Scale from the ground: how high the camera stands in the network's units, and in metres.

The pixels labelled road lie on a plane n·X = d, with X = z r: z the depth along the optical axis
and r = (x, y, 1) the pixel's ray. So 1/z = a·r with a = n/d: inverse depth is linear in the ray,
and three numbers fit it in closed form. 1/|a| is the camera's height above the plane in the
network's units; true height x |a| is the factor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_ros.scale_estimate import Estimate

__all__ = ['GroundGates', 'ground_scale']

Vectors = NDArray[np.float64]

_SAMPLES = 4096  # pixels of the grid on which the picture is looked at
_DRAWS = 96  # three pixels each: one clean draw in 96 is certain with 40 % outliers (1 - 6e-11)
_ROUNDS = 6  # of reweighting
_MIN_SINE = 0.05  # of a ray's angle below the horizon: beyond 20 heights a pixel is all noise
_INDEPENDENT = 25.0  # samples worth of a smooth map: neighbours share their error
_DOWN = np.array([0.0, 1.0, 0.0])  # of a level camera's optical frame


@dataclass(frozen=True)
class GroundGates:
    """When a plane is believed.

    ``min_pixels`` samples of road; ``tolerance``: how far from the plane, as a share of its
    depth, a sample still agrees; ``min_inliers``: share of samples that must; ``max_residual``:
    their median distance; ``max_tilt``: degrees between the plane's normal and the expected one
    where tf tells it, ``max_tilt_unknown`` where a level camera has to be guessed;
    ``tilt_sigma``: degrees by which the normal may stray from tf's at no cost. It is small, as
    tf errs less than the tilt of a network's road: on simulated drives the factor of a free plane
    was 15 % off the scale of the whole picture, that of a plane held to tf's normal 10 %.
    ``max_sigma``: the factor's own standard error.
    """

    min_pixels: int = 60
    tolerance: float = 0.12
    min_inliers: float = 0.5
    max_residual: float = 0.07
    max_tilt: float = 10.0
    max_tilt_unknown: float = 20.0
    tilt_sigma: float = 0.2
    max_sigma: float = 0.15


def ground_scale(
    depth: NDArray[np.float32],
    road: NDArray[np.bool_],
    rays: NDArray[np.float32],
    height: float,
    down: Vectors | None = None,
    gates: GroundGates | None = None,
) -> Estimate:
    """Metres for one unit of ``depth``, from the road in one picture.

    ``depth`` (H, W) float32, the network's units along the optical axis, inf and NaN allowed;
    ``road`` (H, W): where the ground is; ``rays`` (H, W, 2) float32: x/z and y/z of each pixel;
    ``height`` metres from the optical centre down to the ground; ``down`` (3,) float64 unit
    vector: the ground's normal, away from the camera, in the optical frame, None: unknown, some
    20 degrees about a level camera's. The same picture gives the same answer.
    """
    gates = gates or GroundGates()
    expected = _DOWN if down is None else down
    z, r = _samples(depth, road, rays, expected)
    if len(z) < gates.min_pixels:
        return Estimate.none(
            f'too little road in sight ({len(z)} samples, {gates.min_pixels} needed)', len(z)
        )
    limit = gates.max_tilt_unknown if down is None else gates.max_tilt
    first = _most_agreed(z, r, expected, limit, gates.tolerance)
    if first is None:
        return Estimate.none(f'what is labelled road is no ground within {limit:g} degrees', 0)
    prior = np.inf if down is None else np.radians(gates.tilt_sigma)
    plane, sigma = _refined(z, r, first, expected, prior, gates.tolerance)
    off = np.abs(_residuals(z, r, plane))
    inlier = off < gates.tolerance
    factor = float(height * np.linalg.norm(plane))
    reason = _gated(plane, off, inlier, expected, limit, sigma, gates)
    return Estimate(factor, sigma, int(inlier.sum()), reason)


def _samples(
    depth: NDArray[np.float32],
    road: NDArray[np.bool_],
    rays: NDArray[np.float32],
    expected: Vectors,
) -> tuple[Vectors, Vectors]:
    """Depth (N,) and rays (N, 3) of a grid's road pixels that look down to near ground."""
    step = max(1, round((depth.size / _SAMPLES) ** 0.5))
    grid = (slice(step // 2, None, step),) * 2
    z, seen, xy = depth[grid], road[grid], rays[grid]
    with np.errstate(invalid='ignore'):
        r = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1).astype(np.float64)
        sine = (r @ expected) / np.linalg.norm(r, axis=-1)
        chosen = seen & np.isfinite(z) & (z > 0) & (sine > _MIN_SINE)
    return z[chosen].astype(np.float64), r[chosen]


def _residuals(z: Vectors, r: Vectors, plane: Vectors) -> Vectors:
    """(..., N): by what share of the plane's depth the samples lie before it.

    Samples whose ray does not meet the plane ahead of the camera are infinitely far off.
    """
    inverse = plane @ r.T
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(inverse > 0, 1 / (z * inverse) - 1, np.inf)


def _most_agreed(
    z: Vectors, r: Vectors, expected: Vectors, limit: float, tolerance: float
) -> Vectors | None:
    """The plane through three samples that most samples lie on (RANSAC, Fischler and Bolles 1981).

    Of planes within ``limit`` degrees of the expected normal only; None where there is none.
    """
    draws = np.random.default_rng(0).integers(0, len(z), (_DRAWS, 3))
    corners = r[draws]  # (D, 3, 3)
    flat = np.abs(np.linalg.det(corners)) < 1e-9
    corners[flat] = np.eye(3)
    planes = np.linalg.solve(corners, 1 / z[draws][..., None])[..., 0]
    upright = planes @ expected >= np.cos(np.radians(limit)) * np.linalg.norm(planes, axis=1)
    planes = planes[upright & ~flat]
    if not len(planes):
        return None
    agreed = (np.abs(_residuals(z, r, planes)) < tolerance).sum(axis=1)
    return np.asarray(planes[agreed.argmax()])


def _refined(
    z: Vectors, r: Vectors, plane: Vectors, expected: Vectors, prior: float, tolerance: float
) -> tuple[Vectors, float]:
    """Least squares, reweighted (Tukey's biweight), and the standard error of ln |plane|.

    ``prior``: radians by which the normal may stray from the expected one; infinite: freely.
    """
    across = np.linalg.svd(expected[None])[2][1:]  # (2, 3): directions in the expected plane
    inverse = 1 / z
    for _ in range(_ROUNDS):
        modelled = np.maximum(r @ plane, 1e-12)
        off = inverse / modelled - 1
        weight = np.where(np.abs(off) < 2 * tolerance, (1 - (off / 2 / tolerance) ** 2) ** 2, 0)
        total = weight.sum()
        if total <= 0:
            return plane, float('inf')
        noise = np.sqrt((weight * off**2).sum() / total)
        # What is known of the data, as information on the relative residual.
        weight *= _INDEPENDENT / total / max(noise, 0.01) ** 2
        scaled = r / modelled[:, None]
        size = np.linalg.norm(plane)
        known = (scaled * weight[:, None]).T @ scaled + across.T @ across / (prior * size) ** 2
        plane = np.linalg.solve(known, scaled.T @ (weight * inverse / modelled))
    toward = plane / (plane @ plane)  # gradient of ln |plane|
    return plane, float(np.sqrt(toward @ np.linalg.solve(known, toward)))


def _gated(
    plane: Vectors,
    off: Vectors,
    inlier: NDArray[np.bool_],
    expected: Vectors,
    limit: float,
    sigma: float,
    gates: GroundGates,
) -> str:
    """Why the plane is not to be believed; empty: it is."""
    share = inlier.mean()
    if share < gates.min_inliers:
        return f'only {share:.0%} of the road lies on one plane'
    residual = float(np.median(off[inlier]))
    if residual > gates.max_residual:
        return f'the road is uneven ({residual:.1%} of its depth)'
    cosine = plane @ expected / np.linalg.norm(plane)
    tilt = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if tilt > limit:
        return f'the road is tilted by {tilt:.0f} degrees'
    if not sigma <= gates.max_sigma:
        return f'the plane is loose (factor to within {sigma:.0%})'
    return ''
