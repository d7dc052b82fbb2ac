"""The program ``perception_node`` is told to end, at any moment and in any state: exit code 0."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
UNCONFIGURED_SHUTDOWN, INACTIVE_SHUTDOWN, ACTIVE_SHUTDOWN = 5, 6, 7
# The moments after its first line at which it is told to end, seconds.
MOMENTS = 6
LONGEST = 3.0


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_it_imports_ends_it_at_once(number, tmp_path):
    """No ROS is needed: a module of that name takes its time to be imported."""
    slow = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(60)"
    (tmp_path / 'rclpy.py').write_text(slow)
    process = subprocess.Popen(
        [sys.executable, '-m', 'dsn_ros.run_node'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(REPOSITORY)])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 50
        while not (tmp_path / 'begun').exists():
            assert time.monotonic() < end, 'it does not begin'
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ''
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def ros():
    pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
    pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    from support import perception_process

    return perception_process


def ended(process, number):
    """What is left to say when the process is told to end; '' if it does so in peace."""
    code = process.stop(number, pause=0)
    return '' if code == 0 and 'Traceback' not in process.said else f'{code}: {process.said}'


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
@pytest.mark.slow
def test_a_signal_at_any_moment_of_its_start_ends_it_in_peace(ros, number, tmp_path):
    for delay in [0.0, *(random.Random(number).uniform(0, LONGEST) for _ in range(MOMENTS - 1))]:
        process = ros.PerceptionProcess(tmp_path)
        end = time.monotonic() + ros.PATIENCE
        # Its first line sets the handlers. Before, Python itself is starting.
        while process.alive and not process.catches(signal.SIGTERM):
            assert time.monotonic() < end, 'it does not begin'
        time.sleep(delay)
        assert ended(process, number) == '', f'{number.name} after {delay:.3f} s'


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active', 'finalized'])
def test_a_signal_in_any_state_ends_it_in_peace(ros, start_node, tiny_model, number, state):
    process, robot = start_node(model=tiny_model)
    if state in ('inactive', 'active'):
        assert robot.transition(ros.CONFIGURE), process.said
    if state == 'active':
        assert robot.transition(ros.ACTIVATE), process.said
    if state == 'finalized':
        assert robot.transition(UNCONFIGURED_SHUTDOWN), process.said
    assert robot.state() == state
    assert ended(process, number) == ''


@pytest.mark.parametrize(
    ('turns', 'shutdown'),
    [([], UNCONFIGURED_SHUTDOWN), ([1], INACTIVE_SHUTDOWN), ([1, 3], ACTIVE_SHUTDOWN)],
)
def test_shut_down_from_any_state_it_gives_everything_back(
    ros, start_node, tiny_model, turns, shutdown
):
    process, robot = start_node(model=tiny_model)
    for turn in turns:
        assert robot.transition(turn), process.said
    assert robot.transition(shutdown), process.said
    assert robot.state() == 'finalized'
    assert process.alive
    robot.spin(0.5)
    topics = {name for name, _ in robot.node.get_topic_names_and_types()}
    assert not topics & {'/depth/image', '/image', '/labels/label_info'}
    assert ended(process, signal.SIGTERM) == ''


def test_a_signal_while_an_engine_is_loaded_waits_for_none(
    ros, start_node, tiny_model, monkeypatch
):
    monkeypatch.setenv('DSN_TEST_LOADING', '600')
    process, robot = start_node(model=tiny_model, program='support.faulty_node')
    from lifecycle_msgs.srv import ChangeState

    client = robot.node.create_client(ChangeState, '/perception/change_state')
    robot.wait(client.service_is_ready)
    client.call_async(ChangeState.Request(transition=ros.Transition(id=ros.CONFIGURE)))
    robot.spin(2.0)
    assert ended(process, signal.SIGINT) == ''
