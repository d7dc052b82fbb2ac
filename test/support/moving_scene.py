"""A source of frames with true parallax: a camera that drives down a textured road to a wall."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dsn_core.data.source import FrameSource, SourceFrame

HEIGHT_ABOVE_ROAD = 1.5
WALL = 30.0


@dataclass(frozen=True)
class MovingScene(FrameSource, kind='moving_scene'):
    """``sequences`` drives of ``length`` frames; by night darker, noisier and bluer."""

    seed: int = 0
    """Which texture."""
    sequences: int = 2
    """How many drives."""
    length: int = 5
    """Frames of a drive."""
    height: int = 64
    """Height of the pictures."""
    width: int = 96
    """Width of the pictures."""
    night: bool = False
    """Darker, noisier and bluer."""
    step: float = 0.5
    """Metres between two frames."""
    delay: float = 0.0
    """Seconds that every frame takes."""

    def files(self) -> Sequence[Path]:
        return []

    def count(self) -> int:
        return self.sequences * self.length

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        k = intrinsics(self.height, self.width)
        for s in range(self.sequences):
            for i in range(self.length):
                time.sleep(self.delay)
                image, _, _ = draw(self, s, i * self.step)
                yield SourceFrame(image, k, f'{self.seed}-{s}', 0.1 * i, i * self.step)


def intrinsics(height: int, width: int) -> np.ndarray:
    return np.array(
        [[0.8 * width, 0, (width - 1) / 2], [0, 0.8 * width, 0.45 * height], [0, 0, 1]]
    )


def draw(scene: MovingScene, sequence: int, position: float):
    """Picture (H, W, 3) uint8, depth (H, W) and labels (H, W) as the camera at ``position``."""
    k = intrinsics(scene.height, scene.width)
    v, u = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float64)
    x, y = (u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]
    road = np.where(y > 1e-3, HEIGHT_ABOVE_ROAD / np.maximum(y, 1e-3), np.inf)
    wall = WALL - position
    depth = np.minimum(road, wall)
    is_road = road < wall
    rng = np.random.default_rng([scene.seed, sequence])
    texture = cv2.GaussianBlur(rng.random((256, 256, 3)), (0, 0), 1.5)
    texture = (texture - texture.min()) / np.ptp(texture)
    along = np.where(is_road, depth + position, y * depth)
    rows = (along * 8) % 256
    columns = (x * depth * 8) % 256
    image = cv2.remap(
        texture.astype(np.float32),
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    image = image * np.where(is_road, 0.5, 1.0)[..., None]
    if scene.night:
        image = image * (0.25, 0.28, 0.35)
        image = image + rng.normal(0, 0.01, image.shape)
    labels = np.where(is_road, 0, 2).astype(np.uint8)  # road, building
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), depth.astype(np.float32), labels
