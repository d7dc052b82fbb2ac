"""Augmentation: one random view of a frame, and what a worse camera would have made of it.

Geometry and light are drawn from the generator that is handed in, so that the same seed gives the
same sample.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.drives import DriveFrame

__all__ = ['other_textures', 'random_view', 'worse_camera']

_GRAINS = 3  # kinds of texture in a picture
_FINEST, _COARSEST = 1.0, 40.0  # pixels between the knots of a texture's noise


def random_view(
    frame: DriveFrame,
    height: int,
    width: int,
    rng: np.random.Generator,
    max_zoom: float = 1.8,
    max_stretch: float = 1.15,
) -> tuple[DriveFrame, float]:
    """Crop a random window, resize it to ``height`` x ``width``, flip it every other time.

    Returns the view and how many times longer its focal length is, in pixels, than the frame's.
    Flipping a street turns the side of the road it drives on, which is welcome.
    """
    full_height, full_width = frame.depth.shape
    zoom = float(np.exp(rng.uniform(0.0, np.log(max_zoom))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(max_stretch)))
    # The largest window of the target's aspect (stretched), shrunk by the zoom.
    aspect = width / height * stretch
    window_width = min(full_width, full_height * aspect) / zoom
    window_height = min(window_width / aspect, full_height)  # rounding, at no zoom
    left = rng.uniform(0, full_width - window_width)
    top = rng.uniform(0, full_height - window_height)
    x0, y0 = int(left), int(top)
    x1 = max(x0 + 1, int(left + window_width))
    y1 = max(y0 + 1, int(top + window_height))
    size = (width, height)
    shrinks = x1 - x0 >= width and y1 - y0 >= height
    image = cv2.resize(
        frame.image[y0:y1, x0:x1],
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    depth, labels = (
        cv2.resize(each[y0:y1, x0:x1], size, interpolation=cv2.INTER_NEAREST_EXACT)
        for each in (frame.depth, frame.labels)
    )
    if rng.random() < 0.5:
        image, depth, labels = image[:, ::-1], depth[:, ::-1], labels[:, ::-1]
    focal_factor = float(np.sqrt((width / (x1 - x0)) * (height / (y1 - y0))))
    view = DriveFrame(
        image.astype(np.uint8, copy=False),
        depth.astype(np.float32, copy=False),
        labels.astype(np.uint8, copy=False),
    )
    return view, focal_factor


def other_textures(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
    strength: float,
) -> NDArray[np.uint8]:
    """Grain the surfaces of (H, W, 3) uint8 RGB as nothing that was drawn is grained.

    ``labels`` (H, W) uint8 says what belongs together: each class gets noise of one of three
    random kinds, each kind of its own fineness, or (half of them) none. What is drawn is
    smoother than what is real, so that a network takes a real thing's fine grain for distance;
    grain that says nothing of distance makes it look at shape and place instead. ``strength`` 0
    changes nothing; at 1 a surface's brightness varies by a factor of 1.3 (one standard
    deviation, on average).
    """
    if strength <= 0:
        return image
    amounts = np.abs(rng.normal(0, 0.33 * strength, 256)) * (rng.random(256) < 0.5)
    kinds = rng.integers(_GRAINS, size=256)
    grain = np.zeros(labels.shape, np.float32)
    for kind in range(_GRAINS):
        amount = np.where(kinds == kind, amounts, 0).astype(np.float32)[labels]
        grain += amount * _noise(labels.shape, rng)
    x = image * np.exp(grain)[..., None]
    result: NDArray[np.uint8] = np.clip(x, 0, 255).astype(np.uint8)
    return result


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of variance 1 of two random finenesses, (H, W)."""
    height, width = shape
    total = np.zeros((height, width), np.float32)
    for _ in range(2):
        step = float(np.exp(rng.uniform(np.log(_FINEST), np.log(_COARSEST))))
        knots = (max(2, round(height / step)), max(2, round(width / step)))
        coarse = rng.standard_normal(knots, dtype=np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    spread = np.float32(total.std())
    result: NDArray[np.float32] = total / spread
    return result


def worse_camera(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float
) -> NDArray[np.uint8]:
    """Change light, colour, focus, noise and compression of (H, W, 3) uint8 RGB.

    ``strength`` 0 changes nothing, 1 is heavy. Each effect is applied to about half the pictures.
    """
    if strength <= 0:
        return image
    x: NDArray[Any] = image.astype(np.float32) / 255
    if rng.random() < 0.5:  # exposure and tone
        x = x ** np.float32(np.exp(rng.normal(0, 0.35) * strength))
        x *= np.float32(np.exp(rng.normal(0, 0.25) * strength))
    if rng.random() < 0.5:  # contrast about the mean
        mean = x.mean()
        x = mean + (x - mean) * np.float32(np.exp(rng.normal(0, 0.25) * strength))
    if rng.random() < 0.5:  # white balance
        x *= np.exp(rng.normal(0, 0.12, 3) * strength).astype(np.float32)
    if rng.random() < 0.5:  # saturation, down to grey
        grey = x.mean(axis=-1, keepdims=True)
        x = grey + (x - grey) * np.float32(max(0.0, 1 + rng.normal(0, 0.5) * strength))
    if rng.random() < 0.3:  # haze or stray light: black is no longer black
        veil = rng.uniform(0, 0.35) * strength
        x = x * np.float32(1 - veil) + np.float32(veil * rng.uniform(0.2, 1.0))
    if rng.random() < 0.3:  # focus
        x = cv2.GaussianBlur(x, (0, 0), 0.3 + 1.2 * strength * rng.random())
    if rng.random() < 0.5:  # noise
        x = x + rng.normal(0, 0.04 * strength * rng.random(), x.shape).astype(np.float32)
    result: NDArray[np.uint8] = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.3:  # compression
        quality = int(90 - 60 * strength * rng.random())
        ok, data = cv2.imencode('.jpg', result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok:
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert decoded is not None, 'what was just encoded can be decoded'
            result = decoded.astype(np.uint8, copy=False)
    return result
