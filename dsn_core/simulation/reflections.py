"""What smooth things mirror: the sky in glass and paint, sky, lamps and houses in a wet road."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.render import Picture
from dsn_core.simulation.stage import Compiled
from dsn_core.simulation.weather import Weather

__all__ = ['add_gloss', 'add_mirror']

Float = NDArray[np.float32]


def add_gloss(
    out: Float,
    picture: Picture,
    stage: Compiled,
    directions: Float,
    normals: Float,
    wet: Float,
    weather: Weather,
) -> None:
    """Add the sky mirrored in glass, paint and wet asphalt."""
    gloss = np.where(picture.geom >= 0, stage.geom_gloss[picture.geom], 0.0) + 0.5 * wet
    shiny = np.flatnonzero(gloss > 0)
    if not len(shiny):
        return
    d = np.ascontiguousarray(np.take(directions.reshape(3, -1), shiny, axis=1).T)
    n = np.ascontiguousarray(np.take(normals.reshape(3, -1), shiny, axis=1).T)
    cosine = np.einsum('nc,nc->n', d, n)[:, None]
    mirrored = d - 2 * cosine * n
    fresnel = 0.06 + 0.94 * (1 - np.clip(-cosine, 0, 1)) ** 5
    above = np.clip(mirrored[:, 2:3] * 6 + 0.3, 0, 1)
    seen = weather.sky(mirrored) * above + 0.25 * weather.horizon * (1 - above)
    strength = gloss.ravel()[shiny][:, None] * np.minimum(fresnel * 2.2, 1.0)
    out.reshape(3, -1)[:, shiny] += (np.minimum(seen, weather.ambient * 3) * strength).T


def add_mirror(
    out: Float,
    solid: NDArray[np.bool_],
    directions: Float,
    turn: Float,
    wet: Float,
    camera: PinholeCamera,
    weather: Weather,
) -> None:
    """Put lamps, cars and houses into the wet road in place of the sky that they hide.

    What is mirrored is looked up in the picture itself, as if it were far away; the asphalt's
    roughness draws it out along the line of sight.
    """
    if not (wet > 0).any():
        return
    up = directions * np.array([1, 1, -1], np.float32).reshape(3, 1, 1)
    ray = (turn.T @ up.reshape(3, -1)).reshape(up.shape)
    z = np.where(ray[2] > 0.05, ray[2], np.float32(1e-6))  # behind: far outside the picture
    u = np.clip(ray[0] / z * np.float32(camera.fx) + np.float32(camera.cx), -1e4, 1e4)
    v = np.clip(ray[1] / z * np.float32(camera.fy) + np.float32(camera.cy), -1e4, 1e4)
    seen = np.concatenate([out * solid, solid[None].astype(np.float32)])
    seen = cv2.GaussianBlur(
        np.ascontiguousarray(np.moveaxis(seen, 0, 2)),
        (0, 0),
        sigmaX=max(camera.width * 0.004, 0.3),
        sigmaY=max(camera.height * 0.035, 0.3),
    )
    mirrored = cv2.remap(seen, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    fresnel = 0.06 + 0.94 * (1 - np.clip(up[2], 0, 1)) ** 5
    strength = 0.5 * wet * np.minimum(fresnel * 2.2, 1.0)
    sky = weather.sky(np.ascontiguousarray(up.reshape(3, -1).T))
    sky = np.minimum(sky, weather.ambient * 3).reshape(*wet.shape, 3)
    # What the picture does not show, the sky stands for; without a seam.
    edge = np.minimum(
        np.minimum(u, camera.width - 1 - u), np.minimum(v, camera.height - 1 - v)
    ) / np.float32(0.12 * camera.height)
    strength = strength * np.clip(edge, 0, 1)
    instead = mirrored[..., :3] - mirrored[..., 3:] * sky
    out += strength * np.moveaxis(instead, 2, 0)
    np.maximum(out, 0, out=out)
