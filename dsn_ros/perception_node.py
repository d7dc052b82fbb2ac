"""The lifecycle node ``perception``: camera images in, depth, labels and points out.

It only holds the parts together: ``parameters`` declares, ``node_camera`` holds each camera's
topics, ``worker`` sees (in a thread of its own, newest frames first) and ``diagnostics`` judges.
"""

import logging
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from std_srvs.srv import Trigger

from dsn_ros import parameters
from dsn_ros.diagnostics import NodeFacts, Statistics, diagnose
from dsn_ros.engines import load_engine
from dsn_ros.errors import MessageError, UserError
from dsn_ros.messages import cv_bridge_converter
from dsn_ros.node_camera import NodeCamera
from dsn_ros.ros_logging import RosLogHandler
from dsn_ros.tf_poses import TfPoses
from dsn_ros.topics import diagnostic_status
from dsn_ros.watched_engine import WatchedEngine
from dsn_ros.worker import Worker

__all__ = ['PerceptionNode']

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
LOGGERS = ('dsn_ros', 'dsn_core')
TF_MODES = ('ground', 'odometry')  # of scale.mode
PATIENCE = 2.0  # seconds for the frame that is being worked on when the process is to end


@dataclass
class Configured:
    """What exists between configuring and cleaning up."""

    engine: WatchedEngine
    poses: TfPoses
    cameras: dict[str, NodeCamera]


class PerceptionNode(LifecycleNode):  # type: ignore[misc,unused-ignore]
    """The node; its parameters are the table in ``dsn_ros.parameter_table``."""

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
        self.create_service(Trigger, '~/save_frame', self._on_save_frame)
        self.create_service(Trigger, '~/reload_model', self._on_reload_model)

    # Lifecycle

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the engine and make the topics; FAILURE, and alive, if a parameter is wrong."""
        try:
            if self._parameter_problems:
                raise UserError('; '.join(self._parameter_problems.values()))
            self._configure()
        except UserError as error:
            return self._not_configured(str(error), str(error))
        except Exception as error:  # rclpy would swallow it without a word
            if not self.context.ok():
                return FAILURE  # stopped while loading: nothing can be made any more
            said = f'{type(error).__name__}: {error}'
            return self._not_configured(said, traceback.format_exc())
        self._problem = ''
        return super().on_configure(state)

    def _not_configured(self, problem: str, log: str) -> TransitionCallbackReturn:
        self._problem = f'not configured: {problem}'
        self.get_logger().error(f'not configured: {log}')
        self._release()
        return FAILURE

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Begin to listen to the cameras."""
        done = super().on_activate(state)
        configured = self._configured
        if done != SUCCESS or configured is None:
            return done
        self._start(configured)
        topics = ', '.join(camera.image_topic for camera in configured.cameras.values())
        self.get_logger().info(f'active: waiting for images on {topics}')
        return done

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Stop listening; the frames that are being worked on are finished first."""
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
        engine = self._load_engine()
        try:
            converter = cv_bridge_converter()
        except MessageError as error:
            converter = None  # the common encodings need none
            self.get_logger().warning(str(error))
        poses = TfPoses(self, self._value('frames.ground'), self._value('frames.odom'))
        if self._value('scale.mode') in TF_MODES:
            poses.listen()
        names = [name for name in self._value('cameras') if name] or ['']
        made: dict[str, NodeCamera] = {}
        self._configured = Configured(engine, poses, made)
        for name in names:
            made[name] = NodeCamera(self, name, engine, converter, poses)

    def _load_engine(self) -> WatchedEngine:
        model = self._value('model')
        load = partial(
            load_engine,
            Path(model).expanduser() if model else None,
            self._value('engine'),
            self._value('precision'),
            self._value('threads') or None,
        )
        return WatchedEngine(load, lambda: float(self._value('engine_timeout')), self.context.ok)

    def _start(self, configured: Configured) -> None:
        channels = {n: each.channel(configured.engine) for n, each in configured.cameras.items()}
        self._worker = worker = Worker(configured.engine, channels, self._now_ns)
        for camera in configured.cameras.values():
            camera.start(worker.put)

    def _stop(self) -> None:
        if self._configured is not None:
            for camera in self._configured.cameras.values():
                camera.stop()
        if self._worker is not None:
            # A process that does not end is killed; else a slow frame has what time it needs.
            patience = self._value('engine_timeout') or PATIENCE
            self._worker.stop(patience if self.context.ok() else min(patience, PATIENCE))
            self._worker = None

    def _release(self) -> None:
        self._stop()
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.poses.close()
            for camera in configured.cameras.values():
                camera.destroy()
            configured.engine.close()

    def _on_clock_jump(self, _jump: Any) -> None:
        if self._configured is None:
            return
        self._configured.poses.forget()
        for camera in self._configured.cameras.values():
            camera.statistics.clock_jumped()
        if self._worker is not None:
            self._worker.forget()

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
            if change.name == 'scale.mode' and change.value in TF_MODES and self._configured:
                self._configured.poses.listen()
        return SetParametersResult(successful=True)

    # Services

    def _on_save_frame(self, _request: Any, response: Any) -> Any:
        """Write the frame of each camera that was published last into a folder of its own."""
        cameras = [] if self._configured is None else self._configured.cameras.values()
        folder = Path(self._value('save_folder')).expanduser()
        try:
            saved = [str(camera.save(folder)) for camera in cameras if camera.last is not None]
        except UserError as error:
            response.success, response.message = False, str(error)
            return response
        response.success = bool(saved)
        response.message = ', '.join(saved) or (
            'no frame was published yet: activate the node, and listen to one of its outputs'
        )
        return response

    def _on_reload_model(self, _request: Any, response: Any) -> Any:
        """Load the model's file anew; the node goes on with the old one if that fails."""
        configured = self._configured
        if configured is None:
            response.success, response.message = False, 'not configured: there is no model yet'
            return response
        try:
            engine = self._load_engine()
        except UserError as error:
            response.success, response.message = False, f'the old one is kept: {error}'
            return response
        running = self._worker is not None
        self._stop()
        old, configured.engine = configured.engine, engine
        if running:
            self._start(configured)
        old.close()
        response.success, response.message = True, f'{engine.metadata.name} on {engine.name}'
        return response

    # Diagnostics

    def _publish_diagnostics(self) -> None:
        own = self.get_fully_qualified_name().lstrip('/')
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        if self._configured is None:
            diagnosis = diagnose(NodeFacts('unconfigured', self._problem), Statistics().report())
            array.status.append(diagnostic_status(diagnosis, f'{own}: depth and labels', ''))
        else:
            state = 'inactive' if self._worker is None else 'active'
            for name, camera in self._configured.cameras.items():
                facts = camera.facts(state)
                diagnosis = diagnose(facts, camera.statistics.report())
                title = f'{own}: depth and labels{f" of {name}" if name else ""}'
                device = facts.engine.get('device', '')
                array.status.append(diagnostic_status(diagnosis, title, device))
        self._diagnostics.publish(array)
