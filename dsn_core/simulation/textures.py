"""Procedural textures: (N, N, 3) uint8 sRGB pictures that tile, made from random numbers."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['asphalt', 'bricks', 'facade', 'foliage', 'grass', 'noise', 'paving', 'plaster', 'shop']

Texture = NDArray[np.uint8]
Colour = tuple[float, float, float]


def noise(rng: np.random.Generator, size: int, octaves: tuple[int, ...]) -> NDArray[np.float32]:
    """(size, size) float32 tiling noise of about zero mean and unit spread.

    ``octaves``: cells along one side of each layer; coarse layers weigh most.
    """
    out = np.zeros((size, size), np.float32)
    for k, cells in enumerate(octaves):
        grid = rng.normal(size=(cells, cells)).astype(np.float32)
        grid = np.pad(grid, 2, mode='wrap')
        step = size // cells
        big = cv2.resize(
            grid, ((cells + 4) * step, (cells + 4) * step), interpolation=cv2.INTER_CUBIC
        )
        out += big[2 * step : 2 * step + size, 2 * step : 2 * step + size] * 0.7**k
    return np.asarray(out / (out.std() + 1e-6), dtype=np.float32)


def _paint(base: Colour, value: NDArray[np.float32], spread: float = 0.0) -> NDArray[np.float32]:
    tint = np.array([1.0, 1.0 - spread, 1.0 - 2 * spread], np.float32)
    return np.asarray(base, np.float32) + value[..., None] * tint


def _finish(picture: NDArray[np.float32]) -> Texture:
    return np.asarray(np.clip(picture, 4, 252), dtype=np.uint8)


def asphalt(rng: np.random.Generator, size: int = 512) -> Texture:
    """Asphalt or concrete: grain, wheel tracks, stains, patches, cracks. u is across the road."""
    base = rng.uniform(55, 150)
    warm = rng.uniform(-6, 10)
    rough = noise(rng, size, (8, 16, 64)) * rng.uniform(2, 7)
    grain = rng.normal(0, rng.uniform(4, 12), (size, size)).astype(np.float32)
    picture = _paint((base + warm, base, base - warm), rough + grain)
    for _ in range(rng.integers(0, 5)):  # patches of another tone
        x, y = rng.integers(0, size - 60, 2)
        w, h = rng.integers(20, 60), rng.integers(30, size // 3)
        picture[y : y + h, x : x + w] += rng.uniform(-22, 12)
    for _ in range(rng.integers(0, 5)):  # cracks and sealed joints
        x, y = rng.integers(0, size, 2)
        walk = np.cumsum(rng.normal(0, 9, (14, 2)), axis=0) + (x, y)
        cv2.polylines(
            picture,
            [walk.astype(np.int32).reshape(-1, 1, 2)],
            False,
            [base * float(rng.uniform(0.62, 0.9))] * 3,
            1,
        )
    stains = np.clip(noise(rng, size, (4, 8)) - 1.0, 0, 1) * rng.uniform(0, 25)
    return _finish(picture - stains[..., None])


def grass(rng: np.random.Generator, size: int = 512) -> Texture:
    """Ground beside a road: lawn, dry grass, soil or gravel."""
    bases: list[Colour] = [
        (70, 92, 40),
        (95, 110, 55),
        (150, 135, 90),
        (120, 100, 75),
        (60, 75, 38),
    ]
    base = bases[rng.integers(len(bases))]
    value = noise(rng, size, (4, 16, 64)) * 9 + rng.normal(0, 16, (size, size)).astype(np.float32)
    picture = _paint(base, value)
    soil = np.clip(noise(rng, size, (8, 32)) - rng.uniform(0.3, 2.0), 0, 1)[..., None]
    return _finish(picture * (1 - soil) + soil * np.array([110, 90, 65], np.float32))


def foliage(rng: np.random.Generator, size: int = 256) -> Texture:
    """Leaves: strong contrast at leaf size; green, autumn or nearly black."""
    bases: list[Colour] = [
        (62, 84, 34),
        (48, 70, 30),
        (84, 104, 44),
        (104, 100, 40),
        (128, 92, 40),
        (36, 48, 28),
        (70, 78, 46),
    ]
    base = bases[rng.integers(len(bases))]
    value = noise(rng, size, (8, 32, 64)) * 20 + rng.normal(0, 10, (size, size))
    return _finish(_paint(base, value.astype(np.float32), 0.08))


def plaster(rng: np.random.Generator, base: Colour, size: int = 256) -> Texture:
    """Plaster or concrete: soft stains and a little grain over ``base`` (sRGB 0-255)."""
    value = noise(rng, size, (4, 8, 32)) * rng.uniform(2, 8) + rng.normal(0, 4, (size, size))
    return _finish(_paint(base, value.astype(np.float32)))


def bricks(rng: np.random.Generator, base: Colour, size: int = 256, rows: int = 16) -> Texture:
    """Courses of bricks, every other one shifted by half a brick."""
    picture = plaster(rng, base, size).astype(np.float32)
    step, long = size // rows, size // (rows // 2)
    for r in range(rows):
        shift = (r % 2) * long // 2
        for c in range(rows // 2):
            x = (c * long + shift) % size
            tone = rng.normal(0, 14)
            picture[r * step : (r + 1) * step, x : x + long] += tone
            picture[r * step : (r + 1) * step, x : x + 2] += 30
        picture[r * step : r * step + 2] += 30
    return _finish(picture)


def paving(rng: np.random.Generator, size: int = 512) -> Texture:
    """Sidewalk slabs, blocks, or plain asphalt and concrete without joints."""
    grey = rng.uniform(95, 185)
    warm = rng.uniform(0, 18)
    base = (grey + warm, grey, grey - warm)
    kind = rng.integers(3)
    if kind == 0:
        return plaster(rng, base, size)
    picture = plaster(rng, base, size).astype(np.float32)
    cells = int(rng.choice([4, 8, 16]))
    step = size // cells
    tones = rng.normal(0, 8, (cells, cells)).astype(np.float32)
    picture += np.kron(tones, np.ones((step, step), np.float32))[..., None]
    for i in range(cells):
        picture[i * step : i * step + 2] *= 0.75
        picture[:, i * step : i * step + 2] *= 0.75
    return _finish(picture)


def _wall(rng: np.random.Generator, base: Colour, size: int) -> NDArray[np.float32]:
    made = bricks(rng, base, size, 64) if rng.random() < 0.35 else plaster(rng, base, size)
    return made.astype(np.float32)


def facade(rng: np.random.Generator, base: Colour, size: int = 512) -> Texture:
    """A wall of four bays by four floors of windows; row 0 is the bottom.

    Frames, sills, blinds and glass vary, so that windows of one wall are not all alike.
    """
    picture = _wall(rng, base, size)
    bay = size // 4
    w, h = int(bay * rng.uniform(0.3, 0.85)), int(bay * rng.uniform(0.4, 0.8))
    x0, y0 = (bay - w) // 2, int((bay - h) * rng.uniform(0.3, 0.7))
    frame = np.array(rng.choice([235.0, 200.0, 90.0, 40.0])) + rng.normal(0, 6, 3)
    glass = np.array([55.0, 66.0, 78.0]) * rng.uniform(0.4, 2.2)
    band = rng.random() < 0.3  # ribbon windows of an office
    bars = int(rng.integers(0, 3))
    for i in range(4):
        for j in range(4):
            x, y = (0, i * bay + y0) if band else (j * bay + x0, i * bay + y0)
            wide = size if band else w
            if band and j:
                continue
            cv2.rectangle(picture, (x - 4, y - 4), (x + wide + 3, y + h + 3), frame.tolist(), -1)
            pane = glass * rng.uniform(0.6, 1.5)
            shade = np.linspace(0.75, 1.35, h, dtype=np.float32)[:, None, None]
            picture[y : y + h, x : x + wide] = pane * shade
            if rng.random() < 0.3:  # a blind half down
                cut = int(h * rng.uniform(0.2, 0.9))
                picture[y + h - cut : y + h, x : x + wide] = frame * 0.85
            for k in range(1, bars + 1 if not band else 12):
                xx = x + k * wide // (bars + 1 if not band else 12)
                picture[y : y + h, xx - 1 : xx + 2] = frame
        if rng.random() < 0.5:
            picture[i * bay : i * bay + 4] *= 0.8
    return _finish(picture)


def shop(rng: np.random.Generator, base: Colour, size: int = 512) -> Texture:
    """A ground floor: shop windows, doors, sign boards; row 0 is the pavement."""
    picture = _wall(rng, base, size)
    x = 10
    while x < size - 60:
        w = int(rng.integers(40, 150))
        w = min(w, size - 8 - x)
        top = int(size * rng.uniform(0.55, 0.75))
        pane = np.array([48.0, 55.0, 60.0]) * rng.uniform(0.4, 2.0)
        picture[20:top, x : x + w] = pane
        for _ in range(rng.integers(0, 6)):  # goods behind the glass
            a, b = int(rng.integers(x, x + w - 8)), int(rng.integers(24, top - 30))
            picture[b : b + int(rng.integers(8, 60)), a : a + 12] = rng.uniform(20, 220, 3)
        if rng.random() < 0.7:  # the board above
            board = rng.uniform(15, 240, 3)
            picture[top + 12 : top + 80, x - 4 : x + w + 4] = board
            for a in range(x + 8, x + w - 14, 14):
                if rng.random() < 0.8:
                    picture[top + 28 : top + 62, a : a + 8] = 255 - board
        x += w + int(rng.integers(12, 50))
    return _finish(picture)
