"""Where frames are to each other at any time of a bag: tf without ROS, known as a whole.

Other than a robot's tf buffer this one has read the whole bag, so that what is stamped before a
transform arrives is no matter, and a transform between two messages is interpolated.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.bags import Bag
from dsn_ros.errors import BagError, MessageError
from dsn_ros.message_builders import Transform
from dsn_ros.messages import stamp_ns

__all__ = ['ODOMETRY', 'TRANSFORMS', 'TransformTree', 'read_tree', 'transforms_in']

ODOMETRY = 'nav_msgs/msg/Odometry'
TRANSFORMS = ('tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage')
MAX_GAP_NS = 500_000_000  # over a longer silence nobody knows where a moving frame was

_logger = logging.getLogger(__name__)


def transforms_in(message: Any) -> Iterator[Transform]:
    """The transforms that a TFMessage, or a nav_msgs/Odometry (one: its pose), states.

    Frames without the leading slash of ROS 1. Raises MessageError for a stamp that is no time.
    """
    if hasattr(message, 'transforms'):
        for each in message.transforms:
            move, turn = each.transform.translation, each.transform.rotation
            yield _transform(each.header, each.child_frame_id, move, turn)
    else:
        pose = message.pose.pose
        yield _transform(message.header, message.child_frame_id, pose.position, pose.orientation)


class TransformTree:
    """Frames and how they lie to each other.

    ``moving``: transforms by time, interpolated between stamps at most ``max_gap_ns`` apart.
    ``fixed``: static ones; each holds until it is stated anew, the first one from the beginning.
    A child that has several parents keeps the one that is stated most often.
    """

    def __init__(
        self,
        moving: Iterable[Transform],
        fixed: Iterable[Transform] = (),
        max_gap_ns: int = MAX_GAP_NS,
    ) -> None:
        by_child: dict[str, list[tuple[bool, Transform]]] = defaultdict(list)
        for is_fixed, transforms in ((False, moving), (True, fixed)):
            for transform in transforms:
                if np.isfinite([*transform[3], *transform[4]]).all():
                    by_child[transform[2]].append((is_fixed, transform))
        self._edges = {child: _edge(stated, max_gap_ns) for child, stated in by_child.items()}

    def chain(self, frame: str) -> list[str]:
        """``frame``, its parent, the parent's parent, ... up to the root of its tree."""
        frames = [frame]
        while (edge := self._edges.get(frames[-1])) is not None and edge.parent not in frames:
            frames.append(edge.parent)
        return frames

    def connected(self, one: str, other: str) -> bool:
        """Whether the two frames are in one tree."""
        return self.chain(one)[-1] == self.chain(other)[-1]

    def common(self, one: str, other: str) -> str:
        """The nearest frame above (or equal to) both; raises BagError if they are not connected.

        The text names both frames and what each of them hangs on.
        """
        above = self.chain(other)
        for frame in self.chain(one):
            if frame in above:
                return frame
        roots = ' and '.join(
            f'{each} (below {chain[-1]})' if len(chain) > 1 else f'{each} (below nothing)'
            for each, chain in ((one, self.chain(one)), (other, above))
        )
        raise BagError(
            f'tf does not connect the frames {roots}: record /tf and /tf_static with the bag'
        )

    def moves(self, frame: str, above: str) -> bool:
        """Whether any transform from ``frame`` up to ``above`` is a moving one."""
        chain = self.chain(frame)
        edges = (self._edges[each] for each in chain[: chain.index(above)])
        return any(not edge.fixed for edge in edges)

    def lookup(self, target: str, source: str, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M, 4, 4): at each of the times (M,), points of ``source`` → points of ``target``.

        NaN where a transform on the way is not known at that time. Raises BagError where the
        frames are not connected.
        """
        times = np.asarray(times_ns, dtype=np.int64)
        top = self.common(target, source)
        with np.errstate(invalid='ignore'):
            return _inverted(self._up(target, top, times)) @ self._up(source, top, times)

    def _up(self, frame: str, top: str, times: NDArray[np.int64]) -> NDArray[np.float64]:
        matrix = np.broadcast_to(np.eye(4), (len(times), 4, 4))
        while frame != top:
            edge = self._edges[frame]
            matrix = edge.at(times) @ matrix
            frame = edge.parent
        return matrix


def read_tree(bag: Bag, also: Iterable[str] = ()) -> TransformTree:
    """Read all transforms of ``bag``, and the poses of the Odometry topics ``also``.

    Static ones are those of topics whose name ends in ``tf_static``. Odometry counts only for
    frames that tf has no parent for: it is the same information.
    """
    topics = [t.name for t in bag.topics.values() if t.type in TRANSFORMS]
    moving: list[Transform] = []
    fixed: list[Transform] = []
    poses: list[Transform] = []
    for message in bag.messages([*topics, *also]):
        try:
            found = list(transforms_in(bag.deserialize(message)))
        except MessageError as error:
            _logger.warning('%s: %s', bag.path, error)
            continue
        if message.type == ODOMETRY:
            poses += found
        elif message.topic.rpartition('/')[2] == 'tf_static':
            fixed += found
        else:
            moving += found
    known = {child for _, _, child, _, _ in (*moving, *fixed)}
    moving += [pose for pose in poses if pose[2] not in known]
    return TransformTree(moving, fixed)


class _Edge:
    """A child frame in its parent, by time."""

    def __init__(self, fixed: bool, transforms: list[Transform], max_gap_ns: int) -> None:
        self.parent, self.fixed = transforms[0][1], fixed
        stamps = np.array([t[0] for t in transforms], dtype=np.int64)
        # Of several with one stamp the last counts, as in tf.
        self._stamps, back = np.unique(stamps[::-1], return_index=True)
        index = len(stamps) - 1 - back
        self._xyz = np.array([t[3] for t in transforms], dtype=np.float64)[index]
        turns = np.array([t[4] for t in transforms], dtype=np.float64)[index]
        norms = np.linalg.norm(turns, axis=1, keepdims=True)
        # All zeros is how careless publishers write "not turned".
        self._turns = np.where(norms > 0, turns / np.where(norms > 0, norms, 1), (0, 0, 0, 1))
        self._max_gap = max_gap_ns

    def at(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M, 4, 4) at ``times`` (M,); NaN where it is not known."""
        last = np.searchsorted(self._stamps, times, side='right') - 1
        if self.fixed:
            last = np.maximum(last, 0)
            return _matrices(self._xyz[last], self._turns[last])
        before = np.clip(last, 0, len(self._stamps) - 1)
        exact = self._stamps[before] == times
        after = np.where(exact, before, np.minimum(before + 1, len(self._stamps) - 1))
        gap = self._stamps[after] - self._stamps[before]
        known = exact | ((last >= 0) & (gap > 0) & (gap <= self._max_gap))
        share = np.where(exact, 0.0, (times - self._stamps[before]) / np.maximum(gap, 1))[:, None]
        xyz = self._xyz[before] * (1 - share) + self._xyz[after] * share
        matrices = _matrices(xyz, _slerp(self._turns[before], self._turns[after], share))
        matrices[~known] = np.nan
        return matrices


def _edge(stated: list[tuple[bool, Transform]], max_gap_ns: int) -> _Edge:
    parent = Counter(t[1] for _, t in stated).most_common(1)[0][0]
    ours = [(is_fixed, t) for is_fixed, t in stated if t[1] == parent]
    moving = [t for is_fixed, t in ours if not is_fixed]
    return _Edge(not moving, moving or [t for _, t in ours], max_gap_ns)


def _transform(header: Any, child: str, move: Any, turn: Any) -> Transform:
    xyz, quaternion = (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)
    parent = str(header.frame_id).lstrip('/')
    return stamp_ns(header), parent, str(child).lstrip('/'), xyz, quaternion


def _slerp(
    one: NDArray[np.float64], other: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Unit quaternions (M, 4) between ``one`` and ``other``, the short way (Shoemake 1985)."""
    cosine = np.sum(one * other, axis=1, keepdims=True)
    other = np.where(cosine < 0, -other, other)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    close = sine < 1e-6  # a straight line is as good, and does not divide by nothing
    safe = np.where(close, 1, sine)
    first = np.where(close, 1 - share, np.sin((1 - share) * angle) / safe)
    second = np.where(close, share, np.sin(share * angle) / safe)
    turned = first * one + second * other
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True))


def _matrices(xyz: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 4, 4) of translations (M, 3) and unit quaternions x y z w (M, 4)."""
    x, y, z, w = turns.T
    result = np.tile(np.eye(4), (len(xyz), 1, 1))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result[:, :3, :3] = np.moveaxis(np.array(rows), 2, 0)
    result[:, :3, 3] = xyz
    return result


def _inverted(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverses of rigid motions (M, 4, 4)."""
    result = np.tile(np.eye(4), (len(matrices), 1, 1))
    back = np.swapaxes(matrices[:, :3, :3], 1, 2)
    result[:, :3, :3] = back
    result[:, :3, 3] = -np.einsum('mij,mj->mi', back, matrices[:, :3, 3])
    return result
