"""How steady depth and labels are along a drive, with the motion of the camera taken out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ['View', 'corresponding', 'depth_change', 'label_agreement']

_NEAREST = 1e-6  # metres before the camera


class View(NamedTuple):
    """What is true of one frame."""

    depth: NDArray[np.floating]
    """(H, W) metres along the optical axis, 0 = not measured."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pixels; pixel (0, 0) is the centre of the first pixel."""
    pose: NDArray[np.float64]
    """(3, 4) camera to world, metres."""


def corresponding(
    before: View, now: View, tolerance: float = 0.05
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat indices (N,) of the same points in ``now`` and in ``before``.

    Every pixel of ``now`` whose depth is measured is moved into ``before`` with the true depth,
    pose and intrinsics, to the nearest pixel. It is kept if it falls into the picture and the
    depth measured there is within ``tolerance`` (relative) of the one expected: what is hidden
    there, or moves by itself, is left out.
    """
    v, u = np.nonzero(np.isfinite(now.depth) & (now.depth > 0))
    pixels = np.stack([u, v, np.ones_like(u)]).astype(np.float64)
    points = np.linalg.solve(now.intrinsics, pixels) * now.depth[v, u]
    world = now.pose[:, :3] @ points + now.pose[:, 3:]
    seen = before.pose[:, :3].T @ (world - before.pose[:, 3:])
    front = seen[2] > _NEAREST
    v, u, seen = v[front], u[front], seen[:, front]
    place = before.intrinsics @ (seen / seen[2])
    height, width = before.depth.shape
    # Rounded as floats first: a point beside the camera lies beyond any integer.
    column, row = np.rint(place[0]), np.rint(place[1])
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    u, v, expected = u[inside], v[inside], seen[2, inside]
    there = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
    measured = before.depth.ravel()[there]
    visible = np.isfinite(measured) & (np.abs(measured / expected - 1) < tolerance)
    here = v.astype(np.int64) * now.depth.shape[1] + u
    return here[visible], there[visible]


def depth_change(
    before: View,
    now: View,
    depth_before: NDArray[np.floating],
    depth_now: NDArray[np.floating],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> float:
    """Mean over ``pairs`` of |log(D_now / D_warped)|; NaN where there is none.

    D are predictions (H, W) of the views' size, in any unit. D_warped is what was predicted for
    the point before, times the true ratio of its depths now and before: so depth that is right up
    to one constant factor scores zero, and a factor that jumps by f scores |log f|. Predictions
    that are not finite and above zero are left out.
    """
    here, there = pairs
    new = depth_now.ravel()[here].astype(np.float64)
    old = depth_before.ravel()[there].astype(np.float64)
    usable = np.isfinite(new) & np.isfinite(old) & (new > 0) & (old > 0)
    if not usable.any():
        return float('nan')
    here, there, new, old = here[usable], there[usable], new[usable], old[usable]
    true = now.depth.ravel()[here] / before.depth.ravel()[there].astype(np.float64)
    return float(np.mean(np.abs(np.log(new / old / true))))


def label_agreement(
    labels_before: NDArray[np.uint8],
    labels_now: NDArray[np.uint8],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> float:
    """Share of ``pairs`` with the same label in both maps (H, W); NaN where there is none."""
    here, there = pairs
    if not here.size:
        return float('nan')
    return float(np.mean(labels_now.ravel()[here] == labels_before.ravel()[there]))
