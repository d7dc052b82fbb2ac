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
    z = np.where(np.isfinite(perception.depth), perception.depth, np.float32(np.nan))
    rays = perception.camera.rays()
    cloud['x'] = rays[..., 0] * z
    cloud['y'] = rays[..., 1] * z
    cloud['z'] = z
    # Little-endian, blue comes first, and a fourth byte that is to be 0.
    colour = cv2.cvtColor(perception.image, cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]
    cloud['rgb'] = (colour & np.uint32(0x00FFFFFF)).view('<f4')
    cloud['label'] = perception.labels
    cloud['confidence'] = perception.confidence
    return cloud
