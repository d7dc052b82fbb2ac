"""Pinhole geometry of the view synthesis (Eq 4): pixels to points, points to pixels, the warp.

Conventions, everywhere here:

- Camera coordinates are REP 103 optical: x right, y down, z forward. Depth is z.
- Pixel (0, 0) is the *centre* of the first pixel, as in OpenCV and ROS' CameraInfo: a picture
  covers -0.5 to W - 0.5. ``intrinsics`` are those of a picture of the depth map's size.
- ``transform`` (B, 4, 4) takes points from the target camera to the source camera, T_{t→s}:
  ``p_s = R p_t + t``.

Half precision is raised to float32, and nothing here is a matrix product: those run in bfloat16
under autocast and in TF32 where a trainer allows it, and ten bits of mantissa are half a pixel.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

__all__ = [
    'Warped',
    'back_project',
    'invert_transform',
    'project',
    'transform_from_pose',
    'warp',
]

MIN_Z = 1e-6  # nearer than this, or behind the camera, a point has no pixel
SLACK = 0.01  # pixels: the outermost centres are inside in spite of rounding


class Warped(NamedTuple):
    """A source picture as seen from the target camera."""

    image: Tensor  # (B, C, H, W), the source's units
    valid: Tensor  # (B, 1, H, W) bool: interpolated between pixels of the source, none repeated


def back_project(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (B, 3, H, W) of a depth map (B, 1, H, W) or (B, H, W), in the depth's unit.

    ``intrinsics`` (3, 3) or (B, 3, 3) in pixels: [[fx, skew, cx], [0, fy, cy], [0, 0, 1]].
    Raises ValueError naming the argument whose shape is wrong.
    """
    if depth.ndim == 3:
        depth = depth[:, None]
    if depth.ndim != 4 or depth.shape[1] != 1:
        raise ValueError(f'depth must be (B, 1, H, W) or (B, H, W), got {tuple(depth.shape)}')
    depth = _full(depth)
    batch, _, height, width = depth.shape
    fx, skew, cx, fy, cy = _pinhole(intrinsics, batch, depth, dims=2)
    u = torch.arange(width, dtype=depth.dtype, device=depth.device)  # (W,)
    v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None]  # (H, 1)
    y = (v - cy) / fy  # (B, H, 1)
    x = (u - cx - skew * y) / fx  # (B, H, W)
    rays = torch.stack([x, y.expand_as(x), torch.ones_like(x)], dim=1)  # (B or 1, 3, H, W)
    return rays * depth


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Pixels (B, 2, ...), u to the right and v down, of points (B, 3, ...) before the camera.

    ``intrinsics`` as for ``back_project``. A point with z below 1e-6 is projected as if it were
    there, far outside the picture: ask z whether a pixel means anything. Raises ValueError naming
    the argument whose shape is wrong.
    """
    if points.ndim < 3 or points.shape[1] != 3:
        raise ValueError(f'points must be (B, 3, ...), got {tuple(points.shape)}')
    points = _full(points)
    fx, skew, cx, fy, cy = _pinhole(intrinsics, points.shape[0], points, dims=points.ndim - 2)
    z = points[:, 2].clamp(min=MIN_Z)  # (B, ...)
    x, y = points[:, 0] / z, points[:, 1] / z
    return torch.stack([fx * x + skew * y + cx, fy * y + cy], dim=1)


def warp(source: Tensor, depth: Tensor, intrinsics: Tensor, transform: Tensor) -> Warped:
    """Eq 4: ``source`` as the target camera would have seen it, and where that means anything.

    ``source`` (B, C, H, W); ``depth`` (B, 1, H, W) or (B, H, W) of the *target* picture, finite,
    above zero; ``intrinsics`` (3, 3) or (B, 3, 3); ``transform`` (4, 4) or (B, 4, 4), T_{t→s},
    its translation in the depth's unit. Sampled bilinearly. Beyond the source's outermost pixel
    centres its nearest border pixel is repeated, as [17] does, with no gradient to depth or pose,
    and ``valid`` is False; so it is for points behind the source camera.

    Departs from [17]'s code, which divides pixels by W - 1 and leaves ``align_corners`` to torch,
    whose default became False in 1.3: its warp by the identity then shifts the picture by up to
    half a pixel; here it returns the picture. Raises ValueError naming the argument whose shape is
    wrong.
    """
    points = back_project(depth, intrinsics)  # (B, 3, H, W)
    if source.ndim != 4 or (source.shape[0], *source.shape[2:]) != (
        points.shape[0],
        *points.shape[2:],
    ):
        raise ValueError(
            f'source must be (B, C, H, W) of the size of depth {tuple(depth.shape)}, '
            f'got {tuple(source.shape)}'
        )
    rotation, translation = _parts(transform, points)
    points = _rotate(rotation, points) + translation[:, :, None, None]
    u, v = project(points, intrinsics).unbind(dim=1)  # (B, H, W)
    height, width = source.shape[2:]
    # align_corners=False measures a picture from edge to edge: -1 is u = -0.5, 1 is W - 0.5.
    grid = torch.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], dim=3)
    image = grid_sample(
        source.to(grid.dtype), grid, mode='bilinear', padding_mode='border', align_corners=False
    )
    inside = (u >= -SLACK) & (u <= width - 1 + SLACK) & (v >= -SLACK) & (v <= height - 1 + SLACK)
    return Warped(image, (inside & (points[:, 2] > MIN_Z))[:, None])


def transform_from_pose(axis_angle: Tensor, translation: Tensor) -> Tensor:
    """Transforms (B, 4, 4) from axis-angles (B, 3), radians, and translations (B, 3).

    ``p' = R p + t`` with Rodrigues' R; differentiable at no rotation too. Raises ValueError naming
    the argument whose shape is wrong.
    """
    if axis_angle.ndim != 2 or axis_angle.shape[1] != 3:
        raise ValueError(f'axis_angle must be (B, 3), got {tuple(axis_angle.shape)}')
    if translation.shape != axis_angle.shape:
        raise ValueError(
            f'translation must be {tuple(axis_angle.shape)} as axis_angle is, '
            f'got {tuple(translation.shape)}'
        )
    squared = axis_angle.square().sum(dim=1)[:, None, None]  # (B, 1, 1), angle squared
    # sin(a) / a and (1 - cos(a)) / a^2 by their series near zero, where sqrt has no gradient.
    small = squared < 1e-6
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, 2 * ((angle / 2).sin() / angle).square())
    x, y, z = axis_angle.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    outer = axis_angle[:, :, None] * axis_angle[:, None, :]  # (B, 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    rotation = eye + sine * cross + cosine * (outer - squared * eye)  # (B, 3, 3)
    return _assemble(rotation, translation)


def invert_transform(transform: Tensor) -> Tensor:
    """The inverse (B, 4, 4) of rigid transforms (B, 4, 4): of T_{t→s}, T_{s→t}.

    Raises ValueError if ``transform`` has another shape.
    """
    if transform.ndim != 3 or transform.shape[1:] != (4, 4):
        raise ValueError(f'transform must be (B, 4, 4), got {tuple(transform.shape)}')
    back = transform[:, :3, :3].transpose(1, 2)  # (B, 3, 3)
    translation = -(back * transform[:, None, :3, 3]).sum(dim=2)  # (B, 3)
    return _assemble(back, translation)


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _assemble(rotation: Tensor, translation: Tensor) -> Tensor:
    upper = torch.cat([rotation, translation[:, :, None]], dim=2)  # (B, 3, 4)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=upper.dtype, device=upper.device)
    return torch.cat([upper, last.expand(upper.shape[0], 1, 4)], dim=1)


def _rotate(rotation: Tensor, points: Tensor) -> Tensor:
    """Rotations (B, 3, 3) times points (B, 3, H, W), in the points' own precision."""
    columns = rotation[:, :, :, None, None]  # (B, 3, 3, 1, 1)
    return (
        columns[:, :, 0] * points[:, 0:1]
        + columns[:, :, 1] * points[:, 1:2]
        + columns[:, :, 2] * points[:, 2:3]
    )


def _parts(transform: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (B or 1, 3, 3) and translation (B or 1, 3) of a transform."""
    if transform.ndim == 2:
        transform = transform[None]
    if transform.shape[1:] != (4, 4) or transform.shape[0] not in (1, like.shape[0]):
        raise ValueError(
            f'transform must be (4, 4) or ({like.shape[0]}, 4, 4), got {tuple(transform.shape)}'
        )
    transform = transform.to(like)
    return transform[:, :3, :3], transform[:, :3, 3]


def _pinhole(intrinsics: Tensor, batch: int, like: Tensor, dims: int) -> tuple[Tensor, ...]:
    """Return fx, skew, cx, fy, cy, each (B or 1, 1, ...) with ``dims`` ones."""
    if intrinsics.ndim == 2:
        intrinsics = intrinsics[None]
    if intrinsics.shape[1:] != (3, 3) or intrinsics.shape[0] not in (1, batch):
        raise ValueError(
            f'intrinsics must be (3, 3) or ({batch}, 3, 3), got {tuple(intrinsics.shape)}'
        )
    k = intrinsics.to(like)
    entries = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2))
    return tuple(k[:, i, j].view(-1, *[1] * dims) for i, j in entries)
