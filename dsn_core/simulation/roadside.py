"""What stands along a street, side by side: buildings, plants, fences, sidewalk things."""

import numpy as np

from dsn_core.simulation import furniture
from dsn_core.simulation.kit import Kit
from dsn_core.simulation.narrow import overgrow
from dsn_core.simulation.people import clothes
from dsn_core.simulation.site import Site

__all__ = ['build_roadside']


def build_roadside(site: Site, side: int) -> None:
    """Fill one side of the street: 1 left, -1 right."""
    _buildings(site, side)
    _green(site, side)
    overgrow(site, side)
    _fences(site, side)
    _sidewalk(site, side)


def _buildings(site: Site, side: int) -> None:
    rng, plan, path = site.rng, site.plan, site.path
    density = {
        'urban': 0.88,
        'downtown': 0.97,
        'suburb': 0.75,
        'rural': 0.07,
        'highway': 0.1,
        'industrial': 0.6,
    }[plan.kind]
    open_side = plan.kind in ('urban', 'suburb', 'industrial') and rng.random() < 0.2
    density = 0.1 if open_side else density
    maker = site.maker
    typical = float(rng.uniform(7, 18) if plan.kind == 'urban' else rng.uniform(12, 38))
    s = plan.extent[0]
    while s < plan.extent[1] + 10:
        suburb = plan.kind in ('suburb', 'rural')
        wide = float(rng.uniform(8, 15) if suburb else rng.uniform(9, 30))
        middle = s + wide / 2
        if rng.random() < density * site.clutter and not plan.crosses(middle, wide / 2 + 1.5):
            if suburb:
                tall = float(rng.uniform(3.2, 7.5))
            elif plan.kind in ('industrial', 'highway'):
                tall = float(rng.uniform(4, 14))
            else:
                tall = float(np.clip(typical * rng.uniform(0.6, 1.5), 5, 70))
            back = plan.back(side) + (float(rng.uniform(0, 4)) if suburb else 0.0)
            deep = float(rng.uniform(9, 16))
            yaw = path.yaw(middle) + (-np.pi / 2 if side > 0 else np.pi / 2)
            maker.place(
                path.point(middle, side * back, plan.kerb),
                float(yaw),
                (wide, deep, tall),
                plan.kind in ('urban', 'downtown') and rng.random() < 0.7,
                suburb or rng.random() < 0.25,
            )
            if plan.kind == 'downtown' and rng.random() < 0.25:  # a tower behind
                maker.place(
                    path.point(middle, side * (back + 25), 0),
                    float(yaw),
                    (wide * 0.9, 15, tall + float(rng.uniform(10, 45))),
                    False,
                    False,
                )
        s += wide + float(
            rng.exponential(1.0) if plan.kind in ('urban', 'downtown') else rng.uniform(2, 14)
        )
    end = path.point(plan.extent[1] + 30, 0.0)
    if plan.kind in ('urban', 'downtown') and side == 1 and rng.random() < 0.6:
        maker.place(end, path.yaw(plan.extent[1]) + np.pi, (40, 14, typical * 1.3), True, False)
    for a, b in plan.crossings:  # what a side street ends with
        if rng.random() < 0.5 and density > 0.3:
            yaw = path.yaw(a) + (-np.pi / 2 if side > 0 else np.pi / 2)
            maker.place(
                path.point((a + b) / 2, side * 75.0),
                float(yaw),
                (26, 10, typical),
                False,
                False,
            )


def _green(site: Site, side: int) -> None:
    rng, plan = site.rng, site.plan
    i = 0 if side > 0 else 1
    row = (
        rng.random()
        < {
            'urban': 0.55,
            'downtown': 0.35,
            'suburb': 0.6,
            'rural': 0.35,
            'highway': 0.2,
            'industrial': 0.3,
        }[plan.kind]
    )
    spacing = float(rng.uniform(7, 22))
    t = plan.edge(side) + (plan.verge[i] / 2 if plan.verge[i] else 0.8)
    if plan.kind in ('rural', 'highway'):
        t = plan.edge(side) + float(rng.uniform(3.0, 8.0))
    for s in np.arange(plan.extent[0], plan.extent[1], spacing):
        x = float(s + rng.normal(0, 1.0))
        if row and site.some(0.85) and not plan.crosses(x, 5):
            site.plant(site.trees, x, side * t, plan.kerb)
    wild = {'rural': 0.5, 'highway': 0.35, 'suburb': 0.3, 'industrial': 0.25}.get(plan.kind, 0.1)
    wild *= float(rng.uniform(0.1, 1.6))
    low = plan.edge(side) + (4.0 if plan.kind in ('rural', 'highway') else 8.0)
    for s in np.arange(plan.extent[0], plan.extent[1] + 60, 4.0):
        if site.some(wild) and not plan.crosses(float(s), 8):
            t = low + float(rng.exponential(14.0))
            kits = site.trees if rng.random() < 0.62 else site.bushes
            if t < 85:
                site.plant(kits, float(s), side * t)
    if plan.kind in ('rural', 'highway') and rng.random() < 0.55:  # a wood behind
        edge = low + float(rng.uniform(8, 30))
        for s in np.arange(plan.extent[0], plan.extent[1] + 60, 5.0):
            site.plant(
                site.trees,
                float(s + rng.normal(0, 1.5)),
                side * (edge + float(rng.uniform(0, 6))),
            )


def _fences(site: Site, side: int) -> None:
    rng, plan = site.rng, site.plan
    i = 0 if side > 0 else 1
    if plan.kind == 'highway':
        if rng.random() < 0.6:
            site.barrier(str(rng.choice(['rail', 'jersey', 'noise'])), side, plan.edge(side) + 0.6)
        return
    if plan.kind == 'rural':
        if rng.random() < 0.45:
            kind = str(rng.choice(['rail', 'bars', 'pickets', 'wall']))
            site.barrier(kind, side, plan.edge(side) + float(rng.uniform(1.2, 4.0)))
        return
    t = plan.edge(side) + plan.verge[i] + plan.walk[i] + 0.35
    if plan.setback[i] > 1.2:
        s = plan.extent[0]
        while s < plan.extent[1]:
            long = float(rng.uniform(8, 25))
            mid = s + long / 2
            if site.some(0.7) and not plan.crosses(mid, long / 2 + 1):
                kind = str(rng.choice(['pickets', 'bars', 'planks', 'wall', 'hedge']))
                site.barrier(kind, side, t, s, s + long)
            s += long + float(rng.choice([0.0, 3.5]))
    if rng.random() < 0.12 and plan.walk[i] > 0:  # a railing at the kerb
        s = float(rng.uniform(*plan.extent))
        if not plan.crosses(s + 15, 17):
            site.barrier('bars', side, plan.edge(side) + 0.4, s, s + 30)


def _sidewalk(site: Site, side: int) -> None:
    rng, plan, path = site.rng, site.plan, site.path
    i = 0 if side > 0 else 1
    kerbside = plan.edge(side) + 0.45
    things = furniture.small_things(rng)
    if side == -1:
        things = [Kit(k.name + 'r', k.parts) for k in things]
    stop = furniture.shelter(f'shelter{side}')
    for s in np.arange(plan.extent[0] + 5, plan.extent[1], 9.0):
        x = float(s + rng.uniform(-4, 4))
        if plan.crosses(x, 4):
            continue
        if site.some(0.16 if plan.kind != 'rural' else 0.07):
            kit = site.signs[int(rng.integers(len(site.signs)))]
            facing = path.yaw(x) + (0.0 if side == plan.drive_side else np.pi)
            kit.place(
                site.stage,
                at=path.point(x, side * kerbside, plan.kerb),
                yaw=facing + float(rng.normal(0, 0.1)),
            )
        if plan.walk[i] > 0 and site.some(0.13):
            kit = things[int(rng.choice(4, p=[0.4, 0.28, 0.25, 0.07]))]
            kit.place(
                site.stage,
                at=path.point(x, side * (kerbside + 0.2), plan.kerb),
                yaw=path.yaw(x),
            )
        if plan.walk[i] > 2.2 and site.some(0.02):
            flip = np.pi if side < 0 else 0.0
            stop.place(
                site.stage,
                at=path.point(x, side * (kerbside + 1.0), plan.kerb),
                yaw=path.yaw(x) + flip,
            )
    if plan.walk[i] > 0:  # people who stand about
        for s in np.arange(plan.extent[0], plan.extent[1], 6.0):
            if rng.random() < plan.people * 0.35 and not plan.crosses(float(s), 1):
                deep = plan.verge[i] + float(rng.uniform(0.3, 0.9)) * plan.walk[i]
                kit = site.folk[int(rng.integers(len(site.folk)))]
                kit.place(
                    site.stage,
                    clothes(rng),
                    at=path.point(float(s), side * (plan.edge(side) + deep), plan.kerb),
                    yaw=float(rng.uniform(0, 6.28)),
                )
