"""Where the camera of a bag is above the ground and in the world, at any frame's time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsn_ros.bag_tf import ODOMETRY, read_tree
from dsn_ros.bags import Bag
from dsn_ros.errors import BagError
from dsn_ros.scale import ScaleOptions

__all__ = ['BagPoses']

Transform = NDArray[np.float64]

_GROUND = ('base_footprint',)  # REP 120: z = 0 is the floor
_WORLD = ('odom', 'map', 'world')  # REP 105; odom first: it does not jump


class BagPoses:
    """Looks up the transforms that ``options`` need in a bag's tf and odometry, read as a whole.

    Where they need none, the bag is not read, and nothing is known.
    """

    def __init__(self, bag: Bag, options: ScaleOptions) -> None:
        self._bag = bag
        self._options = options
        self._tree = None
        if options.measured:
            self._tree = read_tree(
                bag, [t.name for t in bag.topics.values() if t.type == ODOMETRY]
            )

    def to_ground(self, frame_id: str, stamp_ns: int) -> Transform | None:
        """(4, 4): points of the camera → of base_footprint; None: not known, or not needed.

        Raises BagError where the scale can't do without and tf has no base_footprint.
        """
        if self._tree is None or self._options.mode != 'ground':
            return None
        base = self._above(frame_id, _GROUND)
        if base is None:
            if self._options.camera_height > 0:
                return None
            raise BagError(
                f'tf of {self._bag.path} has no base_footprint above {frame_id or "the camera"}, '
                'which tells how high the camera is: give --camera-height'
            )
        return self._lookup(base, frame_id, stamp_ns)

    def to_odom(self, frame_id: str, stamp_ns: int) -> Transform | None:
        """(4, 4): points of the camera → of odom; None: not known then, or not needed.

        Raises BagError where the scale needs it and nothing tells how the camera moves.
        """
        if self._tree is None or self._options.mode != 'odometry':
            return None
        world = self._above(frame_id, _WORLD) or self._tree.chain(_bare(frame_id))[-1]
        if not self._tree.moves(_bare(frame_id), world):
            raise BagError(
                f'nothing in {self._bag.path} tells how {frame_id or "the camera"} moves: record '
                '/tf with odom, or nav_msgs/Odometry and /tf_static'
            )
        return self._lookup(world, frame_id, stamp_ns)

    def _above(self, frame_id: str, names: Sequence[str]) -> str | None:
        """The frame of one of ``names``, in whichever namespace, that the camera hangs on."""
        assert self._tree is not None
        chain = self._tree.chain(_bare(frame_id))
        return next((f for name in names for f in chain if f.rpartition('/')[2] == name), None)

    def _lookup(self, target: str, frame_id: str, stamp_ns: int) -> Transform | None:
        assert self._tree is not None
        (found,) = self._tree.lookup(target, _bare(frame_id), np.array([stamp_ns], np.int64))
        return found if np.isfinite(found).all() else None


def _bare(frame_id: str) -> str:
    return frame_id.lstrip('/')
