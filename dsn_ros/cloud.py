"""The organised semantic cloud: one point per pixel, row after row."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_ros.pipeline import Perception

__all__ = ['CLOUD_DTYPE', 'organised_cloud']

# Packed without gaps, so that point_step is the sum of the fields and consumers which index
# v * width + u find their point. ``rgb`` holds 0x00RRGGBB in a float's bytes, as PCL and RViz do.
CLOUD_DTYPE = np.dtype(
    [
        ('x', '<f4'),
        ('y', '<f4'),
        ('z', '<f4'),
        ('rgb', '<f4'),
        ('label', 'u1'),
        ('confidence', 'u1'),
    ]
)

_BLOCK_BYTES = 2**18  # of points at a time: what lies in the cache is not fetched for every field


def organised_cloud(perception: Perception) -> NDArray[np.void]:
    """(H, W) structured array of CLOUD_DTYPE in the camera's optical frame (REP 103).

    x, y, z in the units of ``perception.depth``; all three NaN where the depth is not finite (sky
    or unknown). Raises ValueError where the camera is not calibrated: without the lens a pixel
    has no direction.
    """
    if perception.camera is None:
        raise ValueError('a cloud needs a calibrated camera: no usable camera_info')
    height, width = perception.depth.shape
    cloud = np.empty((height, width), dtype=CLOUD_DTYPE)
    rays = perception.camera.rays()
    x, y = rays[..., 0], rays[..., 1]
    step = max(1, _BLOCK_BYTES // cloud[:1].nbytes)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        part, depth = cloud[rows], perception.depth[rows]
        z = np.where(np.isfinite(depth), depth, np.float32(np.nan))
        part['x'] = x[rows] * z
        part['y'] = y[rows] * z
        part['z'] = z
        # Little-endian, blue comes first, and a fourth byte that is to be 0.
        colour = cv2.cvtColor(perception.image[rows], cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]
        colour &= np.uint32(0x00FFFFFF)
        part['rgb'] = colour.view('<f4')
        part['label'] = perception.labels[rows]
        part['confidence'] = perception.confidence[rows]
    return cloud
