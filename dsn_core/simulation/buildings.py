"""Buildings: houses, blocks, towers, halls; facades as textures, windows that can be lit."""

import numpy as np

from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour, Stage
from dsn_core.simulation.textures import facade, plaster, shop

__all__ = ['BuildingMaker']

# sRGB 0-255. Pale walls overlap the sky's brightness on purpose.
WALLS: list[tuple[float, float, float]] = [
    (232, 228, 220),
    (244, 243, 240),
    (205, 190, 160),
    (172, 160, 148),
    (150, 85, 65),
    (120, 70, 58),
    (98, 92, 88),
    (214, 180, 120),
    (188, 205, 214),
    (226, 190, 170),
    (70, 74, 80),
    (138, 146, 152),
    (60, 52, 48),
    (196, 204, 190),
]


class BuildingMaker:
    """Makes the facade materials of a town once, then places buildings."""

    def __init__(self, stage: Stage, rng: np.random.Generator) -> None:
        self._stage, self._rng, self._count = stage, rng, 0
        self._facades: list[tuple[str, str, str, float, float]] = []
        for i in range(5):
            base = WALLS[int(rng.integers(len(WALLS)))]
            bay, floor = float(rng.uniform(2.2, 4.2)), float(rng.uniform(2.7, 3.6))
            stage.material(f'facade{i}', facade(rng, base), (bay * 4, floor * 4))
            stage.material(f'shop{i}', shop(rng, base), (16.0, 4.2))
            stage.material(f'plain{i}', plaster(rng, base), 6.0)
            self._facades.append((f'facade{i}', f'shop{i}', f'plain{i}', bay, floor))

    def place(
        self,
        foot: tuple[float, float, float],
        yaw: float,
        size: tuple[float, float, float],
        shops: bool,
        gable: bool,
    ) -> None:
        """Put a building with its front's middle at ``foot``.

        ``yaw``: outward normal of the front, radians; ``size``: width along the street, depth
        away from it, height to the top, metres.
        """
        rng, stage = self._rng, self._stage
        wide, deep, tall = size
        name, ground, plain, bay, floor = self._facades[int(rng.integers(len(self._facades)))]
        shade = float(rng.uniform(0.72, 0.995))
        tint: Colour = (
            shade,
            shade * float(rng.uniform(0.94, 1.0)),
            shade * float(rng.uniform(0.9, 1.0)),
        )
        base = 4.2 if shops and tall > 8 else 0.0
        d, w = deep, wide / 2
        outline = np.array([[0, w], [-d, w], [-d, -w], [0, -w]])
        walls, lower, roof, trim, lit = Shape(), Shape(), Shape(), Shape(), Shape()
        for k in range(4):
            (x0, y0), (x1, y1) = outline[k], outline[(k + 1) % 4]
            long = float(np.hypot(x1 - x0, y1 - y0))
            bays = max(1, round(long / bay)) * bay
            floors = max(1, round((tall - base) / floor)) * floor
            # anticlockwise seen from outside: the outline runs clockwise from above
            walls.quad(
                (x1, y1, base),
                (x0, y0, base),
                (x0, y0, tall),
                (x1, y1, tall),
                np.array([[0, 0], [bays, 0], [bays, floors], [0, floors]]),
            )
            lower.quad(
                (x1, y1, -3),
                (x0, y0, -3),
                (x0, y0, base),
                (x1, y1, base),
                np.array([[0, -3.0], [long, -3.0], [long, base], [0, base]]),
            )
        if gable and tall < 14:
            rise = wide * rng.uniform(0.2, 0.5) if rng.random() < 0.5 else 0.0
            e = 0.4
            if rise:  # gable to the street
                ridge = [(e, 0, tall + rise), (-d - e, 0, tall + rise)]
                roof.quad((e, -w - e, tall), ridge[0], ridge[1], (-d - e, -w - e, tall))
                roof.quad((-d - e, w + e, tall), ridge[1], ridge[0], (e, w + e, tall))
                for x, y in ((0, 1.0), (-d, -1.0)):
                    trim.triangles(
                        [(x, -w * y, tall), (x, w * y, tall), (x, 0, tall + rise * 0.93)],
                        [[0, 1, 2]],
                        np.zeros((3, 2)),
                    )
            else:
                rise = deep * rng.uniform(0.2, 0.5)
                top = [(-d / 2, -w - e, tall + rise), (-d / 2, w + e, tall + rise)]
                roof.quad((e, -w - e, tall), (e, w + e, tall), top[1], top[0])
                roof.quad((-d - e, w + e, tall), (-d - e, -w - e, tall), top[0], top[1])
                for y in (-w, w):
                    trim.triangles(
                        [(0, y, tall), (-d, y, tall), (-d / 2, y, tall + rise * 0.93)],
                        [[0, 1, 2]],
                        np.zeros((3, 2)),
                    )
            if rng.random() < 0.6:
                trim.box(
                    (-d * rng.uniform(0.3, 0.7), rng.uniform(-0.5, 0.5) * w, tall + rise),
                    (0.7, 0.6, 2.0),
                )
        else:
            roof.quad((0, -w, tall), (0, w, tall), (-d, w, tall), (-d, -w, tall))
            if rng.random() < 0.6:  # cornice
                trim.box((-d / 2, 0, tall - 0.2), (d + 0.7, wide + 0.6, 0.5))
            for _ in range(int(rng.integers(0, 3))):
                trim.box(
                    (-d * rng.uniform(0.3, 0.7), rng.uniform(-0.3, 0.3) * wide, tall + 1),
                    (2.5, rng.uniform(2, 4), 2.2),
                )
        if tall > 9 and rng.random() < 0.4:  # balconies
            for z in np.arange(base + floor, tall - 2, floor):
                for y in np.arange(-w + bay, w - bay / 2, bay * 2):
                    trim.box((0.55, y, z), (1.1, bay * 0.8, 0.14))
                    trim.box((1.05, y, z + 0.5), (0.06, bay * 0.8, 0.9))
        if shops and rng.random() < 0.5:  # an awning
            y = rng.uniform(-0.3, 0.3) * wide
            trim.quad(
                (1.3, y - 2.5, 2.6), (1.3, y + 2.5, 2.6), (0, y + 2.5, 3.3), (0, y - 2.5, 3.3)
            )
        chance = float(rng.beta(0.8, 3.0))
        for z in np.arange(base + floor * 0.25, tall - floor * 0.7, floor):
            for y in np.arange(-w + bay * 0.5, w - bay * 0.3, bay):
                if rng.random() < chance:
                    h, b = floor * 0.5, bay * 0.28
                    lit.quad(
                        (0.03, y - b, z),
                        (0.03, y + b, z),
                        (0.03, y + b, z + h),
                        (0.03, y - b, z + h),
                    )
        key = f'house{self._count}'
        self._count += 1
        shapes = (
            ('w', walls, name, tint),
            ('l', lower, ground if base else plain, tint),
            ('r', roof, plain, _roof(rng)),
            ('t', trim, plain, tint),
        )
        for suffix, shape, material, colour in shapes:
            if len(shape):
                stage.mesh(key + suffix, shape, material)
                stage.place(key + suffix, 'building', colour, material=material, at=foot, yaw=yaw)
        if len(lit):
            warm = float(rng.uniform(0.35, 0.9))
            bright = float(rng.choice([6.0, 25.0, 80.0], p=[0.4, 0.4, 0.2]))
            stage.mesh(key + 'g', lit)
            stage.place(
                key + 'g',
                'building',
                (0.3, 0.33, 0.36),
                at=foot,
                yaw=yaw,
                gloss=0.3,
                glow=(bright, bright * (0.5 + warm * 0.45), bright * warm * 0.8),
            )
        if base and rng.random() < 0.55:  # a lit shop window and its sign
            glow = Shape().box(
                (0.03, rng.uniform(-0.2, 0.2) * wide, rng.uniform(3.0, 3.6)),
                (0.08, wide * rng.uniform(0.2, 0.6), 0.5),
            )
            r, g, b = (rng.uniform(0.1, 1.0, 3) * rng.choice([40.0, 150.0])).tolist()
            stage.mesh(key + 's', glow)
            stage.place(
                key + 's',
                'building',
                tuple(np.clip([r, g, b], 0, 60) / 80 + 0.1),
                at=foot,
                yaw=yaw,
                glow=(r, g, b),
            )


def _roof(rng: np.random.Generator) -> Colour:
    tones: list[Colour] = [
        (0.5, 0.28, 0.22),
        (0.3, 0.3, 0.32),
        (0.42, 0.38, 0.34),
        (0.2, 0.18, 0.18),
    ]
    return tones[int(rng.integers(len(tones)))]
