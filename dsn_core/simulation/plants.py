"""Trees (leafy, bare, conifer, palm), bushes, shrubs and hedges."""

import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.kit import Kit, Part
from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour

__all__ = ['bush', 'hedge', 'shrub', 'tree']


def _twigs(
    wood: Shape,
    rng: np.random.Generator,
    start: NDArray[np.float64],
    heading: NDArray[np.float64],
    length: float,
    radius: float,
    depth: int,
    tips: list[NDArray[np.float64]],
) -> None:
    """Grow a branch and its branches; collects where they end."""
    end = start + heading * length
    wood.tube(start.tolist(), end.tolist(), radius, radius * 0.6, sides=5 if depth > 1 else 3)
    tips.append(end)
    if depth == 0:
        return
    for _ in range(int(rng.integers(2, 5))):
        turn = heading + rng.normal(0, 0.55, 3) + np.array([0, 0, 0.12])
        turn /= np.linalg.norm(turn)
        origin = start + heading * length * rng.uniform(0.55, 1.0)
        _twigs(
            wood,
            rng,
            origin,
            turn,
            length * rng.uniform(0.55, 0.8),
            radius * 0.55,
            depth - 1,
            tips,
        )


def _ball(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    v = rng.normal(size=(count, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return np.asarray(v * rng.uniform(0.55, 1.0, (count, 1)) ** 0.5)


def tree(name: str, rng: np.random.Generator, leaf: str, kind: str | None = None) -> Kit:
    """Make a tree of ``kind`` leafy, bare, conifer or palm; ``leaf`` is its leaf material."""
    kind = kind or str(rng.choice(['leafy', 'bare', 'conifer', 'palm'], p=[0.56, 0.2, 0.14, 0.1]))
    brown = float(rng.uniform(0.12, 0.42))
    bark: Colour = (brown, brown * 0.85, brown * 0.7)
    wood, crown = Shape(), Shape()
    tall = rng.uniform(4.5, 13)
    if kind in ('leafy', 'bare'):
        tips: list[NDArray[np.float64]] = []
        trunk = tall * rng.uniform(0.22, 0.38)
        up = np.array([0.0, 0.0, 1.0])
        wood.tube((0, 0, -0.5), (0, 0, trunk), 0.025 * tall, 0.017 * tall, sides=7)
        depth = 3 if kind == 'bare' else 1
        for _ in range(int(rng.integers(3, 6))):
            lean = up + rng.normal(0, 0.45, 3) * [1, 1, 0.3]
            lean /= np.linalg.norm(lean)
            _twigs(
                wood,
                rng,
                up * trunk * rng.uniform(0.8, 1.0),
                lean,
                tall * 0.27,
                0.011 * tall,
                depth,
                tips,
            )
        if kind == 'leafy':
            sparse = rng.uniform(0.5, 1.0)
            for tip in tips[:: max(1, len(tips) // 9)]:
                r = np.array([1.0, 1.0, 0.8]) * tall * rng.uniform(0.1, 0.17)
                crown.blob(tip, r * 0.72, rng, 0.25)
                crown.leaves(
                    tip + _ball(rng, int(70 * sparse)) * r * 1.15, (0.03 * tall, 0.055 * tall), rng
                )
    elif kind == 'conifer':
        wood.tube((0, 0, -0.5), (0, 0, tall * 0.9), 0.02 * tall, 0.005 * tall)
        slim = rng.uniform(0.13, 0.26)
        for z in np.linspace(0.15, 0.95, 7):
            r = tall * slim * (1.02 - z)
            crown.blob((0, 0, z * tall), (r * 0.7, r * 0.7, tall * 0.11), rng, 0.3)
            leaves = _ball(rng, 45) * [r * 1.1, r * 1.1, tall * 0.07] + [0, 0, z * tall]
            crown.leaves(leaves, (0.02 * tall, 0.05 * tall), rng)
    else:
        tall = rng.uniform(6, 14)
        lean = rng.normal(0, 0.04, 2) * tall
        top = np.array([lean[0], lean[1], tall])
        wood.tube((0, 0, -0.5), top.tolist(), 0.2, 0.14, sides=7)
        for a in np.arange(14) * 2.4:
            reach, rise = rng.uniform(1.6, 2.6), rng.uniform(-0.4, 1.0)
            side = np.array([-np.sin(a), np.cos(a), 0.0])
            out = np.array([np.cos(a), np.sin(a), 0.0])
            middle = top + out * reach * 0.55 + [0, 0, rise * 0.9]
            end = top + out * reach + [0, 0, rise * 0.4 - 0.7]
            crown.quad(
                top - side * 0.08, middle - side * 0.3, middle + side * 0.3, top + side * 0.08
            )
            crown.quad(
                middle - side * 0.3, end - side * 0.03, end + side * 0.03, middle + side * 0.3
            )
    green = tuple(rng.uniform(0.75, 1.0, 3).tolist())
    parts = (
        Part(wood, 'vegetation', bark),
        Part(crown, 'vegetation', (green[0], green[1], green[2]), material=leaf),
    )
    return Kit(name, parts, tall * 0.4, tall * 0.4, tall)


def bush(name: str, rng: np.random.Generator, leaf: str) -> Kit:
    """Make a bush of a few leafy balls, 0.6 to 2.5 m high."""
    tall = rng.uniform(0.6, 2.5)
    shape = Shape()
    for _ in range(int(rng.integers(2, 5))):
        c = np.array([*rng.normal(0, 0.4, 2) * tall, tall * rng.uniform(0.3, 0.55)])
        r = tall * rng.uniform(0.35, 0.5)
        shape.blob(c, (r, r, r * 0.9), rng, 0.2)
        shape.leaves(c + _ball(rng, 60) * r * 1.15, (0.08, 0.2), rng)
    part = Part(shape, 'vegetation', (0.9, 0.92, 0.9), material=leaf)
    return Kit(name, (part,), tall, tall, tall)


def shrub(name: str, rng: np.random.Generator, leaf: str) -> Kit:
    """Make a tall shrub, ragged and leafy from the ground up, 1.5 to 5.5 m high."""
    tall = rng.uniform(1.5, 5.5)
    slim = rng.uniform(0.14, 0.26) * tall
    shape = Shape()
    for up in np.sort(rng.uniform(0.08, 0.85, int(rng.integers(7, 12)))):
        r = np.array([1.0, 1.0, 0.85]) * tall * rng.uniform(0.1, 0.19)
        c = np.array([*rng.normal(0, 0.6, 2) * slim, tall * up])
        shape.blob(c, r, rng, 0.3)
        shape.leaves(c + _ball(rng, 40) * r * 1.3, (0.03 * tall, 0.07 * tall), rng)
    shade = float(rng.uniform(0.6, 1.0))
    part = Part(shape, 'vegetation', (shade, shade, shade * 0.95), material=leaf)
    return Kit(name, (part,), 2 * slim, 2 * slim, tall)


def hedge(length: float, height: float, rng: np.random.Generator) -> Shape:
    """Return a clipped hedge along x, centred, 0.8 m thick, with a ragged surface."""
    shape = Shape().box((0, 0, height / 2 - 0.2), (length, 0.7, height + 0.4))
    count = int(length * height * 16)
    spread = rng.uniform(-0.5, 0.5, (count, 3)) * [length, 0.86, height] + [0, 0, height / 2]
    outside = np.argmax(np.abs(rng.uniform(-1, 1, (count, 2))), axis=1) == 0
    spread[outside, 1] = np.sign(spread[outside, 1]) * 0.38
    spread[~outside, 2] = height
    return shape.leaves(spread, (0.06, 0.16), rng)
