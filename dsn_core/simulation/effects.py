"""What a camera does to light: exposure, glare, blur, noise, white balance, tone curve, JPEG.

Pure numpy and OpenCV. Input is luminance in cd/m2; everything up to the tone curve is linear.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['CameraEffects', 'auto_exposure', 'develop', 'draw_effects', 'glare']

Float = NDArray[np.float32]


@dataclass(frozen=True)
class CameraEffects:
    """The properties of one camera."""

    target: float = 0.2  # mean linear level that auto exposure aims at, 0 to 1
    least_white: float = 6.0  # cd/m2 that gives white at the longest exposure and highest gain
    compensation: float = 1.0  # factor on the exposure
    glare_share: float = 0.02  # share of a light's energy that the lens scatters
    glare_size: float = 0.02  # width of the halo, share of the picture's width
    sharpness: float = 0.45  # sigma of the lens blur in pixels
    vignette: float = 0.2  # darkening in the corners
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gains of red, green, blue
    electrons: float = 6000.0  # full well at the lowest gain
    read_noise: float = 4.0  # electrons
    gamma: float = 2.2
    contrast: float = 0.3  # strength of the S curve, 0 to 1
    saturation: float = 1.0
    black: float = 0.0  # level subtracted (crushed shadows), 0 to 0.05
    motion: float = 0.0  # pixels of blur towards the corners of the picture
    jpeg: int = 92  # quality; 0: none


def draw_effects(rng: np.random.Generator, condition: str) -> CameraEffects:
    """Draw a camera."""
    night, dusk = condition == 'night', condition == 'dusk'
    target = float(rng.uniform(0.16, 0.3))
    if dusk:
        target = float(rng.uniform(0.07, 0.17))
    if night:
        target = float(rng.uniform(0.02, 0.12))
    return CameraEffects(
        target=target,
        least_white=float(10 ** rng.uniform(-0.3, 1.1)),
        compensation=float(2 ** rng.normal(0, 0.18)),
        glare_share=float(10 ** rng.uniform(-2.4, -1.1)) * (1.0 if night else 0.6),
        glare_size=float(rng.uniform(0.006, 0.03)),
        sharpness=float(rng.uniform(0.25, 0.75)),
        vignette=float(rng.uniform(0, 0.4)),
        balance=(float(np.exp(rng.normal(0, 0.07))), 1.0, float(np.exp(rng.normal(0, 0.09)))),
        electrons=float(10 ** rng.uniform(3.5, 4.3)),
        read_noise=float(rng.uniform(1.5, 6.0)),
        gamma=float(rng.uniform(1.9, 2.5)),
        contrast=float(rng.uniform(0, 0.7)),
        saturation=float(rng.uniform(0.6, 1.25)),
        black=float(rng.uniform(0, 0.012)) if night else float(rng.uniform(0, 0.006)),
        motion=float(rng.uniform(0, 4.0)) if rng.random() < (0.5 if night else 0.2) else 0.0,
        jpeg=int(rng.integers(70, 97)),
    )


def auto_exposure(luminance: Float, camera: CameraEffects) -> float:
    """The luminance (cd/m2) that becomes white, so that the mean level meets the target.

    Levels clip at white, as a sensor's do, so a few bright lamps don't darken the picture.
    """
    grey = luminance[::4, ::4].mean(axis=-1)
    grey = grey[grey.shape[0] // 6 :]  # the uppermost rows weigh nothing, as in car cameras
    white = max(float(grey.max()), 1e-6)
    for _ in range(18):
        level = float(np.minimum(grey / white, 1.0).mean())
        white *= float(np.clip(level / camera.target, 0.5, 2.0)) ** 0.8
        white = max(white, 1e-6)
    return max(white, camera.least_white) / camera.compensation


def glare(level: Float, camera: CameraEffects) -> Float:
    """Scatter light in the lens: halos around what is far brighter than white."""
    h, w = level.shape[:2]
    small = cv2.resize(
        np.minimum(level, 400.0), (max(w // 4, 2), max(h // 4, 2)), interpolation=cv2.INTER_AREA
    )
    halo = np.zeros_like(small)
    for size, share in ((1.0, 0.55), (3.0, 0.3), (9.0, 0.15)):
        sigma = max(camera.glare_size * w / 4 * size, 0.5)
        halo = halo + share * cv2.GaussianBlur(
            small, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
        )
    halo = cv2.resize(halo, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(level * (1 - camera.glare_share) + halo * camera.glare_share, np.float32)


def _zoom_blur(level: Float, pixels: float) -> Float:
    """Blur as driving forward does: away from the centre, most in the corners."""
    h, w = level.shape[:2]
    out = level.copy()
    for k in (1, 2, 3):
        zoom = 1 + pixels / max(w, h) * 2 * k / 3
        m = np.array([[zoom, 0, (1 - zoom) * w / 2], [0, zoom, (1 - zoom) * h / 2]], np.float32)
        out += cv2.warpAffine(level, m, (w, h), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out / 4, np.float32)


def develop(
    luminance: Float, camera: CameraEffects, rng: np.random.Generator, white: float | None = None
) -> NDArray[np.uint8]:
    """Develop luminance (H, W, 3) in cd/m2 into a picture (H, W, 3) uint8 RGB."""
    h, w = luminance.shape[:2]
    white = white if white is not None else auto_exposure(luminance, camera)
    level = np.asarray(luminance / np.float32(white), np.float32)
    if camera.motion > 0.3:
        level = _zoom_blur(level, camera.motion)
    if camera.glare_share > 0:
        level = glare(level, camera)
    if camera.sharpness > 0.2:
        level = np.asarray(cv2.GaussianBlur(level, (0, 0), camera.sharpness), np.float32)
    y, x = np.linspace(-1, 1, h, dtype=np.float32), np.linspace(-1, 1, w, dtype=np.float32)
    corners = 1 - np.float32(camera.vignette / 2) * (y[:, None] ** 2 + x[None, :] ** 2)
    level = level * cv2.merge([corners * np.float32(gain) for gain in camera.balance])
    # gain: how much darker than a bright day's exposure the white level is
    gain = float(np.clip((3000.0 / white) ** 0.5, 1.0, 30.0))
    well = camera.electrons / gain
    electrons = np.clip(level, 0, 4) * well
    noise = rng.standard_normal(level.shape, dtype=np.float32)
    electrons += noise * np.sqrt(electrons + camera.read_noise**2, dtype=np.float32)
    level = np.clip(electrons / well - camera.black, 0, 1)
    mix = camera.saturation * np.eye(3) + (1 - camera.saturation) / 3
    level = np.clip(cv2.transform(level, mix), 0, 1)
    level = np.asarray(level, np.float32) ** np.float32(1 / camera.gamma)
    level += camera.contrast * (level * level * (3 - 2 * level) - level)
    picture = np.clip(level * 255 + 0.5, 0, 255).astype(np.uint8)
    if camera.jpeg > 0:
        ok, code = cv2.imencode(
            '.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg]
        )
        if ok:
            decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
            picture = np.ascontiguousarray(decoded[..., ::-1])
    return np.asarray(picture, np.uint8)
