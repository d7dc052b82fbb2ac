"""A building site: the stage and what is at hand while a street is laid out."""

import numpy as np

from dsn_core.simulation import furniture
from dsn_core.simulation.buildings import BuildingMaker
from dsn_core.simulation.kit import Kit
from dsn_core.simulation.path import Path
from dsn_core.simulation.people import person
from dsn_core.simulation.plan import Plan
from dsn_core.simulation.plants import bush, hedge, tree
from dsn_core.simulation.stage import Stage
from dsn_core.simulation.textures import bricks, foliage, plaster

__all__ = ['Site']


class Site:
    """The stage, the plan, and kits that are built once and placed many times."""

    def __init__(
        self, stage: Stage, path: Path, plan: Plan, rng: np.random.Generator, clutter: float
    ) -> None:
        self.stage, self.path, self.plan, self.rng, self.clutter = stage, path, plan, rng, clutter
        self.count = 0
        for i in range(3):
            stage.material(f'leaf{i}', foliage(rng), 2.0)
        tone = float(rng.uniform(70, 220))
        stage.material(
            'masonry',
            bricks(rng, (tone, tone * 0.85, tone * 0.75))
            if rng.random() < 0.5
            else plaster(rng, (tone, tone, tone)),
            2.5,
        )
        odds = {'rural': [0.6, 0.2, 0.17, 0.03], 'highway': [0.55, 0.15, 0.15, 0.15]}
        favourite = str(
            rng.choice(
                ['leafy', 'bare', 'conifer', 'palm'], p=odds.get(plan.kind, [0.5, 0.26, 0.1, 0.14])
            )
        )
        self.trees = [
            tree(f'tree{i}', rng, f'leaf{i % 3}', favourite if i < 4 else None) for i in range(7)
        ]
        self.bushes = [bush(f'bush{i}', rng, f'leaf{i % 3}') for i in range(3)]
        self.signs = [furniture.sign(f'sign{i}', rng) for i in range(6)]
        self.signals = [furniture.traffic_light(f'signal{i}', rng) for i in range(3)]
        self.folk = [person(f'folk{i}', rng) for i in range(6)]
        self.maker = BuildingMaker(stage, rng)

    def key(self, word: str) -> str:
        """Make a name that no other mesh has."""
        self.count += 1
        return f'{word}{self.count}'

    def some(self, odds: float) -> bool:
        """Toss a coin of ``odds``, scaled by the clutter."""
        return bool(self.rng.random() < odds * self.clutter)

    def plant(self, kits: list[Kit], s: float, t: float, up: float = 0.0) -> None:
        """Place one of ``kits``, turned at random, at ``s``, ``t``."""
        kit = kits[int(self.rng.integers(len(kits)))]
        kit.place(self.stage, at=self.path.point(s, t, up), yaw=float(self.rng.uniform(0, 6.28)))

    def barrier(
        self, kind: str, side: int, t: float, s0: float | None = None, s1: float | None = None
    ) -> None:
        """Set up a fence, wall or hedge; all along the street unless ``s0``, ``s1`` are given."""
        rng, plan, stage, path = self.rng, self.plan, self.stage, self.path
        if s0 is None or s1 is None:
            for s in np.arange(plan.extent[0], plan.extent[1], 40.0):
                if not plan.crosses(float(s) + 20, 22):
                    self.barrier(kind, side, t, float(s), float(s) + 40)
            return
        if kind == 'hedge':
            shape = hedge(s1 - s0, float(rng.uniform(0.8, 2.2)), rng)
            mid = (s0 + s1) / 2
            shape = shape.moved(path.point(mid, side * t, plan.kerb), path.yaw(mid))
            stage.add(self.key('hedge'), shape, 'vegetation', (0.9, 0.9, 0.9), material='leaf0')
            return
        low, high = {
            'wall': (0.6, 2.2),
            'jersey': (0.8, 1.0),
            'noise': (2.5, 4.5),
            'planks': (1.2, 2.0),
        }.get(kind, (0.7, 1.3))
        form = 'wall' if kind == 'noise' else kind
        body, posts = furniture.barrier(
            path, form, s0, s1, side * t, float(rng.uniform(low, high)), plan.kerb, rng
        )
        solid = kind in ('wall', 'jersey', 'noise')
        grey = float(rng.uniform(0.25, 0.95))
        if solid:
            shade = float(rng.uniform(0.8, 0.99))
            stage.add(self.key('wall'), body, 'wall', (shade, shade, shade), material='masonry')
        else:
            stage.add(self.key('fence'), body, 'fence', (grey, grey * 0.95, grey * 0.88))
        stage.add(self.key('posts'), posts, 'fence', (0.4, 0.4, 0.42))
