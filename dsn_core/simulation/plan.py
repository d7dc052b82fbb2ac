"""The plan of a street: which kind it is, its lanes, verges, crossings. Numbers only."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

__all__ = ['Plan', 'crossings_from', 'make_plan', 'two_sides']

KINDS = ('urban', 'downtown', 'suburb', 'rural', 'highway', 'industrial')
KIND_ODDS = (0.26, 0.16, 0.22, 0.14, 0.15, 0.07)


@dataclass(frozen=True)
class Plan:
    """Everything that decides the ground; lengths in metres, t positive to the left."""

    kind: str
    drive_side: int  # -1: traffic keeps to the right (negative t), 1: to the left
    lanes: int  # per direction
    lane_width: float
    median: float  # width, 0: none
    median_kind: str  # grass, wall, paved
    parking: tuple[bool, bool]  # left (t > 0), right
    walk: tuple[float, float]  # sidewalk width left, right; 0: none
    verge: tuple[float, float]  # between kerb and sidewalk
    setback: tuple[float, float]  # behind the sidewalk, before the buildings
    kerb: float  # height; 0: flush
    shoulder: float  # paved, outside the edge line
    crossings: tuple[tuple[float, float], ...]  # intervals of s
    yellow: bool  # centre line and median edge are yellow
    marked: bool
    traffic: float  # 0 to 1
    parked: float  # 0 to 1
    people: float  # 0 to 1
    ego_lane: int = 0  # 0: nearest to the middle
    extent: tuple[float, float] = field(default=(-50.0, 550.0))
    overgrown: tuple[float, float] = (0.0, 0.0)  # how dense right behind the sidewalk, 0 to 1

    @property
    def half(self) -> float:
        """From the centre line to the outer edge of the moving lanes."""
        return self.median / 2 + self.lanes * self.lane_width

    def edge(self, side: int) -> float:
        """Distance from the centre line to the kerb on ``side`` (1 left, -1 right)."""
        parking = self.parking[0 if side > 0 else 1]
        return self.half + self.shoulder + (2.2 if parking else 0.0)

    def back(self, side: int) -> float:
        """Distance from the centre line to the building line on ``side``."""
        i = 0 if side > 0 else 1
        return self.edge(side) + self.verge[i] + self.walk[i] + self.setback[i]

    def lane(self, index: int, direction: int) -> float:
        """Lateral position of a lane's centre; ``direction`` 1 along s, -1 against it."""
        side = self.drive_side * direction
        return side * (self.median / 2 + (index + 0.5) * self.lane_width)

    def crosses(self, s: float, margin: float = 0.0) -> bool:
        """Whether ``s`` lies on a crossing street, or within ``margin`` of one."""
        return any(a - margin <= s <= b + margin for a, b in self.crossings)


def crossings_from(
    rng: np.random.Generator, s: float, end: float, width: tuple[float, float]
) -> list[tuple[float, float]]:
    """Draw the streets that cross one, the first at ``s``: (from, to) along it, metres."""
    crossings = []
    while s < end - 60:
        wide = float(rng.uniform(*width))
        crossings.append((s, s + wide))
        s += wide + float(rng.uniform(70, 170))
    return crossings


def two_sides(
    rng: np.random.Generator, low: float, high: float, odds: float
) -> tuple[float, float]:
    """Draw a width for the left and one for the right, metres; 0 but for ``odds``."""
    a, b = (float(rng.uniform(low, high)) if rng.random() < odds else 0.0 for _ in range(2))
    return (a, b)


def make_plan(rng: np.random.Generator, length: float, clutter: float) -> Plan:
    """Draw a street."""
    kind = str(rng.choice(KINDS, p=KIND_ODDS))
    town = kind in ('urban', 'downtown', 'suburb', 'industrial')
    highway, rural = kind == 'highway', kind == 'rural'
    if highway:
        lanes = int(rng.choice([2, 3, 4], p=[0.4, 0.4, 0.2]))
    elif rural or kind == 'suburb':
        lanes = 1
    else:
        lanes = int(rng.choice([1, 2, 3], p=[0.55, 0.35, 0.1]))
    median = 0.0
    if highway:
        median = float(rng.uniform(1.0, 10.0))
    elif lanes >= 2 and rng.random() < 0.5:
        median = float(rng.uniform(1.0, 5.0))
    end = length + 170.0
    crossings: list[tuple[float, float]] = []
    if town:
        crossings = crossings_from(rng, float(rng.uniform(-20, 90)), end, (7, 16))
    elif rural and rng.random() < 0.5:
        s = float(rng.uniform(60, length))
        crossings.append((s, s + 7.0))

    both = partial(two_sides, rng)
    walk = both(1.4, 4.5, 0.93) if town else both(1.2, 2.5, 0.12 if rural else 0.0)
    setback_range = {
        'urban': (0.0, 4.0),
        'downtown': (0.0, 1.0),
        'suburb': (3.0, 12.0),
        'rural': (6.0, 30.0),
        'highway': (10.0, 30.0),
        'industrial': (2.0, 14.0),
    }
    setback = both(*setback_range[kind], 1.0)
    parking_odds = {'urban': 0.65, 'downtown': 0.55, 'suburb': 0.45}.get(kind, 0.0)
    parking = (bool(rng.random() < parking_odds), bool(rng.random() < parking_odds))
    busy = float(np.clip(rng.beta(0.9, 1.3), 0, 1)) * clutter
    if rng.random() < 0.22:
        busy = 0.0  # empty roads must be seen as well
    return Plan(
        kind=kind,
        drive_side=-1 if rng.random() < 0.72 else 1,
        lanes=lanes,
        lane_width=float(rng.uniform(3.3, 3.75) if highway else rng.uniform(2.8, 3.6)),
        median=median,
        median_kind=str(rng.choice(['grass', 'wall', 'paved'], p=[0.45, 0.35, 0.2]))
        if highway
        else str(rng.choice(['grass', 'paved'])),
        parking=parking,
        walk=walk,
        verge=both(0.8, 3.0, 0.35 if town else 0.0),
        setback=setback,
        kerb=float(rng.uniform(0.06, 0.18)) if town else 0.0,
        shoulder=float(rng.uniform(1.0, 3.2)) if highway else float(rng.uniform(0.1, 0.7)),
        crossings=tuple(crossings),
        yellow=bool(rng.random() < 0.45),
        marked=bool(highway or rng.random() < 0.85),
        traffic=busy,
        parked=float(rng.uniform(0.1, 0.95)) * clutter,
        people=(float(rng.beta(0.8, 2.0)) if town else 0.03) * clutter,
        ego_lane=int(rng.integers(lanes)),
        extent=(-60.0, end),
    )
