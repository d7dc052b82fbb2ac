"""Where the cameras are, from the robot's tf: above the ground, and in the world."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.poses import of_quaternion
from dsn_ros.errors import UserError

__all__ = ['TfPoses']

Transform = NDArray[np.float64]


class TfPoses:
    """Listens to tf on behalf of ``node``, from when a transform is asked for first.

    ``ground`` and ``odom``: names of the frames whose z = 0 is the ground and in which the world
    stands still. May be asked from any thread.
    """

    def __init__(self, node: Any, ground: str, odom: str) -> None:
        self._node = node
        self._ground = ground
        self._odom = odom
        self._buffer: Any = None
        self._listener: Any = None

    def listen(self) -> None:
        """Begin to listen. Raises UserError where tf2_ros is not installed."""
        if self._buffer is not None:
            return
        try:
            import tf2_ros
        except ImportError as error:
            raise UserError(
                f'tf2_ros does not import ({error}): install ros-$ROS_DISTRO-tf2-ros-py'
            ) from error
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, self._node)

    def to_ground(self, frame_id: str, stamp_ns: int) -> Transform | None:
        """(4, 4): points of the camera → of the ground's frame; None where tf does not say.

        The newest that tf has: cameras are bolted on.
        """
        del stamp_ns
        return self._lookup(self._ground, frame_id, 0)

    def to_odom(self, frame_id: str, stamp_ns: int) -> Transform | None:
        """(4, 4): points of the camera at ``stamp_ns`` → of the world's frame, or None."""
        return self._lookup(self._odom, frame_id, stamp_ns)

    def forget(self) -> None:
        """Drop what moves: time has jumped."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
            self._listener = self._buffer = None

    def _lookup(self, target: str, frame_id: str, stamp_ns: int) -> Transform | None:
        buffer = self._buffer
        if buffer is None:
            return None
        import tf2_ros
        from rclpy.time import Time

        try:
            found = buffer.lookup_transform(
                target, frame_id.lstrip('/'), Time(nanoseconds=stamp_ns)
            )
        except tf2_ros.TransformException:
            return None
        move, turn = found.transform.translation, found.transform.rotation
        return of_quaternion((move.x, move.y, move.z), (turn.w, turn.x, turn.y, turn.z))
