"""The program ``perception_node``: runs the node until it is told to stop, and ends in peace.

Nothing slow is imported here, so that a signal finds its handler from the first moment on.
"""

import os
import signal
import sys
import threading
from types import FrameType

__all__ = ['main']

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run the node until SIGINT or SIGTERM; exits with 0 whenever they come."""
    for number in _SIGNALS:
        signal.signal(number, _leave)
    # Half a second and more, in which there is nothing yet that would have to be put away.
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from dsn_ros.perception_node import PerceptionNode
    from dsn_ros.watched_engine import left_behind

    # rclpy's own handlers, on top of these, end the spinning; they come late in its init.
    stopped = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stopped.set())
    rclpy.init()
    context = rclpy.get_default_context()
    node = None
    try:
        node = PerceptionNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while context.ok() and not stopped.is_set():
            try:
                executor.spin()
            except RuntimeError as error:
                # Up to Jazzy, rclpy lets a request for a transition that the state does not have
                # end the process.
                if not context.ok():
                    break
                if 'transition' not in str(error):
                    raise
                node.get_logger().error(str(error))
    except ExternalShutdownException:
        pass
    except Exception:
        if context.ok():  # else: stopped while something was being made
            raise
    finally:
        context.try_shutdown()
        if node is not None:
            node.destroy_node()
        # Ctrl-C reaches a launched node twice, from the terminal and from launch, and the second
        # may come as late as the interpreter's end, which resets all handlers but "ignore".
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    if left_behind():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == '__main__':
    raise SystemExit(main())
