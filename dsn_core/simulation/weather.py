"""The light of an hour: sun, sky and haze by day, at dusk and by night, in lux and cd/m2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.textures import noise

__all__ = ['Weather', 'make_weather']

Float = NDArray[np.float32]


def _colour(r: float, g: float, b: float) -> Float:
    return np.array([r, g, b], np.float32)


@dataclass(frozen=True)
class Weather:
    """Photometric state of the sky; colours are linear RGB times lux or cd/m2."""

    to_sun: NDArray[np.float64]  # unit vector towards the sun or where it set
    sun: Float | None  # (3,) lux on a surface that faces it; None: no shadows
    ambient: Float  # (3,) lux on a horizontal surface under the open sky
    zenith: Float  # (3,) cd/m2
    horizon: Float  # (3,) cd/m2
    glow: Float  # (3,) cd/m2 added about the sun's azimuth near the horizon
    cloud: Float  # (3,) cd/m2 of clouds
    cloudiness: float  # 0 clear to 1 overcast
    clouds: Float  # (512, 512) noise, zero mean
    stars: bool
    lamps: float  # 0 off to 1 on: street lamps and windows
    cars_lit: bool
    haze: float  # extinction per metre
    wet: float  # 0 dry to 1 wet road
    beam: str  # the camera car's own lights: none, low, high

    def sky(self, d: Float) -> Float:
        """Luminance (N, 3) cd/m2 of the sky in directions ``d`` (N, 3), unit, world frame."""
        up = np.clip(d[:, 2], 0.0, 1.0)
        fall = np.exp(-up * 3.2)[:, None]
        out = self.zenith * (1 - fall) + self.horizon * fall
        toward = np.clip(d @ self.to_sun.astype(np.float32), 0, 1)[:, None]
        out += self.glow * (toward**4 * np.exp(-up * 5.0)[:, None] + 0.6 * toward**60)
        if self.sun is not None:
            out += self.sun * (toward**600 * 0.35 + (toward > 0.99996) * 20.0)
        if self.cloudiness > 0:
            plane = d[:, :2] / (up[:, None] + 0.12)
            uv = (plane * 60.0).astype(np.int32) % 512
            fine = (plane * 230.0).astype(np.int32) % 512
            value = self.clouds[uv[:, 1], uv[:, 0]] + 0.25 * self.clouds[fine[:, 0], fine[:, 1]]
            level = 1.6 - 3.2 * self.cloudiness
            cover = np.clip((value - level) * 0.9, 0, 1)[:, None]
            tone = self.cloud * (1.0 + 0.16 * np.clip(value, -2, 2))[:, None]
            out = out * (1 - cover) + tone * cover
        return np.asarray(np.maximum(out, 0), dtype=np.float32)


def make_weather(rng: np.random.Generator, condition: str, lit_town: bool) -> Weather:
    """Draw the light of ``condition`` (day, dusk, night); ``lit_town``: there are street lamps."""
    azimuth = float(rng.uniform(-np.pi, np.pi))
    ambient: NDArray[np.floating]
    zenith: NDArray[np.floating]
    horizon: NDArray[np.floating]
    cloud: NDArray[np.floating]
    glow: NDArray[np.floating]
    clouds = noise(rng, 512, (4, 8, 16, 32, 64))
    haze = float(10 ** rng.uniform(-3.6, -2.7))
    if rng.random() < 0.13:
        haze = float(10 ** rng.uniform(-2.3, -1.6))  # fog
    wet = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.2 else 0.0
    cloudiness = float(rng.choice([0.0, rng.uniform(0.15, 0.7), 1.0], p=[0.25, 0.45, 0.3]))
    blue = _colour(0.3, 0.52, 1.0) * float(rng.uniform(0.8, 1.15)) ** np.array([1, 0.5, -0.5])
    sun: Float | None = None
    glow = _colour(0, 0, 0)
    beam = 'none'
    if condition == 'day':
        elevation = float(np.radians(rng.uniform(9, 68)))
        if cloudiness < 0.75:
            warm = float(np.clip(1.25 - np.degrees(elevation) / 40, 0, 1))
            sun = _colour(1.0, 0.95 - 0.15 * warm, 0.88 - 0.38 * warm)
            sun = sun * float(rng.uniform(45e3, 95e3)) * (1 - 0.4 * warm)
            level = float(rng.uniform(9e3, 19e3))
            ambient = level * (_colour(0.86, 0.96, 1.14) * 0.8 + 0.2 * blue)
            zenith, horizon = blue * level * 0.28, level * 0.45 * _colour(0.85, 0.95, 1.05)
            cloud = level * 0.62 * _colour(1.0, 1.0, 1.02)
            glow = level * 0.3 * _colour(1.0, 0.95, 0.85)
        else:
            level = float(rng.uniform(4e3, 24e3))
            ambient = level * _colour(0.97, 1.0, 1.05)
            zenith = horizon = cloud = level * 0.36 * _colour(0.97, 1.0, 1.04)
            cloudiness = 1.0
        lamps, cars_lit = 0.0, bool(rng.random() < 0.35)
    elif condition == 'dusk':
        level = float(10 ** rng.uniform(1.0, 2.9))
        elevation = float(np.radians(rng.uniform(1, 5)))
        tint = rng.random()
        warm_sky = _colour(1.0, 0.75, 0.55) if tint < 0.4 else _colour(0.72, 0.88, 1.2)
        ambient = level * warm_sky
        zenith = level * 0.2 * _colour(0.5, 0.7, 1.25)
        horizon = level * float(rng.uniform(0.35, 0.8)) * (warm_sky * 0.6 + 0.4)
        glow = level * float(rng.uniform(0.2, 3.0)) * _colour(1.0, 0.5, 0.2)
        cloud = level * float(rng.uniform(0.15, 0.6)) * (warm_sky * _colour(1.0, 0.85, 0.85))
        if rng.random() < 0.25 and cloudiness < 0.75:
            elevation = float(np.radians(rng.uniform(2, 8)))
            sun = level * float(rng.uniform(1.0, 5.0)) * _colour(1.0, 0.6, 0.3)
        lamps = float(rng.random() < (0.9 if level < 150 else 0.4))
        cars_lit = bool(rng.random() < 0.85)
        beam = 'low' if rng.random() < 0.7 else 'none'
    else:
        level = float(10 ** rng.uniform(-2.6, -0.9 if not lit_town else 0.1))
        elevation = float(np.radians(rng.uniform(20, 60)))
        city = _colour(1.0, 0.72, 0.5) if rng.random() < 0.5 else _colour(0.7, 0.85, 1.15)
        ambient = level * city
        zenith, horizon = level * 0.2 * city, level * float(rng.uniform(0.3, 1.2)) * city
        cloud = level * float(rng.uniform(0.1, 0.5)) * city
        lamps, cars_lit = float(rng.random() < 0.95), True
        beam = str(rng.choice(['low', 'high', 'none'], p=[0.74, 0.2, 0.06]))
        if not lit_town and beam == 'none':
            beam = 'low'
    to_sun = np.array(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    return Weather(
        to_sun=to_sun,
        sun=None if sun is None else sun.astype(np.float32),
        ambient=ambient.astype(np.float32),
        zenith=zenith.astype(np.float32),
        horizon=horizon.astype(np.float32),
        glow=glow.astype(np.float32),
        cloud=cloud.astype(np.float32),
        cloudiness=cloudiness,
        clouds=clouds,
        stars=condition == 'night',
        lamps=lamps,
        cars_lit=cars_lit,
        haze=haze,
        wet=wet,
        beam=beam,
    )
