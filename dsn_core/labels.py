"""The label set: what each class id means, its colour, and what it is to a robot.

The ids and colours are Cityscapes' nineteen train ids, which the paper's teacher
(Mask2Former trained on Cityscapes) speaks. 255 is unlabelled, as in Cityscapes and in
``vision_msgs/VisionClass``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ['CITYSCAPES', 'UNLABELLED', 'LabelClass', 'LabelSet']

UNLABELLED = 255
ROLES = ('ground', 'obstacle', 'dynamic', 'sky')


@dataclass(frozen=True)
class LabelClass:
    """One class of a label set.

    ``roles`` says what the class is to a robot: ``ground`` can carry it or is flat terrain,
    ``obstacle`` stops it, ``dynamic`` moves by itself (and is an obstacle as well), ``sky`` has
    no depth.
    """

    id: int
    name: str
    colour: tuple[int, int, int]  # RGB
    roles: frozenset[str]


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of classes whose ids are 0 to n - 1."""

    name: str
    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        if ids != list(range(len(ids))):
            raise ValueError(f'label set {self.name}: ids must be 0 to n - 1 in order, got {ids}')
        if len(ids) > UNLABELLED:
            raise ValueError(
                f'label set {self.name}: at most {UNLABELLED} classes, got {len(ids)}'
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return tuple(c.name for c in self.classes)

    def id_of(self, name: str) -> int:
        """Id of the class called ``name``; raises KeyError naming the classes there are."""
        for c in self.classes:
            if c.name == name:
                return c.id
        raise KeyError(f'no class {name!r} in {self.name}: it has {", ".join(self.names)}')

    def with_role(self, role: str) -> tuple[int, ...]:
        """Ids of the classes that play ``role`` (ground, obstacle, dynamic or sky)."""
        if role not in ROLES:
            raise ValueError(f'no role {role!r}: choose from {", ".join(ROLES)}')
        return tuple(c.id for c in self.classes if role in c.roles)

    def mask(self, labels: NDArray[np.uint8], role: str) -> NDArray[np.bool_]:
        """Where ``labels`` (any shape, uint8) is of a class that plays ``role``."""
        table = np.zeros(256, dtype=np.bool_)
        table[list(self.with_role(role))] = True
        return table[labels]

    def palette(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 RGB: the colour of every id; black where there is no class."""
        table = np.zeros((256, 3), dtype=np.uint8)
        for c in self.classes:
            table[c.id] = c.colour
        return table

    def colourise(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint ``labels`` (H, W) uint8 as (H, W, 3) uint8 RGB."""
        import cv2  # here: ids and names are asked for where nothing is painted

        # The colour map's order of channels is its own affair: what is put in comes out.
        painted = cv2.applyColorMap(labels, self.palette()[:, None])
        return painted.astype(np.uint8, copy=False)


def _classes(
    rows: list[tuple[str, tuple[int, int, int], str]],
) -> tuple[LabelClass, ...]:
    return tuple(
        LabelClass(i, name, colour, frozenset(roles.split()))
        for i, (name, colour, roles) in enumerate(rows)
    )


CITYSCAPES = LabelSet(
    'cityscapes',
    _classes(
        [
            ('road', (128, 64, 128), 'ground'),
            ('sidewalk', (244, 35, 232), 'ground'),
            ('building', (70, 70, 70), 'obstacle'),
            ('wall', (102, 102, 156), 'obstacle'),
            ('fence', (190, 153, 153), 'obstacle'),
            ('pole', (153, 153, 153), 'obstacle'),
            ('traffic light', (250, 170, 30), 'obstacle'),
            ('traffic sign', (220, 220, 0), 'obstacle'),
            ('vegetation', (107, 142, 35), 'obstacle'),
            ('terrain', (152, 251, 152), 'ground'),
            ('sky', (70, 130, 180), 'sky'),
            ('person', (220, 20, 60), 'obstacle dynamic'),
            ('rider', (255, 0, 0), 'obstacle dynamic'),
            ('car', (0, 0, 142), 'obstacle dynamic'),
            ('truck', (0, 0, 70), 'obstacle dynamic'),
            ('bus', (0, 60, 100), 'obstacle dynamic'),
            ('train', (0, 80, 100), 'obstacle dynamic'),
            ('motorcycle', (0, 0, 230), 'obstacle dynamic'),
            ('bicycle', (119, 11, 32), 'obstacle dynamic'),
        ]
    ),
)
