"""Vehicles: cars of several bodies, vans, trucks, trailers, buses, trams, two-wheelers."""

from itertools import pairwise

import numpy as np

from dsn_core.simulation.kit import Kit, Part
from dsn_core.simulation.people import rider_parts
from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour

__all__ = ['bicycle', 'bus', 'car', 'car_paint', 'motorcycle', 'tram', 'truck']

HEAD_GLOW: Colour = (30000.0, 27000.0, 22000.0)
TAIL_GLOW: Colour = (900.0, 40.0, 25.0)
GLASS: Colour = (0.09, 0.11, 0.13)
RUBBER: Colour = (0.09, 0.09, 0.09)


def car_paint(rng: np.random.Generator) -> Colour:
    """A car's colour as streets have them: mostly white, black, grey and silver."""
    if rng.random() < 0.68:
        v = float(rng.choice([0.93, 0.85, 0.7, 0.5, 0.35, 0.2, 0.1]))
        return (v, v, min(1.0, v * float(rng.uniform(0.97, 1.05))))
    base = rng.choice(
        [
            [0.6, 0.08, 0.08],
            [0.1, 0.18, 0.45],
            [0.15, 0.3, 0.2],
            [0.85, 0.7, 0.15],
            [0.45, 0.3, 0.2],
            [0.3, 0.5, 0.7],
            [0.8, 0.4, 0.1],
        ]
    )
    r, g, b = np.clip(base * rng.uniform(0.6, 1.2), 0.03, 0.97).tolist()
    return (r, g, b)


def _wheels(axles: list[float], width: float, radius: float, thick: float = 0.2) -> list[Part]:
    tyres, rims, arches = Shape(), Shape(), Shape()
    for x in axles:
        for side in (-1.0, 1.0):
            y = side * (width / 2 - thick * 0.5 + 0.01)
            out = side * thick / 2
            tyres.tube((x, y - out, radius), (x, y + out, radius), radius, sides=12)
            rims.tube((x, y + out, radius), (x, y + out * 1.15, radius), radius * 0.6, sides=8)
            arches.tube(
                (x, y - out, radius + 0.04),
                (x, y + out * 0.88, radius + 0.04),
                radius * 1.2,
                sides=12,
            )
    return [
        Part(tyres, '', RUBBER),
        Part(rims, '', (0.6, 0.6, 0.62), gloss=0.2),
        Part(arches, '', (0.05, 0.05, 0.05)),
    ]


def _lamps(
    front: float, back: float, width: float, z: float, zt: float, size: float
) -> list[Part]:
    head, tail, plate = Shape(), Shape(), Shape()
    for side in (-1.0, 1.0):
        head.box((front - 0.05, side * width * 0.37, z), (0.16, size * 1.7, size))
        tail.box((back + 0.05, side * width * 0.41, zt), (0.14, size * 1.2, size * 1.3))
    plate.box((back, 0, 0.55), (0.03, 0.5, 0.11)).box((front, 0, 0.45), (0.03, 0.5, 0.11))
    return [
        Part(head, '', (0.82, 0.84, 0.86), glow=HEAD_GLOW, gloss=0.3),
        Part(tail, '', (0.55, 0.05, 0.05), glow=TAIL_GLOW, gloss=0.2),
        Part(plate, '', (0.85, 0.85, 0.75), glow=(6.0, 6.0, 5.0)),
    ]


def _slab(profile: list[tuple[float, float]], width: float, inset: float = 0.08) -> Shape:
    """Extrude a side profile (x, z) across the width, its flanks pulled in a little."""
    p = np.array(profile)
    middle = p.mean(axis=0)
    rings = []
    for y, shrink in ((-0.5, 1 - inset), (-0.44, 1.0), (0.44, 1.0), (0.5, 1 - inset)):
        q = middle + (p - middle) * (1 - (1 - shrink) * np.array([0.35, 1.0]))
        rings.append(np.stack([q[:, 0], np.full(len(q), y * width), q[:, 1]], axis=1))
    return Shape().loft(rings)


def _cabin(
    x: tuple[float, float, float, float],
    z: tuple[float, float],
    widths: tuple[float, float],
    panes: int,
) -> tuple[Shape, Shape]:
    """Roof and pillars, and their window panes; x: rear foot, rear top, front top, front foot."""
    xr, xrt, xft, xf = x
    low = np.array([[xr, -1, 0], [xf, -1, 0], [xf, 1, 0], [xr, 1, 0]]) * [1, widths[0] / 2, 1]
    top = np.array([[xrt, -1, 0], [xft, -1, 0], [xft, 1, 0], [xrt, 1, 0]]) * [1, widths[1] / 2, 1]
    low[:, 2], top[:, 2] = z
    body = Shape().loft([low, top])
    glass = Shape()

    def pane(a: int, b: int, u0: float, u1: float, v0: float = 0.1, v1: float = 0.86) -> None:
        def at(u: float, v: float) -> np.ndarray:
            foot = low[a] * (1 - u) + low[b] * u
            head = top[a] * (1 - u) + top[b] * u
            return np.asarray(foot * (1 - v) + head * v)

        corners = [at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        normal = normal / np.linalg.norm(normal) * 0.015
        glass.quad(*((c + normal).tolist() for c in corners))

    pane(1, 2, 0.06, 0.94)
    pane(3, 0, 0.08, 0.92)
    for k in range(panes):
        u0, u1 = (k + 0.1) / panes, (k + 0.92) / panes
        pane(0, 1, u0, u1)
        pane(2, 3, u0, u1)
    return body, glass


def _named(parts: list[Part], label: str) -> tuple[Part, ...]:
    return tuple(
        Part(p.shape, p.label or label, p.colour, p.paint, p.material, p.glow, p.gloss)
        for p in parts
    )


def car(name: str, rng: np.random.Generator) -> Kit:
    """Make a sedan, hatchback, estate, SUV, van or pickup of random proportions."""
    kind = rng.choice(
        ['sedan', 'hatch', 'estate', 'suv', 'van', 'pickup'], p=[0.27, 0.25, 0.12, 0.2, 0.1, 0.06]
    )
    long, tall = {
        'sedan': (4.6, 1.45),
        'hatch': (4.0, 1.5),
        'estate': (4.6, 1.5),
        'suv': (4.6, 1.72),
        'van': (5.1, 2.05),
        'pickup': (5.3, 1.8),
    }[kind]
    length, height = long * rng.uniform(0.93, 1.07), tall * rng.uniform(0.95, 1.07)
    width = rng.uniform(1.68, 1.95)
    low = 0.2 if height < 1.6 else 0.32
    belt = height * (0.62 if kind != 'van' else 0.55)
    h = length / 2
    rear_foot, rear_top, front_top, front_foot = {
        'sedan': (-0.62, -0.32, 0.14, 0.44),
        'hatch': (-0.96, -0.72, 0.18, 0.5),
        'estate': (-0.97, -0.82, 0.16, 0.46),
        'suv': (-0.97, -0.84, 0.16, 0.42),
        'van': (-0.98, -0.95, 0.5, 0.8),
        'pickup': (-0.1, -0.02, 0.3, 0.52),
    }[kind]
    nose = belt * rng.uniform(0.72, 0.86)
    deck = belt * (0.97 if kind != 'sedan' else 0.93)
    profile = [
        (-h + 0.08, low),
        (h - 0.12, low),
        (h, low + 0.22),
        (h - 0.05, nose),
        (h * front_foot * 1.02, belt),
        (h * rear_foot, belt),
        (-h + 0.03, deck),
        (-h, low + 0.3),
    ]
    hull = _slab(profile, width)
    body, glass = _cabin(
        (h * rear_foot, h * rear_top, h * front_top, h * front_foot),
        (belt - 0.03, height),
        (width * 0.93, width * rng.uniform(0.7, 0.8)),
        3 if kind in ('estate', 'van') else 2,
    )
    trim = Shape()
    trim.box((h - 0.03, 0, low + 0.14), (0.1, width * 0.8, 0.16))
    trim.box((h - 0.02, 0, nose - 0.16), (0.06, width * 0.4, 0.12))
    trim.box((-h + 0.03, 0, low + 0.12), (0.1, width * 0.85, 0.16))
    for side in (-1.0, 1.0):
        trim.box(
            (h * front_foot - 0.15, side * (width / 2 + 0.06), belt + 0.08), (0.1, 0.16, 0.13)
        )
        trim.box((0.1, side * width * 0.495, low + 0.08), (length * 0.5, 0.03, 0.12))
    if rng.random() < 0.15 and kind in ('suv', 'estate'):
        trim.box((h * (rear_top + front_top) / 2, 0, height + 0.06), (1.4, width * 0.6, 0.05))
    radius = rng.uniform(0.3, 0.34) * (1.12 if low > 0.3 else 1.0)
    parts = [
        Part(hull.merge([body]), '', gloss=0.12),
        Part(glass, '', GLASS, gloss=0.5),
        Part(trim, '', (0.12, 0.12, 0.13)),
        *_wheels([-h * 0.6, h * 0.62], width, radius),
        *_lamps(h, -h, width, nose - 0.1, belt * 0.86, 0.14),
    ]
    return Kit(name, _named(parts, 'car'), length, width, height)


def truck(name: str, rng: np.random.Generator) -> Kit:
    """Make a box lorry, tanker, flatbed or dump truck, with or without a semi-trailer."""
    width = rng.uniform(2.2, 2.55)
    cab_height = rng.uniform(2.4, 3.7)
    semi = rng.random() < 0.45
    length = rng.uniform(13, 16.5) if semi else rng.uniform(6.0, 10.0)
    h, cab = length / 2, rng.uniform(1.7, 2.3)
    body, glass, load, trim = Shape(), Shape(), Shape(), Shape()
    body.box((h - cab / 2, 0, 0.5 + (cab_height - 0.5) / 2), (cab, width * 0.97, cab_height - 0.5))
    z = cab_height * 0.68
    glass.box((h + 0.01, 0, z), (0.02, width * 0.84, cab_height * 0.26))
    glass.box((h - cab * 0.42, 0, z), (cab * 0.5, width * 0.985, cab_height * 0.2))
    trim.box((0, 0, 0.75), (length - 0.3, width * 0.5, 0.3))
    trim.box((h + 0.02, 0, 0.62), (0.1, width * 0.96, 0.3))
    trim.box((-h + 0.1, 0, 0.55), (0.1, width * 0.9, 0.16))
    for side in (-1.0, 1.0):
        trim.box((h - 0.1, side * (width / 2 + 0.14), z), (0.08, 0.2, 0.55))
    kind = rng.choice(['box', 'tank', 'flat', 'dump'], p=[0.55, 0.15, 0.15, 0.15])
    bed_front, top = h - cab - 0.35, rng.uniform(2.8, 4.0)
    middle, size = (bed_front - h) / 2, bed_front + h
    if kind == 'box':
        load.box((middle, 0, (top + 0.95) / 2), (size, width, top - 0.95))
    elif kind == 'tank':
        load.tube((bed_front - 0.1, 0, 2.05), (-h + 0.1, 0, 2.05), 1.05, sides=14)
    elif kind == 'flat':
        load.box((middle, 0, 1.05), (size, width, 0.2))
        for _ in range(rng.integers(0, 5)):
            tall = rng.uniform(0.4, 1.6)
            x = middle + rng.uniform(-0.4, 0.4) * size
            load.box((x, rng.uniform(-0.3, 0.3), 1.15 + tall / 2), (1.4, width * 0.6, tall))
    else:
        wedge = [(-h, 1.0), (bed_front, 1.0), (bed_front + 0.2, 2.5), (-h - 0.1, 2.2)]
        load.merge([_slab(wedge, width)])
    axles = [h - 0.9, -h + 1.0, -h + 2.3] + ([h - 4.2] if semi else [])
    parts = [
        Part(body, '', gloss=0.1),
        Part(load, '', paint='load'),
        Part(glass, '', GLASS, gloss=0.5),
        Part(trim, '', (0.12, 0.12, 0.12)),
        *_wheels(axles, width, 0.5, 0.34),
        *_lamps(h, -h, width, 0.8, 0.9, 0.16),
    ]
    return Kit(name, _named(parts, 'truck'), length, width, max(top, cab_height))


def _coach(
    name: str, label: str, length: float, width: float, height: float, doors: bool, low: float
) -> Kit:
    h = length / 2
    body = _slab(
        [
            (-h, low),
            (h - 0.1, low),
            (h, low + 0.6),
            (h - 0.18, height - 0.1),
            (h - 0.5, height),
            (-h + 0.2, height),
            (-h, height - 0.3),
        ],
        width,
        0.03,
    )
    glass, trim = Shape(), Shape()
    z0, z1 = height * 0.45, height * 0.85
    count = max(3, int(length / 1.8))
    for k in range(count):
        x = -h + 0.4 + (k + 0.5) * (length - 0.8) / count
        bottom = low + 0.25 if doors and k % 3 == 2 else z0
        glass.box(
            (x, 0, (bottom + z1) / 2), ((length - 0.8) / count - 0.12, width + 0.02, z1 - bottom)
        )
    glass.box((h - 0.06, 0, (z0 + z1) / 2 - 0.1), (0.06, width * 0.9, z1 - z0 + 0.4))
    glass.box((-h - 0.005, 0, (z0 + z1) / 2 + 0.1), (0.03, width * 0.8, (z1 - z0) * 0.7))
    sign = Shape().box((h - 0.2, 0, height - 0.25), (0.1, width * 0.7, 0.28))
    trim.box((0, 0, low + 0.1), (length * 0.96, width + 0.01, 0.12))
    parts = [
        Part(body, '', gloss=0.1),
        Part(glass, '', (0.12, 0.14, 0.16), glow=(3.5, 3.2, 2.7), gloss=0.4),
        Part(trim, '', paint='load'),
        Part(sign, '', (0.2, 0.15, 0.05), glow=(300.0, 180.0, 40.0)),
        *_wheels([-h + 2.3, h - 2.2], width, 0.46, 0.3),
        *_lamps(h, -h, width, low + 0.45, low + 0.75, 0.18),
    ]
    return Kit(name, _named(parts, label), length, width, height)


def bus(name: str, rng: np.random.Generator) -> Kit:
    """Make a city bus, a double-decker's height included, or a coach."""
    height = float(rng.choice([2.9, 3.2, 3.6, 4.2]))
    return _coach(name, 'bus', rng.uniform(9, 13), 2.5, height, bool(rng.random() < 0.7), 0.32)


def tram(name: str, rng: np.random.Generator) -> Kit:
    """Make a tram; its class is train."""
    return _coach(name, 'train', rng.uniform(16, 28), 2.4, 3.4, True, 0.25)


def motorcycle(name: str, rng: np.random.Generator, ridden: bool = True) -> Kit:
    """Make a motorcycle or scooter, with or without its rider."""
    tyre, frame, lamp, tail = Shape(), Shape(), Shape(), Shape()
    for x in (-0.65, 0.7):
        tyre.tube((x, -0.06, 0.3), (x, 0.06, 0.3), 0.3, sides=12)
    frame.box((-0.05, 0, 0.62), (1.1, 0.26, 0.3)).box((-0.35, 0, 0.8), (0.7, 0.3, 0.12))
    frame.tube((0.7, 0, 0.3), (0.45, 0, 1.0), 0.06).tube(
        (0.45, -0.35, 1.0), (0.45, 0.35, 1.0), 0.03
    )
    frame.box((0.55, 0, 0.85), (0.2, 0.4, 0.35))
    lamp.box((0.68, 0, 0.85), (0.1, 0.2, 0.16))
    tail.box((-0.75, 0, 0.75), (0.08, 0.2, 0.1))
    parts = [
        Part(tyre, '', RUBBER),
        Part(frame, '', gloss=0.15),
        Part(lamp, '', (0.8, 0.8, 0.8), glow=HEAD_GLOW),
        Part(tail, '', (0.5, 0.05, 0.05), glow=TAIL_GLOW),
    ]
    if ridden:
        parts += rider_parts(rng, seat=0.86, helmet=True)
    return Kit(name, _named(parts, 'motorcycle'), 2.1, 0.8, 1.6)


def bicycle(name: str, rng: np.random.Generator, ridden: bool = True) -> Kit:
    """Make a bicycle, with or without its rider."""
    tyre, frame, tail = Shape(), Shape(), Shape()
    angle = np.linspace(0, 2 * np.pi, 13)
    for x in (-0.52, 0.52):
        rim = np.stack([x + 0.34 * np.cos(angle), 0 * angle, 0.34 + 0.34 * np.sin(angle)], axis=1)
        for a, b in pairwise(rim):
            tyre.tube(a, b, 0.022, sides=4)
        tyre.box((x, 0, 0.34), (0.66, 0.008, 0.015)).box((x, 0, 0.34), (0.015, 0.008, 0.66))
    for a, b in [
        ((-0.52, 0, 0.34), (-0.15, 0, 0.85)),
        ((-0.15, 0, 0.85), (-0.05, 0, 0.3)),
        ((-0.05, 0, 0.3), (0.38, 0, 0.8)),
        ((-0.12, 0, 0.75), (0.38, 0, 0.8)),
        ((0.52, 0, 0.34), (0.34, 0, 1.0)),
        ((-0.52, 0, 0.34), (-0.05, 0, 0.3)),
        ((0.34, -0.28, 1.02), (0.34, 0.28, 1.02)),
    ]:
        frame.tube(a, b, 0.024, sides=5)
    frame.box((-0.17, 0, 0.9), (0.26, 0.14, 0.06))
    tail.box((-0.3, 0, 0.7), (0.04, 0.07, 0.07))
    parts = [
        Part(tyre, '', RUBBER),
        Part(frame, ''),
        Part(tail, '', (0.6, 0.05, 0.05), glow=TAIL_GLOW),
    ]
    if ridden:
        parts += rider_parts(rng, seat=0.95, helmet=bool(rng.random() < 0.5))
    return Kit(name, _named(parts, 'bicycle'), 1.75, 0.6, 1.7)
