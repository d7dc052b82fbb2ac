"""Triangle meshes with texture coordinates, built from boxes, prisms, tubes and blobs."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ['Shape']

Vector = Sequence[float] | NDArray[np.float64]


class Shape:
    """A growing triangle mesh; every ``add`` returns the shape itself, so that they chain.

    Texture coordinates are in metres along the face unless given, so a texture's ``tile``
    (metres per repeat, see ``Stage.material``) gives it a real size.
    """

    def __init__(self) -> None:
        self._points: list[NDArray[np.float64]] = []
        self._uvs: list[NDArray[np.float64]] = []
        self._faces: list[NDArray[np.int64]] = []
        self._count = 0

    def __len__(self) -> int:
        return sum(len(f) for f in self._faces)

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
        """Vertices (V, 3) metres, triangles (F, 3), texture coordinates (V, 2)."""
        return (
            np.concatenate(self._points),
            np.concatenate(self._faces).astype(np.int32),
            np.concatenate(self._uvs),
        )

    def triangles(self, points: ArrayLike, faces: ArrayLike, uv: ArrayLike) -> 'Shape':
        """Add vertices (V, 3), triangles (F, 3) counted from 0, coordinates (V, 2)."""
        p = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        self._points.append(p)
        self._uvs.append(np.asarray(uv, dtype=np.float64).reshape(-1, 2))
        self._faces.append(np.asarray(faces, dtype=np.int64).reshape(-1, 3) + self._count)
        self._count += len(p)
        return self

    def quad(
        self, a: Vector, b: Vector, c: Vector, d: Vector, uv: ArrayLike | None = None
    ) -> 'Shape':
        """Add the quadrilateral a b c d, anticlockwise seen from its front."""
        p = np.array([a, b, c, d], dtype=np.float64)
        if uv is None:
            w = float(np.linalg.norm(p[1] - p[0]))
            h = float(np.linalg.norm(p[3] - p[0]))
            uv = np.array([[0, 0], [w, 0], [w, h], [0, h]])
        return self.triangles(p, [[0, 1, 2], [0, 2, 3]], uv)

    def box(self, centre: Vector, size: Vector, yaw: float = 0.0, bottom: bool = True) -> 'Shape':
        """Add a box of full ``size`` (x, y, z) turned by ``yaw`` radians about z."""
        x, y, z = (s / 2 for s in size)
        corners = np.array(
            [[-x, -y, -z], [x, -y, -z], [x, y, -z], [-x, y, -z]]
            + [[-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]]
        )
        c, s = np.cos(yaw), np.sin(yaw)
        corners = corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + np.asarray(centre)
        sides = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)]
        if bottom:
            sides.append((3, 2, 1, 0))
        for side in sides:
            self.quad(*(corners[i].tolist() for i in side))
        return self

    def loft(self, rings: ArrayLike, caps: bool = True) -> 'Shape':
        """Join rings (R, N, 3) of equally many points by a skin, with flat ends."""
        r = np.asarray(rings, dtype=np.float64)
        for lower, upper in pairwise(r):
            along = 0.0
            for i in range(len(lower)):
                j = (i + 1) % len(lower)
                w = float(np.linalg.norm(lower[j] - lower[i]))
                h = float(np.linalg.norm(upper[i] - lower[i]))
                uv = [[along, 0], [along + w, 0], [along + w, h], [along, h]]
                self.quad(lower[i], lower[j], upper[j], upper[i], uv)
                along += w
        if caps:
            for ring, flip in ((r[0], True), (r[-1], False)):
                middle = ring.mean(axis=0)
                p = np.vstack([ring, middle])
                n = len(ring)
                faces = [[i, (i + 1) % n, n] for i in range(n)]
                if flip:
                    faces = [[b, a, c] for a, b, c in faces]
                self.triangles(p, faces, p[:, :2] - middle[:2])
        return self

    def tube(
        self, start: Vector, end: Vector, radius: float, top: float | None = None, sides: int = 6
    ) -> 'Shape':
        """Add a tube from ``start`` to ``end`` whose radius goes from ``radius`` to ``top``."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        other = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.7 else np.array([0, 1.0, 0])
        u = np.cross(axis, other)
        u /= np.linalg.norm(u)
        v = np.cross(axis, u)
        angle = np.arange(sides) * 2 * np.pi / sides
        ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
        return self.loft([a + ring * radius, b + ring * (radius if top is None else top)])

    def blob(
        self,
        centre: Vector,
        radii: Vector,
        rng: np.random.Generator | None = None,
        rough: float = 0.0,
        rows: int = 5,
        columns: int = 8,
    ) -> 'Shape':
        """Add an ellipsoid, its radius varied by up to ``rough`` of itself."""
        polar = np.linspace(0.0, np.pi, rows + 1)
        around = np.arange(columns) * 2 * np.pi / columns
        p = np.stack(
            [
                np.outer(np.sin(polar), np.cos(around)),
                np.outer(np.sin(polar), np.sin(around)),
                np.outer(np.cos(polar), np.ones(columns)),
            ],
            axis=-1,
        )
        if rng is not None and rough > 0:
            bumps = 1 + rough * rng.uniform(-1, 1, p.shape[:2])
            bumps[0], bumps[-1] = bumps[0, 0], bumps[-1, 0]
            p = p * bumps[..., None]
        p = p * np.asarray(radii) + np.asarray(centre)
        index = np.arange((rows + 1) * columns).reshape(rows + 1, columns)
        right = np.roll(index, -1, axis=1)
        faces = []
        for i in range(rows):
            if i > 0:
                faces.append(np.stack([index[i], index[i + 1], right[i]], axis=1))
            if i < rows - 1:
                faces.append(np.stack([right[i], index[i + 1], right[i + 1]], axis=1))
        u = np.broadcast_to(around, (rows + 1, columns)) * radii[0]
        v = np.broadcast_to(polar[:, None], (rows + 1, columns)) * radii[2]
        uv = np.stack([u, v], axis=-1)
        return self.triangles(p, np.concatenate(faces), uv)

    def leaves(
        self, centres: NDArray[np.float64], size: tuple[float, float], rng: np.random.Generator
    ) -> 'Shape':
        """Add a randomly turned triangle of ``size`` (least, most; metres) at each centre."""
        n = len(centres)
        corner = rng.normal(size=(n, 3, 3))
        corner /= np.linalg.norm(corner, axis=2, keepdims=True)
        p = centres[:, None, :] + corner * rng.uniform(*size, (n, 1, 1))
        uv = rng.uniform(0, 8, (n, 1, 2)) + rng.uniform(0, 0.4, (n, 3, 2))
        return self.triangles(p, np.arange(n * 3), uv)

    def ribbon(
        self,
        left: NDArray[np.float64],
        right: NDArray[np.float64],
        along: NDArray[np.float64],
        across: tuple[float, float],
    ) -> 'Shape':
        """Add the band between two lines (N, 3); texture u runs across, v is ``along`` (N,)."""
        n = len(left)
        p = np.concatenate([left, right])
        i = np.arange(n - 1)
        faces = np.concatenate(
            [np.stack([i + n, i + n + 1, i], 1), np.stack([i, i + n + 1, i + 1], 1)]
        )
        uv = np.concatenate(
            [
                np.stack([np.full(n, across[0]), along], 1),
                np.stack([np.full(n, across[1]), along], 1),
            ]
        )
        return self.triangles(p, faces, uv)

    def merge(self, others: Iterable['Shape']) -> 'Shape':
        """Add the triangles of other shapes."""
        for other in others:
            if len(other):
                p, f, uv = other.arrays()
                self.triangles(p, f, uv)
        return self

    def moved(self, offset: Vector, yaw: float = 0.0, scale: Vector = (1, 1, 1)) -> 'Shape':
        """Return a copy scaled, then turned by ``yaw`` about z, then shifted."""
        p, f, uv = self.arrays()
        c, s = np.cos(yaw), np.sin(yaw)
        p = (p * np.asarray(scale)) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        return Shape().triangles(p + np.asarray(offset), f, uv)
