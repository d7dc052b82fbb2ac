"""The lifecycle node ``perception``: camera images in, depth, labels and points out.

It only holds the parts together: ``parameters`` declares, ``worker`` sees (in a thread of its
own, newest frame first), ``topics`` publishes and ``diagnostics`` judges.
"""

import logging
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsn_ros import parameters
from dsn_ros.camera import Camera
from dsn_ros.diagnostics import NodeFacts, Statistics, camera_state, diagnose, engine_facts
from dsn_ros.engines import Engine, load_engine
from dsn_ros.errors import MessageError, UserError
from dsn_ros.messages import (
    Converter,
    camera_info_fields,
    compressed_to_rgb,
    cv_bridge_converter,
    image_to_rgb,
)
from dsn_ros.pipeline import Perception, Pipeline, PipelineOptions
from dsn_ros.ros_logging import RosLogHandler
from dsn_ros.scale import ScaleOptions
from dsn_ros.topics import OutputTopics, diagnostic_array, image_topic, subscribe
from dsn_ros.worker import Settings, Worker

__all__ = ['PerceptionNode', 'main']

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
LOGGERS = ('dsn_ros', 'dsn_core')


@dataclass(frozen=True)
class Configured:
    """What exists between configuring and cleaning up."""

    engine: Engine
    topics: OutputTopics
    camera_info: Any  # the subscription
    converter: Converter | None
    compressed: bool


class PerceptionNode(LifecycleNode):  # type: ignore[misc,unused-ignore]
    """The node; its parameters are the table in ``dsn_ros.parameters``."""

    def __init__(self, **options: Any) -> None:
        super().__init__('perception', **options)
        self._log_handler = RosLogHandler(self.get_logger(), self.context.ok)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._log_handler)
            logging.getLogger(name).setLevel(logging.INFO)
        self._parameter_problems = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._problem = ''
        self._configured: Configured | None = None
        self._worker: Worker | None = None
        self._images: Any = None
        self._camera: Camera | None = None
        self._statistics = Statistics()
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # By the wall: with use_sim_time and no /clock the ROS clock stands still, and just then
        # diagnostics are wanted.
        self._timer = self.create_timer(
            self._value('diagnostics_period'),
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._jump = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=self._on_clock_jump,
        )

    # Lifecycle

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the engine and make the topics; FAILURE, and alive, if a parameter is wrong."""
        try:
            if self._parameter_problems:
                raise UserError('; '.join(self._parameter_problems.values()))
            self._configure()
        except UserError as error:
            self._problem = f'not configured: {error}'
            self.get_logger().error(self._problem)
            return FAILURE
        except Exception as error:  # rclpy would swallow it without a word
            if not self.context.ok():
                return FAILURE  # stopped while loading: nothing can be made any more
            self._problem = f'not configured: {type(error).__name__}: {error}'
            self.get_logger().error(traceback.format_exc())
            return FAILURE
        self._problem = ''
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Begin to listen to the camera."""
        done = super().on_activate(state)
        configured = self._configured
        if done != SUCCESS or configured is None:
            return done
        names = configured.engine.metadata.class_names
        configured.topics.publish_label_info(names, self._now_ns())
        self._worker = Worker(
            Pipeline(configured.engine),
            configured.topics,
            self._decode,
            self._settings,
            self._now_ns,
            self._statistics,
            self._publish_status,
        )
        message = CompressedImage if configured.compressed else Image
        topic = image_topic(self, configured.compressed)
        self._images = subscribe(self, message, topic, self._worker.put)
        self.get_logger().info(f'active: waiting for images on {topic}')
        return done

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Stop listening; the frame that is being worked on is finished first."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Give back the engine and the topics."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """Give back everything, from any state."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where it can be tried again."""
        self._release()
        super().on_error(state)
        return SUCCESS

    def destroy_node(self) -> None:
        """Give back everything, logging included."""
        self._release()
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._log_handler)
        self._jump.unregister()
        super().destroy_node()

    def _configure(self) -> None:
        model = self._value('model')
        engine = load_engine(
            Path(model).expanduser() if model else None,
            self._value('engine'),
            self._value('precision'),
            self._value('threads') or None,
        )
        try:
            converter = cv_bridge_converter()
        except MessageError as error:
            converter = None  # the common encodings need none
            self.get_logger().warning(str(error))
        self._camera = None
        self._configured = Configured(
            engine,
            OutputTopics(self),
            subscribe(self, CameraInfo, 'camera_info', self._on_camera_info),
            converter,
            self._value('image_transport') == 'compressed',
        )

    def _stop(self) -> None:
        if self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _release(self) -> None:
        self._stop()
        configured, self._configured = self._configured, None
        if configured is not None:
            self.destroy_subscription(configured.camera_info)
            configured.topics.destroy()
            configured.engine.close()

    # Messages in

    def _on_camera_info(self, message: Any) -> None:
        # Cached rather than matched by stamp: rclpy's message_filters stop matching for ever
        # when time jumps back, and a camera's calibration hardly changes.
        try:
            self._camera = Camera.from_info(camera_info_fields(message))
        except (MessageError, ValueError) as error:
            self.get_logger().warning(f'camera_info not used: {error}', throttle_duration_sec=10.0)

    def _on_clock_jump(self, _jump: Any) -> None:
        self._statistics.clock_jumped()
        if self._worker is not None:
            self._worker.forget()

    # What the worker asks for, from its own thread

    def _decode(self, message: Any) -> NDArray[np.uint8]:
        configured = self._configured
        if configured is None or configured.compressed:
            return compressed_to_rgb(message)
        return image_to_rgb(message, configured.converter)

    def _settings(self) -> Settings:
        options = PipelineOptions(
            output_size=self._value('output_size'),
            min_confidence=self._value('min_confidence'),
            fov_degrees=self._value('camera.fov_degrees'),
            scale=ScaleOptions(self._value('scale.mode'), self._value('scale.factor')),
        )
        return Settings(options, self._value('max_age'), self._camera)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    # Parameters

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _on_set_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        for change in changes:
            in_use = None if self._configured is None else self.get_parameter_or(change.name).value
            reason = parameters.refusal(change.name, change.value, in_use)
            if reason is not None:
                return SetParametersResult(successful=False, reason=reason)
        for change in changes:
            self._parameter_problems.pop(change.name, None)
            if change.name == 'diagnostics_period':
                self._timer.timer_period_ns = int(change.value * 1e9)
        return SetParametersResult(successful=True)

    # Diagnostics and status

    def _camera_state(self) -> str:
        topic = str(self.resolve_topic_name('camera_info'))
        size = None if self._worker is None else self._worker.image_size
        return camera_state(topic, self._camera, size, self._value('camera.fov_degrees'))

    def _publish_status(self, seen: Perception, latency: dict[str, float], age: float) -> None:
        configured = self._configured
        if configured is None:
            return
        frames_in, frames_out, dropped = self._statistics.totals()
        configured.topics.publish_status(
            seen,
            **engine_facts(configured.engine),
            camera_info=self._camera_state(),
            age=age,
            stages=list(latency),
            latency_ms=list(latency.values()),
            frames_in=frames_in,
            frames_out=frames_out,
            frames_dropped=dropped,
        )

    def _facts(self) -> NodeFacts:
        configured = self._configured
        if configured is None:
            return NodeFacts('unconfigured', self._problem)
        topics = configured.topics
        return NodeFacts(
            state='inactive' if self._worker is None else 'active',
            image_topic=image_topic(self, configured.compressed),
            engine=engine_facts(configured.engine),
            camera_state=self._camera_state(),
            listened_to=topics.any_wanted(),
            points_wanted=topics.wanted('points'),
            notes={} if topics.has_status else {'status topic': 'none: dsn_msgs is not built'},
        )

    def _publish_diagnostics(self) -> None:
        facts = self._facts()
        diagnosis = diagnose(facts, self._statistics.report())
        name = f'{self.get_fully_qualified_name().lstrip("/")}: depth and labels'
        stamp = self.get_clock().now().to_msg()
        device = facts.engine.get('device', '')
        self._diagnostics.publish(diagnostic_array(diagnosis, name, device, stamp))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    # rclpy's own handler ends the spinning. Python's on top of it would raise KeyboardInterrupt
    # wherever we are.
    signal.signal(signal.SIGINT, lambda *_: None)
    rclpy.init(args=None if args is None else list(args))
    context = rclpy.get_default_context()
    node = None
    try:
        node = PerceptionNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while context.ok():
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
        if node is not None:
            node.destroy_node()
        context.try_shutdown()
        # Ctrl-C reaches a launched node twice, from the terminal and from launch, and the second
        # may come as late as the interpreter's end, which resets all handlers but "ignore".
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
