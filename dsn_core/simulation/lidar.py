"""A spinning LiDAR, cast against the true geometry."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.stage import load_mujoco

__all__ = ['cast', 'scan_pattern']

ABOVE_CAMERA = 0.3  # metres
UP, DOWN = 8.0, -22.0  # degrees, the highest and the lowest ring
NEAREST, FARTHEST = 0.5, 80.0  # metres


def scan_pattern(rings: int, step: float, fov: float = 120.0) -> NDArray[np.float64]:
    """Unit directions (rings x columns, 3) in level optical axes: x right, y down, z ahead.

    ``step`` between two columns and ``fov`` about straight ahead in degrees; all around (360),
    the last column is not the first one again.
    """
    end = fov / 2 + 1e-9 if fov < 360 else 180 - 1e-9
    azimuth = np.radians(np.arange(-fov / 2, end, step))
    elevation = np.radians(np.linspace(UP, DOWN, rings))
    e, a = np.meshgrid(elevation, azimuth, indexing='ij')
    d = np.stack([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], axis=-1)
    return np.asarray(d.reshape(-1, 3))


def cast(
    model: Any,
    data: Any,
    camera_to_world: NDArray[np.float64],
    level: NDArray[np.float64],
    pattern: NDArray[np.float64],
    noise: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """Points (N, 3) float32 in the camera's optical frame.

    ``level``: (3, 3) rotation, camera axes → level axes, in which the sensor stands upright.
    """
    mj = load_mujoco()
    in_camera = pattern @ level  # level axes -> camera axes: the transposed rotation
    origin_camera = level.T @ np.array([0.0, -ABOVE_CAMERA, 0.0])
    origin = camera_to_world[:3, :3] @ origin_camera + camera_to_world[:3, 3]
    directions = np.ascontiguousarray(in_camera @ camera_to_world[:3, :3].T)
    count = len(directions)
    hit, distance = np.full(count, -1, np.int32), np.full(count, -1.0)
    head = (model, data, origin, directions.ravel(), None, 1, -1, hit, distance)
    try:
        mj.mj_multiRay(*head, None, count, FARTHEST + 1.0)
    except TypeError:  # MuJoCo 3: no normals
        mj.mj_multiRay(*head, count, FARTHEST + 1.0)
    if noise is not None:
        distance = np.where(hit >= 0, distance + noise, distance)
    good = (hit >= 0) & (distance >= NEAREST) & (distance <= FARTHEST)
    points = origin_camera + in_camera[good] * distance[good, None]
    return np.asarray(points, dtype=np.float32)
