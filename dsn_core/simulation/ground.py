"""The ground of a street: lanes, markings, kerbs, sidewalks, verges, side streets, far land."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dsn_core.simulation.path import Path
from dsn_core.simulation.plan import Plan
from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour, Stage
from dsn_core.simulation.textures import asphalt, grass, paving, plaster

__all__ = ['build_ground']

FAR = 90.0  # lateral metres of ground that follows the street
CHUNK = 40.0  # metres of street in one mesh
LIFT = 0.004  # markings lie this far above the asphalt


@dataclass(frozen=True)
class _Strip:
    """A band of ground between two lateral positions, t0 < t1, at a height above the road."""

    t0: float
    t1: float
    up: float
    label: str
    material: str


def _strip(side: int, near: float, far: float, up: float, label: str, material: str) -> _Strip:
    low, high = sorted((side * near, side * far))
    return _Strip(low, high, up, label, material)


def _materials(stage: Stage, rng: np.random.Generator) -> None:
    stage.material('asphalt', asphalt(rng), (rng.uniform(5, 9), rng.uniform(9, 16)))
    stage.material('asphalt2', asphalt(rng), (rng.uniform(5, 9), rng.uniform(9, 16)))
    stage.material('paving', paving(rng), rng.uniform(2.0, 5.0))
    stage.material('grass', grass(rng), rng.uniform(3.0, 7.0))
    stage.material('land', grass(rng), rng.uniform(6.0, 20.0))
    kerb = float(rng.uniform(110, 200))
    stage.material('kerb', plaster(rng, (kerb, kerb, kerb * 0.96)), 2.0)


def _strips(plan: Plan, rng: np.random.Generator) -> list[_Strip]:
    """Cross-section outside crossings."""
    strips = []
    town = plan.kind in ('urban', 'downtown', 'suburb', 'industrial')
    left, right = plan.edge(1), plan.edge(-1)
    m = plan.median / 2
    if plan.median > 0 and plan.median_kind != 'paved':
        up = 0.14 if town else 0.03
        strips += [_Strip(-right, -m, 0, 'road', 'asphalt'), _Strip(m, left, 0, 'road', 'asphalt')]
        strips.append(
            _Strip(-m, m, up, 'terrain', 'grass')
            if plan.median_kind == 'grass'
            else _Strip(-m, m, 0.0, 'road', 'asphalt2')
        )
    elif plan.median > 0:
        strips += [
            _Strip(-right, -m, 0, 'road', 'asphalt'),
            _Strip(m, left, 0, 'road', 'asphalt'),
            _Strip(
                -m,
                m,
                0.14 if town else 0.0,
                'sidewalk' if town else 'road',
                'paving' if town else 'asphalt2',
            ),
        ]
    else:
        strips.append(_Strip(-right, left, 0, 'road', 'asphalt'))
    for side, i in ((1, 0), (-1, 1)):
        bands: list[tuple[float, float, str, str]] = []
        up = plan.kerb if plan.walk[i] > 0 else max(plan.kerb * 0.5, 0.0)
        if plan.kerb > 0:
            bands.append((0.16, up, 'sidewalk', 'kerb'))
        if plan.verge[i] > 0:
            bands.append((plan.verge[i], up, 'terrain', 'grass'))
        if plan.walk[i] > 0:
            bands.append((plan.walk[i], up, 'sidewalk', 'paving'))
        if plan.kind in ('downtown', 'industrial') or (
            plan.kind == 'urban' and rng.random() < 0.5
        ):
            bands.append((plan.setback[i] + 3.0, up, 'sidewalk', 'paving'))
        if not town and rng.random() < 0.6:  # a gravel shoulder
            bands.append((float(rng.uniform(0.5, 2.0)), -0.03, 'terrain', 'land'))
        t = plan.edge(side)
        rise = float(rng.uniform(-1.0, 2.5)) if not town else 0.0
        for wide, z, label, material in bands:
            strips.append(_strip(side, t, t + wide, z, label, material))
            t += wide
        strips.append(_strip(side, t, t + 6, up - 0.02, 'terrain', 'grass'))
        far = _strip(side, t + 6, FAR, up - 0.02 + rise, 'terrain', 'land')
        strips.append(far)
    return strips


def _cut(
    start: float, end: float, holes: tuple[tuple[float, float], ...]
) -> list[tuple[float, float]]:
    pieces, s = [], start
    for a, b in sorted(holes):
        if a > s:
            pieces.append((s, min(a, end)))
        s = max(s, b)
    if s < end:
        pieces.append((s, end))
    return pieces


def _chunks(start: float, end: float) -> list[tuple[float, float]]:
    count = max(1, round((end - start) / CHUNK))
    edges = np.linspace(start, end, count + 1).tolist()
    return list(pairwise(edges))


def _band(path: Path, s0: float, s1: float, t0: float, t1: float, up: float, shape: Shape) -> None:
    """Add a band of ground; its texture runs with s and t, so neighbours join."""
    s = np.linspace(s0, s1, max(2, int((s1 - s0) / 4) + 1))
    shape.ribbon(path.at(s, t1, up), path.at(s, t0, up), s, (t1, t0))


def _wall(
    path: Path, s0: float, s1: float, t: float, low: float, high: float, shape: Shape
) -> None:
    s = np.linspace(s0, s1, max(2, int((s1 - s0) / 4) + 1))
    shape.ribbon(path.at(s, t, low), path.at(s, t, high), s, (low, high))


def build_ground(stage: Stage, path: Path, plan: Plan, rng: np.random.Generator) -> None:
    """Put the ground on the stage."""
    _materials(stage, rng)
    start, end = plan.extent
    strips = sorted(_strips(plan, rng), key=lambda s: s.t0)
    count = 0
    for p0, p1 in _cut(start, end, plan.crossings):
        for s0, s1 in _chunks(p0, p1):
            shapes: dict[tuple[str, str], Shape] = {}
            for strip in strips:
                shape = shapes.setdefault((strip.label, strip.material), Shape())
                _band(path, s0, s1, strip.t0, strip.t1, strip.up, shape)
            faces = Shape()
            for a, b in pairwise(strips):  # kerb faces and slopes
                if abs(a.up - b.up) > 1e-3:
                    low, high = sorted((a.up, b.up))
                    _wall(path, s0, s1, a.t1, low, high, faces)
            kerb = 'sidewalk' if plan.kerb > 0 else 'terrain'
            shapes.setdefault((kerb, 'kerb' if plan.kerb > 0 else 'land'), Shape()).merge([faces])
            for strip in strips:  # ends, where the street meets a crossing
                shape = shapes[(strip.label, strip.material)]
                for end_s in (s0, s1):
                    if abs(strip.up) > 1e-3 and end_s in (p0, p1):
                        z0, z1 = sorted((0.0, strip.up))
                        shape.quad(
                            *(
                                path.point(end_s, t, z)
                                for t, z in (
                                    (strip.t0, z0),
                                    (strip.t1, z0),
                                    (strip.t1, z1),
                                    (strip.t0, z1),
                                )
                            )
                        )
            for (label, material), shape in shapes.items():
                stage.add(f'ground{count}', shape, label, material=material)
                count += 1
    for begin, finish in plan.crossings:
        shape = Shape()
        _band(path, begin, finish, -FAR, FAR, 0.0, shape)
        stage.add(f'ground{count}', shape, 'road', material='asphalt')
        count += 1
    _far_land(stage, path, plan, rng)
    if plan.marked:
        _markings(stage, path, plan, rng)


def _far_land(stage: Stage, path: Path, plan: Plan, rng: np.random.Generator) -> None:
    """Plain and hills beyond the street."""
    base = path.lowest - 1.0
    shape = Shape()
    for side in (-1.0, 1.0):
        s = np.arange(plan.extent[0], plan.extent[1], 12.0)
        near = path.at(s, side * FAR, 0.0)
        far = near.copy()
        direction = path.at(s, side * (FAR + 15), 0.0)
        far[:, :2] = direction[:, :2]
        far[:, 2] = base
        shape.ribbon(near if side < 0 else far, far if side < 0 else near, s, (0.0, 15.0))
    a, b = path.at(plan.extent[0]), path.at(plan.extent[1])
    middle = (a + b) / 2
    size = 1500.0
    shape.quad(
        *(
            (middle[0] + x * size, middle[1] + y * size, base)
            for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        )
    )
    stage.add('land', shape, 'terrain', material='land')
    if rng.random() < 0.6:
        hills = Shape()
        label = 'vegetation' if rng.random() < 0.6 else 'terrain'
        for _ in range(int(rng.integers(3, 10))):
            angle, far_away = rng.uniform(-0.9, 0.9), rng.uniform(350, 900)
            foot = b[:2] + far_away * np.array(
                [
                    np.cos(path.yaw(plan.extent[1]) + angle),
                    np.sin(path.yaw(plan.extent[1]) + angle),
                ]
            )
            wide, tall = rng.uniform(120, 300), rng.uniform(10, 75)
            hills.blob((foot[0], foot[1], base), (wide, wide, tall), rng, 0.12, 8, 14)
        green = rng.uniform(0.15, 0.5)
        stage.add('hills', hills, label, (float(green), float(green * 1.08), float(green * 0.85)))


def _markings(stage: Stage, path: Path, plan: Plan, rng: np.random.Generator) -> None:
    white, yellow = Shape(), Shape()
    worn = float(rng.uniform(0.55, 0.97))
    dash, gap = [(3.0, 3.0), (3.0, 9.0), (6.0, 6.0), (2.0, 4.0)][int(rng.integers(4))]
    wide = float(rng.uniform(0.1, 0.2))
    centre = yellow if plan.yellow else white

    def line(shape: Shape, t: float, dashed: bool, width: float = wide) -> None:
        for p0, p1 in _cut(*plan.extent, plan.crossings):
            p0, p1 = p0 + 4.5, p1 - 4.5
            s = p0
            while s < p1 - 1:
                e = min(s + (dash if dashed else CHUNK), p1)
                _band(path, s, e, t - width / 2, t + width / 2, LIFT, shape)
                s = e + (gap if dashed else 0.0)

    m = plan.median / 2
    if plan.median > 0:
        line(centre, m + 0.2, False)
        line(centre, -m - 0.2, False)
    else:
        style = rng.integers(3)
        if style == 0 and not (plan.kind == 'rural' and rng.random() < 0.3):
            line(centre, 0.0, True)
        else:
            line(centre, 0.14, False)
            line(centre, -0.14, bool(style == 2))
    for k in range(1, plan.lanes):
        line(white, m + k * plan.lane_width, True)
        line(white, -m - k * plan.lane_width, True)
    edges = plan.kind in ('rural', 'highway') or rng.random() < 0.4
    if edges:
        line(white, plan.half - 0.08, False)
        line(white, -plan.half + 0.08, False)
    for a, b in plan.crossings:
        zebra = rng.random() < 0.6
        for walk_s, stop in ((a - 3.2, a - 4.2), (b + 0.2, b + 4.0)):
            t = -plan.edge(-1) + 0.5
            while zebra and t < plan.edge(1) - 0.7:
                if abs(t + 0.25) > m or plan.median_kind == 'paved':
                    _band(path, walk_s, walk_s + 2.8, t, t + 0.5, LIFT, white)
                t += 1.0
            side = plan.drive_side if walk_s < a else -plan.drive_side
            near, far = sorted((side * (m + 0.2), side * plan.half))
            _band(path, stop, stop + 0.35, near, far, LIFT, white)
    if rng.random() < 0.5:  # arrows and words, as bars that point along the lane
        for _ in range(int(rng.integers(2, 14))):
            s = float(rng.uniform(*plan.extent))
            if not plan.crosses(s, 10):
                t = plan.lane(int(rng.integers(plan.lanes)), int(rng.choice([-1, 1])))
                _band(path, s, s + 3.0, t - 0.08, t + 0.08, LIFT, white)
                for k in range(4):
                    _band(
                        path,
                        s + 3 + k * 0.3,
                        s + 3.3 + k * 0.3,
                        t - 0.4 + k * 0.1,
                        t + 0.4 - k * 0.1,
                        LIFT,
                        white,
                    )
    grey: Colour = (worn, worn, worn * 0.98)
    stage.add('white_lines', white, 'road', grey)
    stage.add('yellow_lines', yellow, 'road', (worn, worn * 0.72, worn * 0.2))
