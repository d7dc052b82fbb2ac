"""What moves or is parked: where every vehicle and walker is at a given time."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.kit import Kit
from dsn_core.simulation.path import Path
from dsn_core.simulation.people import clothes, person
from dsn_core.simulation.plan import Plan
from dsn_core.simulation.stage import Colour, Lamp, Stage
from dsn_core.simulation.vehicles import bicycle, bus, car, car_paint, motorcycle, tram, truck

__all__ = ['Mover', 'Traffic', 'build_traffic']


@dataclass(frozen=True)
class Mover:
    """Something that goes along (or across) the street at a steady speed and wraps around."""

    actor: str
    s: float  # position at time 0
    t: float
    speed: float  # along s, m/s, negative against it
    yaw: float  # relative to the street
    up: float  # above the road
    size: tuple[float, float]  # length, width in metres: its footprint
    across: bool = False  # moves along t rather than s
    follows: bool = False  # in the camera car's own lane: keeps its distance


@dataclass
class Traffic:
    """All movers, and the camera car's speed."""

    movers: list[Mover]
    ego_speed: float
    parked: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    """Footprints (s, t, length, width, yaw relative to the street) of what never moves."""

    def where(
        self, mover: Mover, time: float, plan: Plan, travelled: float
    ) -> tuple[float, float]:
        """(s, t) of a mover at ``time`` seconds, when the camera car has come ``travelled`` m."""
        low, high = plan.extent
        if mover.across:
            reach = 85.0
            return mover.s, (mover.t + mover.speed * time + reach) % (2 * reach) - reach
        if mover.follows:
            return mover.s + travelled + 1.5 * np.sin(time * 0.35 + mover.s), mover.t
        return (mover.s + mover.speed * time - low) % (high - low) + low, mover.t

    def poses(
        self, time: float, path: Path, plan: Plan, travelled: float
    ) -> list[tuple[Mover, NDArray[np.float64], NDArray[np.float64]]]:
        """Each mover with its position (3,) and its quaternion (4,) w x y z at ``time``.

        ``travelled``: how far the camera car has come, metres.
        """
        out = []
        for mover in self.movers:
            s, t = self.where(mover, time, plan, travelled)
            yaw = path.yaw(s) + mover.yaw
            pitch = -float(np.arctan(path.grade(s))) * float(np.cos(mover.yaw))
            cy, sy, cp, sp = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(pitch / 2), np.sin(pitch / 2)
            quat = np.array([cy * cp, -sy * sp, cy * sp, sy * cp])
            out.append((mover, path.at(s, t, mover.up), quat))
        return out


class _Garage:
    """The kinds of vehicle of one town, each built once."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.cars = [car(f'car{i}', rng) for i in range(7)]
        self.heavy = [truck(f'truck{i}', rng) for i in range(4)]
        self.heavy += [bus(f'bus{i}', rng) for i in range(2)]
        self.small = [motorcycle('moto0', rng), bicycle('bike0', rng), bicycle('bike1', rng)]
        self.still = [motorcycle('moto_still', rng, False), bicycle('bike_still', rng, False)]

    def draw(self, heavy: float, small: float) -> Kit:
        """Pick a vehicle; the arguments are the odds of lorries and buses, and two-wheelers."""
        u = self.rng.random()
        kits = self.heavy if u < heavy else self.small if u < heavy + small else self.cars
        return kits[int(self.rng.integers(len(kits)))]

    def paints(self, kit: Kit) -> dict[str, Colour]:
        """Pick the colours of one vehicle."""
        load = float(self.rng.uniform(0.3, 0.97))
        any_colour = car_paint(self.rng)
        return {
            'paint': any_colour,
            'load': (load, load, load) if self.rng.random() < 0.6 else car_paint(self.rng),
        }


def build_traffic(stage: Stage, path: Path, plan: Plan, rng: np.random.Generator) -> Traffic:
    """Park and drive vehicles, and let people walk."""
    fast = {'highway': (14.0, 24.0), 'rural': (9.0, 16.0)}.get(plan.kind, (5.0, 12.0))
    traffic = Traffic([], float(rng.uniform(*fast)))
    garage = _Garage(rng)
    if plan.traffic > 0 or plan.parked > 0:
        _drive(stage, plan, rng, garage, traffic)
        _park(stage, path, plan, rng, garage, traffic)
    if plan.people > 0:
        _walk(stage, plan, rng, garage, traffic)
    return traffic


def _start(
    stage: Stage,
    garage: _Garage,
    kit: Kit,
    traffic: Traffic,
    s: float,
    t: float,
    speed: float,
    yaw: float,
    across: bool = False,
    follows: bool = False,
) -> None:
    name = stage.actor(f'mover{len(traffic.movers)}')
    kit.place(stage, garage.paints(kit), actor=name)
    traffic.movers.append(
        Mover(name, s, t, speed, yaw, 0.0, (kit.length, kit.width), across, follows)
    )
    if kit.length > 2.0:  # two-wheelers' lamps are seen, but light little
        stage.lamps.append(
            Lamp(
                (kit.length / 2, 0.0, 0.75),
                (1.0, 0.0, -0.02),
                9000.0,
                (1.0, 0.93, 0.8),
                'head',
                name,
            )
        )


def _drive(
    stage: Stage, plan: Plan, rng: np.random.Generator, garage: _Garage, traffic: Traffic
) -> None:
    low, high = plan.extent
    heavy = float(rng.uniform(0.05, 0.45)) if plan.kind in ('highway', 'industrial') else 0.12
    small = 0.0 if plan.kind == 'highway' else float(rng.uniform(0.04, 0.4))
    jam = rng.random() < 0.15
    total = 0
    for direction in (1, -1):
        for index in range(plan.lanes):
            if plan.traffic <= 0:
                break
            own = direction == 1 and index == plan.ego_lane
            gap = (9.0 if jam else 14.0) + 60.0 * (1 - plan.traffic) * float(rng.uniform(0.5, 1.5))
            speed = 0.0 if jam and not own else traffic.ego_speed * float(rng.uniform(0.7, 1.3))
            s = float(rng.uniform(7, 12 + gap)) + 6 if own else low + float(rng.uniform(0, gap))
            limit = min(high, 170.0) if own else high
            while s < limit and total < 70:
                kit = garage.draw(heavy, small)
                lane = plan.lane(index, direction)
                sway = 0.9 if kit.width < 1 else 0.25
                lane += plan.drive_side * direction * abs(float(rng.normal(0, sway)))
                s += kit.length / 2
                _start(
                    stage,
                    garage,
                    kit,
                    traffic,
                    s,
                    lane,
                    direction * speed,
                    0.0 if direction > 0 else np.pi,
                    follows=own,
                )
                total += 1
                s += kit.length / 2 + gap * float(rng.uniform(0.5, 1.8))
    for a, b in plan.crossings:
        if rng.random() < plan.traffic * 0.8:
            for t in (a + 0.27 * (b - a), a + 0.73 * (b - a)):
                kit = garage.draw(heavy, small)
                side = int(rng.choice([1, -1]))
                wait = plan.edge(side) + 3.5 + kit.length / 2
                _start(
                    stage,
                    garage,
                    kit,
                    traffic,
                    t,
                    side * wait,
                    0.0,
                    -side * np.pi / 2,
                    across=True,
                )
    if plan.kind in ('urban', 'downtown') and rng.random() < 0.3 * min(1.0, plan.traffic * 5):
        kit = tram('tram0', rng)
        side = -plan.drive_side
        _start(
            stage,
            garage,
            kit,
            traffic,
            float(rng.uniform(25, 320)),
            side * (plan.median / 2 + 1.4),
            -6.0,
            np.pi,
        )


def _park(
    stage: Stage,
    path: Path,
    plan: Plan,
    rng: np.random.Generator,
    garage: _Garage,
    traffic: Traffic,
) -> None:
    for side, i in ((1, 0), (-1, 1)):
        if plan.walk[i] > 0:
            _park_bicycles(stage, path, plan, rng, garage, side)
        yard = plan.setback[i] > 5.0 and plan.kind in ('suburb', 'industrial')
        if not plan.parking[i] and not yard:
            continue
        s = plan.extent[0]
        perpendicular = yard and not plan.parking[i]
        while s < plan.extent[1]:
            kit = garage.draw(0.06 if plan.parking[i] else 0.15, 0.0)
            if rng.random() < 0.06:
                kit = garage.still[int(rng.integers(2))]
            space = (
                (kit.width + 1.0) if perpendicular else kit.length + float(rng.uniform(0.6, 1.8))
            )
            middle = s + space / 2
            odds = plan.parked * (0.35 if perpendicular else 1.0)
            if rng.random() < odds and not plan.crosses(middle, kit.length / 2 + 5):
                if perpendicular:
                    t = side * (
                        plan.edge(side) + plan.verge[i] + plan.walk[i] + 0.8 + kit.length / 2
                    )
                    turn = side * np.pi / 2 * float(rng.choice([-1, 1]))
                else:
                    t = side * (plan.half + plan.shoulder + 1.1 + float(rng.normal(0, 0.08)))
                    turn = 0.0 if side == plan.drive_side or rng.random() < 0.15 else np.pi
                turn += float(rng.normal(0, 0.02))
                up = plan.kerb if perpendicular else 0.0
                kit.place(
                    stage,
                    garage.paints(kit),
                    at=path.point(middle, t, up),
                    yaw=path.yaw(middle) + turn,
                    lit=rng.random() < 0.04,
                )
                traffic.parked.append((middle, t, kit.length, kit.width, turn))
            s += space


def _park_bicycles(
    stage: Stage, path: Path, plan: Plan, rng: np.random.Generator, garage: _Garage, side: int
) -> None:
    # at the kerb, in groups, across the sidewalk or along it
    for s in np.arange(plan.extent[0], plan.extent[1], 25.0):
        if rng.random() > 0.25 * min(1.0, plan.parked * 2) or plan.crosses(float(s), 12):
            continue
        kit = garage.still[int(rng.random() < 0.8)]
        turn = float(rng.choice([0.0, np.pi / 2])) + float(rng.normal(0, 0.1))
        for k in range(int(rng.integers(1, 7))):
            x = float(s) + k * (0.75 if turn > 0.8 else 1.95)
            t = side * (plan.edge(side) + (1.1 if turn > 0.8 else 0.55))
            at = path.point(x, t, plan.kerb)
            kit.place(stage, garage.paints(kit), at=at, yaw=path.yaw(x) + turn, lit=False)


def _walk(
    stage: Stage, plan: Plan, rng: np.random.Generator, garage: _Garage, traffic: Traffic
) -> None:
    folk = [person(f'walker{i}', rng) for i in range(6)]
    low, high = plan.extent

    def add(s: float, t: float, speed: float, yaw: float, up: float, across: bool) -> None:
        kit = folk[int(rng.integers(len(folk)))]
        name = stage.actor(f'mover{len(traffic.movers)}')
        kit.place(stage, clothes(rng), actor=name)
        traffic.movers.append(Mover(name, s, t, speed, yaw, up, (0.5, 0.5), across))

    for side, i in ((1, 0), (-1, 1)):
        count = int(plan.people * (high - low) / 9.0) if plan.walk[i] > 0 else 0
        for _ in range(count):
            t = side * (
                plan.edge(side) + plan.verge[i] + float(rng.uniform(0.3, 0.8)) * plan.walk[i]
            )
            direction = float(rng.choice([-1.0, 1.0]))
            s, speed = float(rng.uniform(low, high)), direction * float(rng.uniform(0.5, 1.7))
            near = any(a - 8 < s < b + 8 for a, b in plan.crossings)
            add(s, t, speed, 0.0 if direction > 0 else np.pi, 0.0 if near else plan.kerb, False)
    if plan.kind != 'highway':  # cyclists and scooters near the kerb, with the traffic
        for _ in range(int(rng.poisson(1.0 + 9 * plan.people))):
            kit = garage.small[int(rng.choice(3, p=[0.24, 0.38, 0.38]))]
            direction = int(rng.choice([-1, 1]))
            side = plan.drive_side * direction
            t = side * (plan.half + plan.shoulder - float(rng.uniform(0.3, 0.9)))
            speed = direction * float(rng.uniform(3.0, 7.0))
            s = float(rng.uniform(low, high))
            yaw = 0.0 if direction > 0 else np.pi
            _start(stage, garage, kit, traffic, s, t, speed, yaw)
    for a, b in plan.crossings:  # at the zebra, on the side that the camera car leaves free
        for s in (a - 1.8, b + 1.6):
            while rng.random() < plan.people:
                side = -plan.drive_side
                t = side * float(rng.uniform(1.2, plan.edge(side) + 0.5))
                add(
                    s + float(rng.normal(0, 0.6)),
                    t,
                    0.0,
                    float(rng.choice([-1, 1])) * np.pi / 2,
                    0.0,
                    True,
                )
