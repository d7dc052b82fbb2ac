"""People: standing or walking, and the riders of two-wheelers."""

import numpy as np

from dsn_core.simulation.kit import Kit, Part
from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour

__all__ = ['clothes', 'person', 'rider_parts']


def clothes(rng: np.random.Generator) -> dict[str, Colour]:
    """Colours of skin, hair, top and trousers; dark and grey clothes are most common."""

    def cloth() -> Colour:
        if rng.random() < 0.6:
            v = float(rng.uniform(0.05, 0.45))
            return (v, v, v * 1.1)
        r, g, b = rng.uniform(0.05, 0.95, 3).tolist()
        return (r, g, b)

    tone = float(rng.uniform(0.3, 0.95))
    dark = float(rng.uniform(0.05, 0.5))
    return {
        'skin': (tone, tone * 0.76, tone * 0.62),
        'hair': (dark, dark * 0.8, dark * 0.6),
        'top': cloth(),
        'trousers': cloth(),
    }


def person(name: str, rng: np.random.Generator) -> Kit:
    """Make a person of 1.1 to 1.95 m who stands, walks, or carries a bag."""
    tall = rng.uniform(1.55, 1.95) if rng.random() < 0.85 else rng.uniform(1.1, 1.5)
    k = tall / 1.75
    stride = rng.uniform(0.0, 0.75) if rng.random() < 0.7 else 0.05
    bulk = rng.uniform(0.9, 1.25)
    skin, hair, top, legs = Shape(), Shape(), Shape(), Shape()
    skin.blob((0.02, 0, 1.62 * k), (0.1 * k, 0.085 * k, 0.125 * k))
    skin.tube((0, 0, 1.4 * k), (0, 0, 1.55 * k), 0.055 * k)
    hair.blob((-0.02, 0, 1.66 * k), (0.108 * k, 0.098 * k, 0.11 * k))
    wide = 0.2 * k * bulk
    coat = rng.random() < 0.35
    hem = 0.55 if coat else 0.85
    rings = []
    for z, w, d in (
        (hem, 0.95 if coat else 0.8, 0.8),
        (1.1, 0.85, 0.75),
        (1.36, 1.05, 0.8),
        (1.45, 0.55, 0.5),
    ):
        a = np.arange(8) * np.pi / 4
        ring = [d * 0.62 * wide * np.cos(a), w * wide * np.sin(a), np.full(8, z * k)]
        rings.append(np.stack(ring, axis=1))
    top.loft(rings)
    for side in (-1.0, 1.0):
        swing = side * stride * 0.5
        shoulder, foot = (0.0, side * wide * 1.02, 1.38 * k), side * stride * 0.55 * k
        elbow = (-swing * 0.3 * k, side * (wide + 0.07), 1.1 * k)
        hand = (-swing * 0.7 * k + 0.06, side * (wide + 0.05), 0.88 * k)
        top.tube(shoulder, elbow, 0.058 * k * bulk, 0.05 * k).tube(
            elbow, hand, 0.048 * k, 0.04 * k
        )
        skin.blob(hand, (0.045, 0.04, 0.06), rows=3, columns=5)
        knee = (foot * 0.5 + 0.04 * stride, side * 0.09 * k, 0.48 * k)
        legs.tube((0, side * 0.085 * k, 0.9 * k), knee, 0.09 * k * bulk, 0.065 * k)
        legs.tube(knee, (foot, side * 0.09 * k, 0.07), 0.065 * k, 0.05 * k)
        hair.box((foot + 0.05, side * 0.09 * k, 0.045), (0.26, 0.1, 0.09))
    if rng.random() < 0.35:
        bag = (0.05, -wide - 0.1, 0.7 * k) if rng.random() < 0.5 else (-0.19, 0, 1.2 * k)
        hair.box(bag, (0.2, 0.26, 0.36))
    parts = (
        Part(skin, 'person', paint='skin'),
        Part(hair, 'person', paint='hair'),
        Part(top, 'person', paint='top'),
        Part(legs, 'person', paint='trousers'),
    )
    return Kit(name, parts, 0.6, 0.6, tall)


def rider_parts(rng: np.random.Generator, seat: float, helmet: bool) -> list[Part]:
    """Make the parts of somebody sitting on a two-wheeler, hands at its bar."""
    colour = clothes(rng)
    top, legs, head, hat = Shape(), Shape(), Shape(), Shape()
    hip, neck = np.array([-0.2, 0, seat + 0.05]), np.array([0.12, 0, seat + 0.62])
    for a, b, r, s in ((hip, neck, 0.16, 0.19),):
        top.tube(a, b, r, s, sides=8)
    for side in (-1.0, 1.0):
        y = side * 0.2
        top.tube((neck[0] - 0.02, y, neck[2] - 0.05), (0.3, y * 1.3, seat + 0.28), 0.06)
        top.tube((0.3, y * 1.3, seat + 0.28), (0.42, y * 1.1, seat + 0.12), 0.05)
        knee = (0.22, y * 0.75, seat - 0.12 + side * 0.06)
        legs.tube((hip[0], y * 0.5, hip[2]), knee, 0.1, 0.07)
        legs.tube(knee, (0.02, y * 0.7, seat - 0.55 + side * 0.08), 0.07, 0.05)
    head.blob((0.19, 0, neck[2] + 0.16), (0.11, 0.09, 0.13))
    hat.blob((0.17, 0, neck[2] + 0.21), (0.135, 0.12, 0.12))
    hat_colour = clothes(rng)['top'] if helmet else colour['hair']
    return [
        Part(top, 'rider', colour['top']),
        Part(legs, 'rider', colour['trousers']),
        Part(head, 'rider', colour['skin']),
        Part(hat, 'rider', hat_colour),
    ]
