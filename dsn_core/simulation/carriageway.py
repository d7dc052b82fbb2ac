"""What stands on, at and over the carriageway: lamps, medians, signals, bridges, gantries."""

import numpy as np

from dsn_core.simulation import furniture
from dsn_core.simulation.site import Site
from dsn_core.simulation.textures import plaster

__all__ = ['build_carriageway']


def build_carriageway(site: Site) -> None:
    """Put up what belongs to the carriageway itself."""
    _lamps(site)
    _median(site)
    _crossings(site)
    _overhead(site)


def _lamps(site: Site) -> None:
    rng, plan, path = site.rng, site.plan, site.path
    odds = {
        'urban': 0.95,
        'downtown': 0.97,
        'suburb': 0.8,
        'rural': 0.12,
        'highway': 0.4,
        'industrial': 0.7,
    }[plan.kind]
    if rng.random() < odds * min(1.0, site.clutter * 2):
        tint = furniture.LAMP_TINTS[int(rng.integers(3))]
        height, arm = float(rng.uniform(4.5, 11)), float(rng.choice([0.0, 1.2, 2.2]))
        spacing, candela = (
            height * float(rng.uniform(2.8, 5.0)),
            float(rng.uniform(10, 35)) * height**2,
        )
        sides = [1, -1] if rng.random() < 0.5 else [int(rng.choice([1, -1]))]
        middle = plan.median >= 1.0 and rng.random() < 0.5
        for side in sides:
            shift = spacing / 2 if side > 0 else 0.0
            for s in np.arange(plan.extent[0] + shift, plan.extent[1], spacing):
                if plan.crosses(float(s), 1):
                    continue
                t = 0.0 if middle else side * (plan.edge(side) + 0.5)
                yaw = path.yaw(float(s)) + (-np.pi / 2 if side > 0 else np.pi / 2)
                furniture.street_lamp(
                    site.stage,
                    'streetlamp',
                    height,
                    arm,
                    tint,
                    candela,
                    path.point(float(s), t, plan.kerb),
                    float(yaw),
                )
    if rng.random() < {'rural': 0.45, 'suburb': 0.4, 'industrial': 0.3}.get(plan.kind, 0.08):
        side = int(rng.choice([1, -1]))
        spots = [float(s) for s in np.arange(*plan.extent, float(rng.uniform(28, 45)))]
        poles, wires = furniture.utility_poles(
            path, spots, side * (plan.edge(side) + 1.6), float(rng.uniform(7, 10))
        )
        site.stage.add('utility', poles, 'pole', (0.32, 0.27, 0.22))
        site.stage.add('wires', wires, 'pole', (0.08, 0.08, 0.08))


def _median(site: Site) -> None:
    rng, plan = site.rng, site.plan
    if plan.median < 1.0:
        return
    if plan.median_kind == 'wall' or (plan.kind == 'highway' and rng.random() < 0.4):
        site.barrier(str(rng.choice(['jersey', 'rail'])), 1, 0.0)
    elif plan.median_kind == 'grass':
        for s in np.arange(*plan.extent, float(rng.uniform(6, 16))):
            if site.some(0.6) and not plan.crosses(float(s), 4):
                kits = site.trees if plan.median > 2 and rng.random() < 0.5 else site.bushes
                site.plant(kits, float(s), 0.0, 0.1)


def _crossings(site: Site) -> None:
    rng, plan, path = site.rng, site.plan, site.path
    for a, b in plan.crossings:
        if not site.some(0.6):
            continue
        kit = site.signals[int(rng.integers(len(site.signals)))]
        for side, s, back in (
            (plan.drive_side, a - 1.0, 0.0),
            (plan.drive_side, b + 0.6, 0.0),
            (-plan.drive_side, a - 0.8, np.pi),
            (-plan.drive_side, b + 1, np.pi),
        ):
            if rng.random() < 0.8:
                # signals with an arm reach to +y of their own frame: turn those on the left
                kit.place(
                    site.stage,
                    at=path.point(s, side * (plan.edge(side) + 0.5), plan.kerb),
                    yaw=path.yaw(s) + back,
                )


def _overhead(site: Site) -> None:
    rng, plan, path, stage = site.rng, site.plan, site.path, site.stage
    reach = max(plan.edge(1), plan.edge(-1)) + 1.0
    odds = {'highway': 0.6, 'rural': 0.12, 'urban': 0.16, 'industrial': 0.25}.get(plan.kind, 0.06)
    for s in np.arange(30, plan.extent[1], 130.0):
        if site.some(odds):
            x = float(s + rng.uniform(0, 80))
            if plan.crosses(x, 9):
                continue
            body, rail = furniture.bridge(path, x, reach + max(plan.walk), rng)
            stage.material(site.key('deck'), plaster(rng, (150, 148, 142)), 5.0)
            stage.add(site.key('bridge'), body, 'building', material=f'deck{site.count - 1}')
            stage.add(site.key('rail'), rail, 'fence', (0.5, 0.52, 0.5))
        elif site.some(odds * 0.8):
            frame, panel, mark = furniture.gantry(path, float(s + 20), reach, rng)
            stage.add(site.key('gantry'), frame, 'pole', (0.45, 0.47, 0.47))
            green = rng.random() < 0.5
            stage.add(
                site.key('panel'),
                panel,
                'traffic sign',
                (0.05, 0.35, 0.2) if green else (0.1, 0.25, 0.6),
                glow=(1.0, 2.0, 2.0),
            )
            stage.add(
                site.key('mark'),
                mark,
                'traffic sign',
                (0.95, 0.95, 0.95),
                glow=(5.0, 5.0, 5.0),
            )
