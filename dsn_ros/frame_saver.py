"""One frame for a bug report: the picture as it came, and all that was made of it, as a bag."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dsn_core import __version__
from dsn_ros.camera import Camera
from dsn_ros.messages import stamp_ns
from dsn_ros.pipeline import Perception
from dsn_ros.recorder import Recorder
from dsn_ros.results_folder import staged, write_json

__all__ = ['LastFrame', 'save_frame']


class LastFrame(NamedTuple):
    """The frame that was published last: the message that it came in, and what was seen in it."""

    message: Any
    seen: Perception
    latency_ms: dict[str, float]


def save_frame(
    folder: Path,
    name: str,
    topic: str,
    camera: Camera | None,
    class_names: tuple[str, ...],
    frame: LastFrame,
    about: Mapping[str, Any],
) -> Path:
    """Write ``frame`` of the camera ``name`` into a folder of its own below ``folder``.

    ``perception.mcap`` holds the message that came on ``topic``, the calibration beside it, which
    ``dsn replay`` takes again, and the outputs; ``about.json`` the latencies, versions and
    ``about``. Returns the new folder; raises UserError where it cannot be written.
    """
    from rclpy.serialization import serialize_message

    stamp = stamp_ns(frame.message.header)
    out = folder / '_'.join(['frame', *([name] if name else []), str(stamp)])
    with staged(out) as beside:
        with Recorder(beside, class_names, points=True) as recorder:
            kind = f'sensor_msgs/msg/{type(frame.message).__name__}'
            recorder.write_input(topic, kind, bytes(serialize_message(frame.message)), stamp)
            if camera is not None:
                base = re.sub('/compressed$', '', topic).rpartition('/')[0]
                recorder.write_camera_info(f'{base}/camera_info', camera, frame.seen)
            recorder.write(frame.seen)
        write_json(
            beside / 'about.json',
            {'version': __version__, 'latency_ms': frame.latency_ms, **about},
        )
    return out
