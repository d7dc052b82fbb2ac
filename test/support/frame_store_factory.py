"""Writes the frames of one domain as the stage frames leaves them, from pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.training.frame_store import FrameStore, write_picture


def write_store(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> FrameStore:
    """One sequence of ``pictures`` (H, W, 3) RGB, ten a second."""
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        write_picture(folder / f'{i:06d}.jpg', picture, 100)
    height, width = pictures[0].shape[:2] if len(pictures) else (32, 32)
    count = len(pictures)
    index = {
        'height': height,
        'width': width,
        'sequence': [0] * count,
        'time': [i / 10 for i in range(count)],
        'travelled': [None] * count,
        'intrinsics': [[width, width, (width - 1) / 2, (height - 1) / 2]] * count,
    }
    (folder / 'index.json').write_text(json.dumps(index))
    return FrameStore(folder)


def smooth_pictures(
    count: int, level: float, height: int, width: int, seed: int
) -> list[NDArray[np.uint8]]:
    """Pictures of soft blobs, each in other places, of brightness ``level`` on average."""
    rng = np.random.default_rng(seed)
    blobs = rng.normal(0, 20, (count, height // 8, width // 8, 3)).astype(np.float32)
    large = [cv2.resize(b, (width, height), interpolation=cv2.INTER_CUBIC) for b in blobs]
    return [np.clip(level + b - b.mean(), 0, 255).astype(np.uint8) for b in large]
