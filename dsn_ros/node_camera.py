"""One camera of the node: its topics, its calibration, and what is counted of its frames."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.camera import Camera
from dsn_ros.diagnostics import NodeFacts, Statistics, camera_state, engine_facts
from dsn_ros.errors import MessageError
from dsn_ros.frame_saver import LastFrame, save_frame
from dsn_ros.messages import Converter, camera_info_fields, compressed_to_rgb, image_to_rgb
from dsn_ros.obstacles import ObstacleOptions
from dsn_ros.parameter_table import PARAMETERS
from dsn_ros.pipeline import Perception, Pipeline, PipelineOptions
from dsn_ros.sanity import SanityOptions
from dsn_ros.scale import ScaleOptions
from dsn_ros.tf_poses import TfPoses
from dsn_ros.topics import OutputTopics, image_topic, subscribe, unfit
from dsn_ros.watched_engine import WatchedEngine
from dsn_ros.worker import Channel, Settings

__all__ = ['NodeCamera']


class NodeCamera:
    """The inputs and outputs of the camera ``name`` ('': the only one, whose topics have none)."""

    def __init__(
        self,
        node: Any,
        name: str,
        engine: WatchedEngine,
        converter: Converter | None,
        poses: TfPoses,
    ) -> None:
        from sensor_msgs.msg import CameraInfo

        self.name = name
        self.statistics = Statistics()
        self.last: LastFrame | None = None
        self._node = node
        self._engine = engine
        self._converter = converter
        self._poses = poses
        self._prefix = f'{name}/' if name else ''
        self._compressed = self._value('image_transport') == 'compressed'
        self.image_topic = image_topic(node, self._compressed, self._prefix)
        self._camera: Camera | None = None
        self._image_size: tuple[int, int] | None = None  # of the last frame
        self._topics = OutputTopics(node, self._prefix, self._obstacles)
        self._images: Any = None
        info = f'{self._prefix}camera_info'
        self._info = subscribe(node, CameraInfo, info, self._on_camera_info)

    def channel(self, engine: WatchedEngine) -> Channel:
        """What the worker has to know of this camera, whose frames ``engine`` is to see."""
        self._engine = engine
        self._topics.publish_label_info(engine.metadata.class_names, self._now_ns())
        return Channel(
            Pipeline(engine),
            self._topics,
            self._decode,
            self._settings,
            self.statistics,
            self._published,
        )

    def start(self, put: Callable[[str, Any], None]) -> None:
        """Begin to listen to the camera, and hand each message to ``put`` with its name."""
        from sensor_msgs.msg import CompressedImage, Image

        message = CompressedImage if self._compressed else Image
        self.statistics.listening()
        self._images = subscribe(
            self._node, message, self.image_topic, lambda image: put(self.name, image)
        )

    def stop(self) -> None:
        """Stop listening to the camera."""
        if self._images is not None:
            self._node.destroy_subscription(self._images)
            self._images = None

    def destroy(self) -> None:
        """Take all topics away."""
        self.stop()
        self._node.destroy_subscription(self._info)
        self._topics.destroy()

    def facts(self, state: str) -> NodeFacts:
        """What diagnostics have to say of this camera in the lifecycle state ``state``."""
        notes = {} if self._topics.has_status else {'status topic': 'none: dsn_msgs is not built'}
        notes['engine restarts'] = str(self._engine.restarts)
        if self._engine.stuck:
            notes['engine calls that hang'] = str(self._engine.stuck)
        if self._engine.one_by_one:
            notes['cameras at once'] = 'one: there is no memory for more'
        return NodeFacts(
            state=state,
            image_topic=self.image_topic,
            engine=engine_facts(self._engine),
            camera_state=self._camera_state(),
            listened_to=self._topics.any_wanted(),
            points_wanted=self._topics.wanted('points'),
            obstacles_wanted=self._topics.wanted('obstacles'),
            trouble=self._engine.trouble,
            unfit=tuple(self._unfit()),
            notes=notes,
        )

    def _unfit(self) -> list[str]:
        inputs = [each for each in (self._info, self._images) if each is not None]
        return [line for each in inputs for line in unfit(self._node, each)] + self._topics.unfit()

    def save(self, folder: Path) -> Path:
        """Write the frame that was published last below ``folder``; returns where it is.

        Raises UserError where it cannot be written.
        """
        assert self.last is not None
        about = {
            'engine': engine_facts(self._engine),
            'scale': asdict(self.last.seen.scale),
            'parameters': {row.name: self._value(row.name) for row in PARAMETERS},
        }
        names = self._engine.metadata.class_names
        return save_frame(
            folder, self.name, self.image_topic, self._camera, names, self.last, about
        )

    # What the worker asks for, from its own thread

    def _decode(self, message: Any) -> NDArray[np.uint8]:
        image = (
            compressed_to_rgb(message)
            if self._compressed
            else image_to_rgb(message, self._converter)
        )
        self._image_size = (image.shape[0], image.shape[1])
        return image

    def _settings(self) -> Settings:
        options = PipelineOptions(
            output_size=self._value('output_size'),
            min_confidence=self._value('min_confidence'),
            fov_degrees=self._value('camera.fov_degrees'),
            rectify=self._value('rectify'),
            fit=self._value('fit'),
            lighting_hold=self._value('lighting.hold'),
            scale=ScaleOptions(
                self._value('scale.mode'),
                self._value('scale.factor'),
                self._value('scale.camera_height'),
                self._value('scale.window'),
                self._value('scale.hold'),
            ),
            sanity=SanityOptions(
                tuple(each for each in self._value('sanity.checks') if each),
                self._value('sanity.frozen_after'),
                self._value('sanity.scale_jump'),
            ),
        )
        mode, poses = options.scale.mode, self._poses
        settings = Settings(options, self._value('max_age'), self._camera)
        if mode == 'ground':
            return replace(settings, to_ground=poses.to_ground)
        return replace(settings, to_odom=poses.to_odom) if mode == 'odometry' else settings

    def _published(
        self, message: Any, seen: Perception, latency_ms: dict[str, float], age: float
    ) -> None:
        self.last = LastFrame(message, seen, latency_ms)
        frames_in, frames_out, dropped = self.statistics.totals()
        self._topics.publish_status(
            seen,
            **engine_facts(self._engine),
            camera_info=self._camera_state(),
            age=age,
            stages=list(latency_ms),
            latency_ms=list(latency_ms.values()),
            frames_in=frames_in,
            frames_out=frames_out,
            frames_dropped=dropped,
            engine_restarts=self._engine.restarts,
        )

    def _obstacles(self) -> ObstacleOptions:
        return ObstacleOptions(
            self._value('obstacles.max_range'),
            self._value('obstacles.min_confidence'),
            min(self._value('obstacles.voxel'), self._value('obstacles.max_range')),
            self._value('obstacles.max_points'),
        )

    # Calibration

    def _on_camera_info(self, message: Any) -> None:
        # Cached rather than matched by stamp: rclpy's message_filters stop matching for ever
        # when time jumps back, and a camera's calibration hardly changes.
        try:
            self._camera = Camera.from_info(camera_info_fields(message), self.image_topic)
        except (MessageError, ValueError) as error:
            self._node.get_logger().warning(
                f'camera_info not used: {error}', throttle_duration_sec=10.0
            )

    def _camera_state(self) -> str:
        topic = str(self._node.resolve_topic_name(f'{self._prefix}camera_info'))
        fov = self._value('camera.fov_degrees')
        return camera_state(topic, self._camera, self._image_size, fov)

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
