"""Street furniture: lamps, traffic lights, signs, poles, fences, walls, bridges, gantries."""

from itertools import pairwise

import numpy as np

from dsn_core.simulation.kit import Kit, Part
from dsn_core.simulation.path import Path
from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour, Lamp, Stage

__all__ = [
    'LAMP_TINTS',
    'barrier',
    'bridge',
    'gantry',
    'shelter',
    'sign',
    'small_things',
    'street_lamp',
    'traffic_light',
    'utility_poles',
]

LAMP_TINTS: list[Colour] = [(1.0, 0.55, 0.2), (1.0, 0.82, 0.6), (0.95, 0.98, 1.0)]


def street_lamp(
    stage: Stage,
    name: str,
    height: float,
    arm: float,
    tint: Colour,
    candela: float,
    at: tuple[float, float, float],
    yaw: float,
) -> None:
    """A lamp post whose arm points along ``yaw``; also a light source of the night."""
    if not stage.has_mesh(f'{name}.0'):
        post, head = Shape(), Shape()
        post.tube((0, 0, 0), (0, 0, height), 0.09, 0.055, sides=7)
        if arm > 0:
            post.tube((0, 0, height), (arm, 0, height + 0.25), 0.045, sides=5)
        post.box((arm, 0, height + 0.3), (0.75, 0.3, 0.12))
        head.box((arm, 0, height + 0.2), (0.6, 0.24, 0.1))
        stage.mesh(f'{name}.0', post)
        stage.mesh(f'{name}.1', head)
    stage.place(f'{name}.0', 'pole', (0.36, 0.37, 0.37), at=at, yaw=yaw)
    r, g, b = (c * 18000.0 for c in tint)
    stage.place(f'{name}.1', 'pole', (0.75, 0.75, 0.72), at=at, yaw=yaw, glow=(r, g, b))
    x, y = at[0] + arm * np.cos(yaw), at[1] + arm * np.sin(yaw)
    stage.lamps.append(
        Lamp((float(x), float(y), at[2] + height + 0.1), (0, 0, -1), candela, tint, 'street')
    )


def traffic_light(name: str, rng: np.random.Generator) -> Kit:
    """A signal that faces -x (towards who drives along +x), on a post or an overhanging arm."""
    post, box, on, off = Shape(), Shape(), Shape(), Shape()
    boxes = [(0.0, 0.0, 2.9)]
    post.tube((0.15, 0, 0), (0.15, 0, 3.3), 0.06)
    if rng.random() < 0.5:
        reach = float(rng.uniform(2.5, 6.0))
        post.tube((0.15, 0, 0), (0.15, 0, 6.0), 0.1).tube((0.15, 0, 5.9), (0.15, reach, 6.1), 0.06)
        boxes.append((0.0, reach, 5.7))
    state = int(rng.integers(3))
    colours: list[Colour] = [(3000.0, 90.0, 40.0), (3000.0, 1500.0, 60.0), (60.0, 2600.0, 1100.0)]
    for x, y, z in boxes:
        box.box((x, y, z), (0.22, 0.34, 0.95))
        if rng.random() < 0.4:
            box.box((x + 0.1, y, z), (0.03, 0.6, 1.2))
        for k in range(3):
            lens = on if k == state else off
            lens.tube(
                (x - 0.1, y, z + 0.28 - 0.28 * k), (x - 0.13, y, z + 0.28 - 0.28 * k), 0.1, sides=8
            )
    glow = colours[state]
    r, g, b = np.clip(np.array(glow) / 3000, 0.05, 1).tolist()
    bright: Colour = (r, g, b)
    parts = (
        Part(post, 'pole', (0.3, 0.31, 0.3)),
        Part(box, 'traffic light', (0.08, 0.09, 0.08)),
        Part(on, 'traffic light', bright, glow=glow),
        Part(off, 'traffic light', (0.13, 0.1, 0.08)),
    )
    return Kit(name, parts)


def sign(name: str, rng: np.random.Generator) -> Kit:
    """A traffic sign that faces -x: disc, triangle, octagon, diamond or panel on its post."""
    plate, inner, mark, post = Shape(), Shape(), Shape(), Shape()
    kind = rng.choice(
        ['disc', 'triangle', 'octagon', 'diamond', 'panel', 'large'],
        p=[0.28, 0.2, 0.1, 0.12, 0.2, 0.1],
    )
    z, r = float(rng.uniform(1.9, 2.7)), float(rng.uniform(0.28, 0.48))
    colours: dict[str, list[tuple[Colour, Colour]]] = {
        'disc': [((0.75, 0.1, 0.1), (0.95, 0.95, 0.93)), ((0.1, 0.25, 0.6), (0.1, 0.25, 0.6))],
        'triangle': [((0.75, 0.1, 0.1), (0.95, 0.95, 0.93)), ((0.75, 0.1, 0.1), (0.95, 0.8, 0.2))],
        'octagon': [((0.7, 0.08, 0.1), (0.72, 0.09, 0.1))],
        'diamond': [((0.1, 0.1, 0.1), (0.95, 0.75, 0.15)), ((0.9, 0.9, 0.9), (0.95, 0.8, 0.2))],
        'panel': [((0.9, 0.9, 0.9), (0.1, 0.25, 0.6)), ((0.1, 0.1, 0.1), (0.93, 0.93, 0.9))],
        'large': [((0.9, 0.9, 0.9), (0.05, 0.35, 0.2)), ((0.9, 0.9, 0.9), (0.1, 0.25, 0.6))],
    }
    rim, face = colours[kind][int(rng.integers(len(colours[kind])))]
    sides = {'disc': 14, 'triangle': 3, 'octagon': 8, 'diamond': 4}.get(str(kind), 0)
    if sides:
        for shape, k, x in ((plate, 1.0, 0.0), (inner, 0.8, -0.015)):
            a = np.arange(sides) * 2 * np.pi / sides + (
                np.pi / 2 if kind != 'octagon' else np.pi / 8
            )
            ring = np.stack([np.zeros(sides), np.cos(a) * r * k, z + np.sin(a) * r * k], axis=1)
            shape.loft([ring + [x + 0.02, 0, 0], ring + [x - 0.01, 0, 0]])
        mark.box((-0.03, 0, z), (0.01, r * 0.5, r * 0.45))
    else:
        wide, tall = (2.6, 1.6) if kind == 'large' else (r * 1.8, r * float(rng.uniform(1.2, 2.6)))
        plate.box((0, 0, z), (0.04, wide, tall))
        inner.box((-0.02, 0, z), (0.02, wide * 0.94, tall * 0.92))
        for k in range(int(rng.integers(1, 4))):
            mark.box(
                (-0.035, rng.uniform(-0.15, 0.15) * wide, z + (k - 1) * tall * 0.25),
                (0.01, wide * rng.uniform(0.3, 0.6), tall * 0.1),
            )
        if kind == 'large':
            post.tube((0.06, -0.9, 0), (0.06, -0.9, z + 0.7), 0.06)
            post.tube((0.06, 0.9, 0), (0.06, 0.9, z + 0.7), 0.06)
    if kind != 'large':
        post.tube((0.06, 0, 0), (0.06, 0, z + 0.1), 0.035)
    dark = float(rng.choice([0.05, 0.95]))
    reflector: Colour = (3.0, 3.0, 3.0)  # stands for the sheeting that throws headlights back
    back = Shape().box((0.03, 0, z), (0.01, r, r))
    parts = (
        Part(plate, 'traffic sign', rim, glow=reflector),
        Part(back, 'traffic sign', (0.5, 0.5, 0.5)),
        Part(inner, 'traffic sign', face, glow=reflector),
        Part(mark, 'traffic sign', (dark, dark, dark)),
        Part(post, 'pole', (0.5, 0.51, 0.52)),
    )
    return Kit(name, parts)


def barrier(
    path: Path,
    kind: str,
    s0: float,
    s1: float,
    t: float,
    height: float,
    up: float,
    rng: np.random.Generator,
) -> tuple[Shape, Shape]:
    """A fence, rail or wall from ``s0`` to ``s1`` along ``t`` → (fence or wall, its posts)."""
    body, posts = Shape(), Shape()
    s = np.linspace(s0, s1, max(2, int((s1 - s0) / 2.5) + 1))

    def band(low: float, high: float, thick: float) -> None:
        a, b = path.at(s, t - thick / 2, up + low), path.at(s, t - thick / 2, up + high)
        c, d = path.at(s, t + thick / 2, up + low), path.at(s, t + thick / 2, up + high)
        body.ribbon(b, a, s, (high, low)).ribbon(c, d, s, (low, high)).ribbon(d, b, s, (0, thick))
        for i in (0, -1):
            body.quad(a[i], c[i], d[i], b[i])

    if kind in ('wall', 'planks'):
        band(-0.3, height, 0.25 if kind == 'wall' else 0.06)
    elif kind == 'jersey':
        band(-0.1, 0.3, 0.55)
        band(0.3, height, 0.24)
    elif kind == 'rail':  # a guard rail
        band(0.45, 0.75, 0.08)
        for x in s:
            posts.box(path.point(float(x), t + 0.08, up + 0.35), (0.1, 0.1, 0.8), path.yaw(s0))
    elif kind == 'pickets':
        band(0.2, 0.3, 0.04)
        band(height - 0.25, height - 0.15, 0.04)
        for x in np.arange(s0, s1, float(rng.uniform(0.16, 0.3))):
            body.box(
                path.point(float(x), t, up + height / 2), (0.07, 0.05, height), path.yaw(float(x))
            )
    else:  # rails: two or three bars between posts
        for z in np.linspace(0.35, 1.0, int(rng.integers(2, 5))) * height:
            band(float(z) - 0.03, float(z) + 0.03, 0.05)
        for x in s:
            body.box(
                path.point(float(x), t, up + height / 2), (0.08, 0.08, height + 0.05), path.yaw(s0)
            )
    return body, posts


def bridge(path: Path, s: float, reach: float, rng: np.random.Generator) -> tuple[Shape, Shape]:
    """An overpass across the street at ``s`` → (deck, piers and abutments; railing)."""
    deep, low = float(rng.uniform(6, 14)), float(rng.uniform(4.8, 6.5))
    thick = float(rng.uniform(0.9, 1.8))
    body, rail = Shape(), Shape()
    yaw = path.yaw(s)
    body.box(path.point(s, 0, low + thick / 2), (deep, 120.0, thick), yaw)
    for x in (-deep / 2, deep / 2):
        rail.box(path.point(s + x, 0, low + thick + 0.5), (0.15, 120.0, 1.0), yaw)
    for side in (-1.0, 1.0):
        if rng.random() < 0.5:
            body.box(path.point(s, side * (reach + 2), low / 2 - 1), (deep, 2.0, low + 2), yaw)
        else:
            for x in (-0.3, 0.3):
                body.box(
                    path.point(s + x * deep, side * (reach + 1.5), low / 2 - 1),
                    (1.0, 1.0, low + 2),
                    yaw,
                )
    return body, rail


def gantry(
    path: Path, s: float, reach: float, rng: np.random.Generator
) -> tuple[Shape, Shape, Shape]:
    """A sign gantry over the street → (posts and beam, panels, their marks)."""
    frame, panel, mark = Shape(), Shape(), Shape()
    yaw = path.yaw(s)
    for t in (-reach - 1.0, reach + 1.0):
        frame.tube(path.point(s, t), path.point(s, t, 7.2), 0.18)
    for z in (6.2, 7.1):
        frame.tube(path.point(s, -reach - 1, z), path.point(s, reach + 1, z), 0.1)
    for t in rng.uniform(-reach * 0.8, reach * 0.8, int(rng.integers(1, 4))):
        wide, tall = rng.uniform(2.5, 5.0), rng.uniform(1.6, 2.8)
        panel.box(path.point(s - 0.25, float(t), 6.7), (0.1, wide, tall), yaw)
        for k in range(3):
            mark.box(path.point(s - 0.32, float(t), 6.1 + 0.6 * k), (0.02, wide * 0.6, 0.2), yaw)
    return frame, panel, mark


def utility_poles(path: Path, spots: list[float], t: float, height: float) -> tuple[Shape, Shape]:
    """Wooden poles with cross arms, and the wires between them → (poles, wires)."""
    poles, wires = Shape(), Shape()
    for s in spots:
        poles.tube(path.point(s, t, -0.5), path.point(s, t, height), 0.15, 0.1)
        poles.box(path.point(s, t, height - 0.5), (0.1, 1.9, 0.1), path.yaw(s))
    for a, b in pairwise(spots):
        for dt in (-0.85, 0.0, 0.85):
            line = [
                (a + (b - a) * u, height - 0.4 - 3.2 * u * (1 - u))
                for u in (0, 0.25, 0.5, 0.75, 1)
            ]
            for (s0, z0), (s1, z1) in pairwise(line):
                wires.tube(path.point(s0, t + dt, z0), path.point(s1, t + dt, z1), 0.018, sides=3)
    return poles, wires


def shelter(name: str) -> Kit:
    """A bus shelter, open towards +y's opposite; a building to Cityscapes."""
    frame, glass = Shape(), Shape()
    frame.box((0, 0, 2.4), (4.0, 1.5, 0.12)).box((0, 0.4, 0.5), (2.6, 0.4, 0.08))
    for x in (-1.9, 1.9):
        frame.box((x, 0.65, 1.2), (0.08, 0.08, 2.4)).box((x, -0.6, 1.2), (0.08, 0.08, 2.4))
    glass.box((0, 0.7, 1.3), (3.8, 0.03, 1.9)).box((1.9, 0.2, 1.3), (0.03, 1.0, 1.9))
    return Kit(
        name,
        (
            Part(frame, 'building', (0.25, 0.27, 0.28)),
            Part(glass, 'building', (0.42, 0.46, 0.48), gloss=0.4),
        ),
    )


def small_things(rng: np.random.Generator) -> list[Kit]:
    """Bollards, bins, boxes, hydrants, advertising columns: what stands on sidewalks."""
    bollard = Shape().tube((0, 0, 0), (0, 0, 0.95), 0.07)
    can = Shape().tube((0, 0, 0), (0, 0, 1.0), 0.26, 0.3, sides=8)
    box = Shape().box((0, 0, 0.65), (0.5, 0.9, 1.3))
    column = Shape().tube((0, 0, 0), (0, 0, 3.0), 0.6, sides=12).blob((0, 0, 3.0), (0.7, 0.7, 0.4))
    grey = float(rng.uniform(0.2, 0.6))
    return [
        Kit('bollard', (Part(bollard, 'pole', (grey, grey, grey)),)),
        Kit('bin', (Part(can, 'wall', (0.15, 0.25, 0.17)),)),
        Kit('cabinet', (Part(box, 'wall', (0.5, 0.52, 0.48)),)),
        Kit('column', (Part(column, 'building', (0.55, 0.5, 0.42)),)),
    ]
