"""What is published of a frame: which messages there are, and what each is made of."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.visual import overlay
from dsn_ros.cloud import organised_cloud
from dsn_ros.message_builders import Messages
from dsn_ros.pipeline import Perception

__all__ = ['output_messages']


def output_messages(
    seen: Perception,
    build: Messages,
    wanted: Callable[[str], bool],
    obstacle_cloud: Callable[[Perception], NDArray[np.void]] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Each topic of a frame that is ``wanted`` and its message, made when it is asked for.

    All bear the stamp and the frame of ``seen``. Clouds and ``depth/camera_info`` need a
    calibrated camera, obstacles metric depth as well; ``obstacle_cloud`` finds them, where they
    are ``wanted`` at all.
    """
    header = build.header(seen.stamp_ns, seen.frame_id)
    if wanted('depth/image'):
        yield 'depth/image', build.image(seen.depth, '32FC1', header)
    if wanted('labels/image'):
        yield 'labels/image', build.image(seen.labels, 'mono8', header)
    if wanted('labels/confidence'):
        yield 'labels/confidence', build.image(seen.confidence, 'mono8', header)
    if wanted('overlay/image'):
        yield 'overlay/image', build.image(overlay(seen.image, seen.labels), 'rgb8', header)
    if seen.camera is None:
        return
    if wanted('depth/camera_info'):
        yield 'depth/camera_info', build.camera_info(seen.camera.to_info(), header)
    if wanted('points'):
        yield 'points', build.point_cloud(organised_cloud(seen), header)
    # Without metres there is none at all: a costmap would mark the wrong places. Nor of a withheld
    # frame: an empty one says that the camera is well and nothing stands in the way.
    metric = seen.scale.metric and not seen.faults
    if metric and obstacle_cloud is not None and wanted('obstacles'):
        yield 'obstacles', build.point_cloud(obstacle_cloud(seen), header)
