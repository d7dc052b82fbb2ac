"""Narrow streets: a lane's width between parked cars, hedges, trees and house fronts.

In a street of :func:`dsn_core.simulation.plan.make_plan` what stands 30 to 40 degrees beside the
heading is some 24 m away in the middle, in an old residential street a third of that. A network
that saw only the former says the latter too far.
"""

from functools import partial

import numpy as np

from dsn_core.simulation.plan import Plan, crossings_from, two_sides
from dsn_core.simulation.plants import shrub
from dsn_core.simulation.site import Site

__all__ = ['make_narrow_plan', 'overgrow']

KINDS = ('suburb', 'urban', 'rural')
KIND_ODDS = (0.55, 0.3, 0.15)


def make_narrow_plan(rng: np.random.Generator, length: float, clutter: float) -> Plan:
    """Draw a narrow street: 3.4 to 5.8 m between what is parked, little before the houses."""
    kind = str(rng.choice(KINDS, p=KIND_ODDS))
    rural = kind == 'rural'
    lane_width = float(rng.uniform(1.7, 2.9))
    end = length + 170.0
    first = float(rng.uniform(-20, 90))
    crossings = [] if rural else crossings_from(rng, first, end, (5, 9))
    both = partial(two_sides, rng)
    parking_odds = {'suburb': 0.6, 'urban': 0.65}.get(kind, 0.0)
    green = {'suburb': (0.3, 1.0, 0.85), 'urban': (0.1, 0.6, 0.3), 'rural': (0.4, 1.0, 0.9)}
    return Plan(
        kind=kind,
        drive_side=-1 if rng.random() < 0.72 else 1,
        lanes=1,
        lane_width=lane_width,
        median=0.0,
        median_kind='paved',
        parking=(bool(rng.random() < parking_odds), bool(rng.random() < parking_odds)),
        walk=(0.0, 0.0) if rural else both(0.9, 2.2, 0.85),
        verge=both(0.3, 1.2, 0.15),
        setback=both(0.6, 5.0, 1.0) if kind == 'suburb' else both(0.0, 1.5, 0.7),
        kerb=0.0 if rural else float(rng.uniform(0.03, 0.15)),
        shoulder=float(rng.uniform(0.0, 0.3)),
        crossings=tuple(crossings),
        yellow=bool(rng.random() < 0.2),
        marked=bool(lane_width > 2.5 and rng.random() < 0.4),
        # two cars don't pass each other in the narrowest
        traffic=float(rng.uniform(0.0, 0.6)) * clutter if lane_width > 2.3 else 0.0,
        parked=float(rng.uniform(0.3, 0.98)) * clutter,
        people=0.03 * clutter if rural else float(rng.beta(0.8, 2.5)) * clutter,
        extent=(-60.0, end),
        overgrown=both(*green[kind]),
    )


def overgrow(site: Site, side: int) -> None:
    """Let shrubs, trees and hedges stand right behind the sidewalk, as dense as the plan says.

    Shrubs close the view from the ground up, as trees on their trunks don't.
    """
    rng, plan, i = site.rng, site.plan, 0 if side > 0 else 1
    density = plan.overgrown[i]
    if density <= 0:
        return
    shrubs = [shrub(f'shrub{side}{k}', rng, f'leaf{k % 3}') for k in range(5)]
    line = plan.edge(side) + plan.verge[i] + plan.walk[i] + 0.6
    for s in np.arange(plan.extent[0], plan.extent[1], 2.2):
        x = float(s + rng.normal(0, 0.5))
        if plan.crosses(x, 3.0) or not site.some(density):
            continue
        tall = rng.random() < 0.35
        t = line + float(rng.exponential(1.0)) + (0.6 if tall else 0.9)
        site.plant(site.trees if tall else shrubs, x, side * t, plan.kerb)
    if rng.random() < 0.5 * density and plan.setback[i] <= 1.2:  # else it has its fences
        s0 = plan.extent[0]
        while s0 < plan.extent[1]:
            s1 = s0 + float(rng.uniform(8, 30))
            if not plan.crosses((s0 + s1) / 2, (s1 - s0) / 2 + 1):
                site.barrier('hedge', side, line, s0, s1)
            s0 = s1 + float(rng.choice([0.0, 3.0]))
