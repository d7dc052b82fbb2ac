"""The real perception node in a process of its own, and a ROS node that plays its camera."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from dsn_ros.message_builders import RosMessages
from dsn_ros.messages import stamp_ns
from support.own_domains import own_domains

REPOSITORY = Path(__file__).resolve().parents[2]
FAST = {'diagnostics_period': 0.2, 'engine': 'onnxruntime', 'threads': 1}
# Seconds; the machine may be busy with something else, and very busy.
PATIENCE = float(os.environ.get('DSN_TEST_PATIENCE', '40'))
CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


# A ROS domain for each process: even a process that was killed, and whose topics linger in the
# discovery for a while, can't disturb the next.
_domains = itertools.cycle(own_domains())


def ros_environment(domain):
    """The environment of a process that speaks ROS in ``domain``, on this machine only."""
    own = {'ROS_DOMAIN_ID': str(domain)}
    if os.environ.get('ROS_DISTRO') == 'humble':
        own['ROS_LOCALHOST_ONLY'] = '1'
    else:
        own['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    folders = [str(REPOSITORY), str(REPOSITORY / 'test'), os.environ.get('PYTHONPATH', '')]
    path = os.pathsep.join(folders)
    return {**os.environ, 'PYTHONPATH': path, **own}


def new_domain():
    return next(_domains)


class Robot:
    """A node of the test's own: publishes, listens, calls services, and waits."""

    def __init__(self, domain):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('robot', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.messages = RosMessages()
        self._made = []

    def wait(self, condition, what='', patience=PATIENCE):
        """Spin until ``condition()`` is true and return its value; fail after ``patience`` s."""
        end = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < end, f'waited {patience} s in vain for {what or condition}'
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def listen(self, message, topic, latched=False):
        """Return the list that messages on ``topic`` are appended to; waits for the publisher."""
        heard = []
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=50, durability=durability)
        subscription = self.node.create_subscription(message, topic, heard.append, qos)
        self._made.append((self.node.destroy_subscription, subscription))
        self.wait(lambda: self.node.count_publishers(topic), f'a publisher of {topic}')
        return heard

    def publisher(self, message, topic):
        """Make a publisher, and wait until the node has subscribed to it."""
        publisher = self.node.create_publisher(message, topic, 10)
        self._made.append((self.node.destroy_publisher, publisher))
        self.wait(publisher.get_subscription_count, f'a subscription to {topic}')
        return publisher

    def insist(self, publisher, message):
        """Publish ``message`` more than once: the node may not know of ``publisher`` yet."""
        for _ in range(5):
            publisher.publish(message)
            self.spin(0.2)

    def warm_up(self, publisher, message, *heard):
        """Publish ``message`` until all of ``heard`` get something, then empty them.

        Both ends must know of each other, and this end can't see what the node sees.
        """
        for _ in range(int(PATIENCE / 0.25)):
            publisher.publish(message)
            self.spin(0.25)
            if all(heard):
                break
        assert all(heard), f'{PATIENCE} s without an answer to {type(message).__name__}'
        before = None
        while before != (before := [len(each) for each in heard]):  # a busy machine answers late
            self.spin(0.75)
        for each in heard:
            each.clear()

    def forget(self):
        """Take away every publisher and subscription made so far."""
        while self._made:
            destroy, entity = self._made.pop()
            destroy(entity)

    def call(self, kind, service, **fields):
        client = self.node.create_client(kind, service)
        try:
            self.wait(client.service_is_ready, service)
            future = client.call_async(kind.Request(**fields))
            self.wait(future.done, f'an answer of {service}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def transition(self, number, name='/perception'):
        """Ask for a lifecycle transition; whether it succeeded."""
        request = Transition(id=number)
        return self.call(ChangeState, f'{name}/change_state', transition=request).success

    def state(self, name='/perception'):
        return self.call(GetState, f'{name}/get_state').current_state.label

    def set_parameter(self, name, value):
        """Set a parameter of the node; the reason of a refusal, '' where it was taken."""
        message = Parameter(name, value=value).to_parameter_msg()
        answer = self.call(SetParameters, '/perception/set_parameters', parameters=[message])
        result = answer.results[0]
        return '' if result.successful else result.reason

    def diagnosis(self, holds, what=''):
        """Wait for a diagnosis of which ``holds(level, message, values)``; its three parts."""
        heard = self.listen(DiagnosticArray, '/diagnostics')

        def parts(array):
            status = array.status[0]
            values = {each.key: each.value for each in status.values}
            return int.from_bytes(status.level, 'little'), status.message, values

        def found():
            return next((parts(a) for a in heard if holds(*parts(a))), None)

        try:
            return self.wait(found, f'a diagnosis {what}')
        except AssertionError as error:
            last = parts(heard[-1]) if heard else 'none'
            raise AssertionError(f'{error}; the last one was {last}') from None

    def header(self, stamp, frame='camera_optical_frame'):
        return self.messages.header(stamp, frame)

    def close(self):
        self.forget()
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


class PerceptionProcess:
    """``python -m dsn_ros.run_node`` with parameters (``__`` for a point) and arguments.

    ``program``: another module in its place.
    """

    def __init__(self, folder, *arguments, program='dsn_ros.run_node', **parameters):
        self.log = folder / 'perception.log'
        given = [f'{name.replace("__", ".")}:={value}' for name, value in parameters.items()]
        command = [sys.executable, '-m', program, '--ros-args']
        command += [part for each in given for part in ('-p', each)] + list(arguments)
        self.domain = new_domain()
        with self.log.open('w') as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=ros_environment(self.domain),
            )

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def alive(self):
        return self.process.poll() is None

    @property
    def said(self):
        return self.log.read_text()

    def catches(self, number):
        """Whether the process has a handler of its own for the signal (Linux)."""
        status = Path(f'/proc/{self.process.pid}/status').read_text()
        caught = int(re.search(r'^SigCgt:\s*(\w+)', status, re.MULTILINE).group(1), 16)
        return bool(caught >> (number - 1) & 1)

    def threads(self):
        """Number of the process's threads (Linux)."""
        return len(list(Path(f'/proc/{self.process.pid}/task').iterdir()))

    def held(self):
        """Memory, threads and open files of the process (Linux)."""
        folder = Path(f'/proc/{self.process.pid}')
        status = (folder / 'status').read_text()
        resident = int(re.search(r'^VmRSS:\s*(\d+)', status, re.MULTILINE).group(1))
        return {
            'resident_mb': round(resident / 1024, 1),
            'threads': self.threads(),
            'files': len(list((folder / 'fd').iterdir())),
        }

    def stop(self, number=signal.SIGINT, times=1, pause=0.3):
        """Send a signal and return the exit code."""
        for _ in range(times):
            self.process.send_signal(number)
            time.sleep(pause)
        return self.process.wait(PATIENCE)


def stamps(heard):
    """Nanoseconds of the messages' stamps."""
    return [stamp_ns(message.header) for message in heard]
