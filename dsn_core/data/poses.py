"""Rigid motions as published data sets write them, and where something was at a time.

A motion is (4, 4) float64: points (x, y, z, 1) of one frame to another's; all lengths in metres.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsn_core.data.sequencer import MAX_SPEED, MIN_RESET

__all__ = ['PoseTrack', 'inverse', 'of_euler', 'of_quaternion']


def of_quaternion(translation: ArrayLike, quaternion: ArrayLike) -> NDArray[np.float64]:
    """The motion of ``translation`` (3,) and ``quaternion`` (w, x, y, z; of any length but 0).

    Raises ValueError if they are not.
    """
    q = np.array(quaternion, dtype=np.float64).reshape(4)
    length = float(np.linalg.norm(q))
    if not 0 < length < np.inf:
        raise ValueError(f'{q.tolist()} is no rotation')
    (w, x, y, z) = q / length
    axis = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return _motion(np.eye(3) + 2 * w * axis + 2 * axis @ axis, translation)


def of_euler(xyzrpy: ArrayLike) -> NDArray[np.float64]:
    """The motion x, y, z, roll, pitch, yaw: turned about x, then y, then z, then moved.

    Raises ValueError if they are not six numbers.
    """
    x, y, z, roll, pitch, yaw = np.array(xyzrpy, dtype=np.float64).reshape(6)
    turns = [cv2.Rodrigues(axis)[0] for axis in np.diag([roll, pitch, yaw])]
    return _motion(turns[2] @ turns[1] @ turns[0], (x, y, z))


def inverse(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The motion back."""
    turn = motion[:3, :3].T
    return _motion(turn, -turn @ motion[:3, 3])


class PoseTrack:
    """Where something was, by time: poses with even motion between them.

    ``times`` (N,) microseconds, rising; ``poses`` (N, 4, 4), its frame to a fixed one; ``broken``
    (N - 1,): between which of them nothing is known. N is at least 1.
    """

    def __init__(
        self, times: NDArray[np.int64], poses: NDArray[np.float64], broken: NDArray[np.bool_]
    ) -> None:
        self._times, self._poses = times, poses
        self._broken = np.append(broken, True)  # nothing is known after the last
        self._piece = np.concatenate([[0], np.cumsum(broken)])

    @classmethod
    def through(cls, times: ArrayLike, poses: ArrayLike, max_gap: float) -> 'PoseTrack':
        """The track through ``poses`` (N, 4, 4) at ``times`` (N,), in any order.

        It is broken where two are more than ``max_gap`` seconds apart, or too far for their time.
        """
        rising, order = np.unique(np.asarray(times, dtype=np.int64), return_index=True)
        ordered = np.asarray(poses, dtype=np.float64)[order]
        spans = np.diff(rising) * 1e-6
        lengths = np.linalg.norm(np.diff(ordered[:, :3, 3], axis=0), axis=1)
        reset = lengths > np.maximum(MAX_SPEED * spans, MIN_RESET)
        return cls(rising, ordered, (spans > max_gap) | reset)

    @classmethod
    def of_steps(cls, spans: NDArray[np.int64], motions: NDArray[np.float64]) -> 'PoseTrack':
        """The track along ``motions`` (N, 4, 4), each over its span (N, 2) of microseconds.

        A motion takes points of the frame at ``spans[i, 0]`` to the frame at ``spans[i, 1]``,
        whichever is the later. The track is broken where one step doesn't begin as another ends;
        each piece has a fixed frame of its own. A step that overlaps the one before is left out.
        """
        start, end = spans.min(axis=1), spans.max(axis=1)
        times, poses, broken = [int(start.min())], [np.eye(4)], []
        for i in np.argsort(start, kind='stable'):
            if start[i] < times[-1] or end[i] == start[i]:
                continue
            if start[i] > times[-1]:
                times.append(int(start[i]))
                poses.append(np.eye(4))
                broken.append(True)
            onward = motions[i] if spans[i, 0] == end[i] else inverse(motions[i])
            times.append(int(end[i]))
            poses.append(poses[-1] @ onward)
            broken.append(False)
        return cls(np.array(times), np.stack(poses), np.array(broken, dtype=np.bool_))

    def piece(self, times: ArrayLike) -> NDArray[np.int64]:
        """(M,) the unbroken piece of the track that holds each of ``times`` (M,); -1: none."""
        before, exact = self._before(np.asarray(times, dtype=np.int64))
        known = (before >= 0) & (exact | ~self._broken[before])
        return np.where(known, self._piece[before], -1)

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Poses (M, 4, 4) at ``times`` (M,), each of which a piece must hold."""
        wanted = np.asarray(times, dtype=np.int64)
        before, exact = self._before(wanted)
        found = self._poses[before]
        for i in np.flatnonzero(~exact):
            first, second = self._times[before[i]], self._times[before[i] + 1]
            share = (wanted[i] - first) / (second - first)
            found[i] = _between(found[i], self._poses[before[i] + 1], share)
        return found

    def _before(self, times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Index of the last pose at or before each time, -1: none; and whether it is at it."""
        before = np.searchsorted(self._times, times, side='right') - 1
        return before, (before >= 0) & (self._times[before] == times)


def _between(
    one: NDArray[np.float64], other: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    turn, _ = cv2.Rodrigues(one[:3, :3].T @ other[:3, :3])
    part, _ = cv2.Rodrigues(share * turn)
    return _motion(one[:3, :3] @ part, (1 - share) * one[:3, 3] + share * other[:3, 3])


def _motion(turn: ArrayLike, translation: ArrayLike) -> NDArray[np.float64]:
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = np.asarray(translation, dtype=np.float64).reshape(3)
    return motion
