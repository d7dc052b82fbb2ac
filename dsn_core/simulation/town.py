"""The layout of a town: what stands where along a street."""

from dataclasses import dataclass

import numpy as np

from dsn_core.simulation.carriageway import build_carriageway
from dsn_core.simulation.ground import build_ground
from dsn_core.simulation.narrow import make_narrow_plan
from dsn_core.simulation.options import SimulationOptions
from dsn_core.simulation.path import Path
from dsn_core.simulation.plan import Plan, make_plan
from dsn_core.simulation.roadside import build_roadside
from dsn_core.simulation.site import Site
from dsn_core.simulation.stage import Compiled, Stage
from dsn_core.simulation.traffic import Traffic, build_traffic

__all__ = ['Town', 'build_town']


@dataclass
class Town:
    """A compiled street: its line, its plan, its model and what moves in it."""

    path: Path
    plan: Plan
    stage: Compiled
    traffic: Traffic


def build_town(seed: int, segment: int, options: SimulationOptions) -> Town:
    """Build the street number ``segment`` of the drive ``seed``; the same every time."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, segment, 20]))
    # Drawn apart, so that a town without is the same whatever the share of narrow streets.
    odds = np.random.default_rng(np.random.SeedSequence([seed, segment, 21])).random()
    make = make_narrow_plan if odds < options.narrow else make_plan
    plan = make(rng, options.length, options.clutter)
    path = Path(
        rng, plan.extent[0] - 60, plan.extent[1] + 60, options.min_radius, options.max_grade
    )
    stage = Stage()
    build_ground(stage, path, plan, rng)
    if options.clutter > 0:
        site = Site(stage, path, plan, rng, options.clutter)
        for side in (1, -1):
            build_roadside(site, side)
        build_carriageway(site)
    traffic = build_traffic(stage, path, plan, rng)
    largest = (
        round(options.width * options.colour_scale),
        round(options.height * options.colour_scale),
    )
    return Town(path, plan, stage.compile(*largest, options.shadow_size), traffic)
