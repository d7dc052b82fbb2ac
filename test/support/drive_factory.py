"""Writes drives in the layout of ``dsn simulate``: a plane road, a wall and a box, cheaply."""

import json
from pathlib import Path

import cv2
import numpy as np

ROAD, BUILDING, SKY, CAR = 0, 2, 10, 13


def write_drive(
    folder: Path,
    name: str,
    split: str,
    condition: str = 'day',
    frames: int = 4,
    height: int = 96,
    width: int = 160,
    fx: float = 120.0,
) -> Path:
    """Write one drive; the road's depth is that of a plane 1.5 m below the camera."""
    path = folder / name
    for kind in ('image', 'depth', 'labels'):
        (path / kind).mkdir(parents=True)
    rng = np.random.default_rng(sum(map(ord, name)))
    v, u = np.mgrid[0:height, 0:width]
    horizon = height * 0.45
    dark = 0.25 if condition == 'night' else 1.0
    for i in range(frames):
        labels = np.where(v < horizon, SKY, ROAD).astype(np.uint8)
        depth = np.where(v > horizon, 1.5 * fx / np.maximum(v - horizon, 1e-3), 0.0)
        wall = (u < width * rng.uniform(0.1, 0.3)) & (v < horizon + 12)
        labels[wall], depth[wall] = BUILDING, 15.0
        left = rng.uniform(0.4, 0.7) * width
        box = (u > left) & (u < left + width * 0.2) & (abs(v - horizon - 10) < 12)
        labels[box], depth[box] = CAR, 9.0
        colours = np.zeros((20, 3))
        colours[[ROAD, BUILDING, SKY, CAR]] = [
            (90, 90, 90),
            (160, 110, 70),
            (150, 190, 240),
            (200, 30, 30),
        ]
        image = (colours[labels] + rng.normal(0, 8, (height, width, 3))) * dark
        stem = f'{i:06d}'
        picture = np.clip(image, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path / 'image' / f'{stem}.jpg'), picture[..., ::-1])
        cv2.imwrite(
            str(path / 'depth' / f'{stem}.png'), np.clip(depth * 256, 0, 65535).astype(np.uint16)
        )
        cv2.imwrite(str(path / 'labels' / f'{stem}.png'), labels)
    intrinsics = {
        'width': width,
        'height': height,
        'fx': fx,
        'fy': fx,
        'cx': (width - 1) / 2,
        'cy': (height - 1) / 2,
    }
    description = {'condition': condition, 'split': split, 'intrinsics': intrinsics}
    (path / 'drive.json').write_text(json.dumps(description))
    return path
