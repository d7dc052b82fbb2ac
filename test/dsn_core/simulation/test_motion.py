"""The camera car obeys mechanics: smooth speed, rolling wheels, springs."""

from types import SimpleNamespace

import numpy as np
import pytest

from dsn_core.simulation.motion import CarState, EgoMotion, glide, tilted


class Bend:
    """A street of constant curvature."""

    def __init__(self, curvature):
        self.s = np.arange(-60.0, 800.0)
        self.heading = curvature * self.s


def motion(curvature=0.0, crossings=(), cruise=12.0, seed=0):
    plan = SimpleNamespace(crossings=crossings)
    return EgoMotion(Bend(curvature), plan, cruise, 500.0, np.random.default_rng(seed))


def states(drive, until=25.0):
    time = np.arange(0, until, 0.05)
    return time, [drive.at(float(t)) for t in time]


def column(some, name):
    return np.array([getattr(s, name) for s in some])


@pytest.mark.parametrize('seed', range(4))
def test_speed_is_the_rate_of_the_way_and_a_driver_s(seed):
    time, some = states(motion(crossings=((60.0, 70.0), (150.0, 162.0)), seed=seed))
    way, speed = column(some, 'travelled'), column(some, 'speed')
    assert np.allclose(np.diff(way) / np.diff(time), (speed[1:] + speed[:-1]) / 2, atol=0.05)
    change = np.diff(speed) / np.diff(time)
    assert change.max() < 1.7
    assert change.min() > -2.6
    assert speed.min() > 1.5


def test_a_tight_bend_is_taken_slowly_and_the_body_leans_outwards():
    _, some = states(motion(curvature=1 / 30))
    speed, roll = column(some, 'speed'), column(some, 'roll')
    assert (speed**2 / 30 < 2.6).all()
    # To the left: leans to the right; 0.5 degrees for every m/s2.
    expected = np.radians(0.5) * np.mean(speed**2) / 30
    assert roll[100:].mean() == pytest.approx(expected, rel=0.2)
    assert column(some, 'turning').mean() == pytest.approx(speed.mean() / 30, rel=0.05)


def test_the_nose_dips_under_braking():
    drive = motion(crossings=((100.0, 110.0),), seed=3)
    for seed in range(20):
        drive = motion(crossings=((100.0, 110.0),), seed=seed)
        time, some = states(drive)
        change = np.gradient(column(some, 'speed'), time)
        if change.min() < -2:
            break
    hard = change < -1.5
    assert hard.sum() > 10
    assert column(some, 'pitch')[hard].mean() < column(some, 'pitch')[~hard].mean() - 0.005


def test_wheels_do_not_slide_sideways():
    time, some = states(motion())
    sway, yaw, way = (column(some, n) for n in ('sway', 'yaw', 'travelled'))
    assert np.allclose(np.gradient(sway, way), np.tan(yaw), atol=2e-4)
    assert len(time) == len(some)


def test_body_and_tilt_are_rotations_with_the_signs_they_say():
    turn = tilted(0.1, 0.05)
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert (turn @ [0, 0, 1])[1] < 0  # nose up: ahead goes to -y
    assert (turn @ [1, 0, 0])[1] > 0  # to the right: the right side goes down
    assert CarState(0, 0, 0, 0, heave=0.02).body[1, 3] == -0.02


def test_gliding_is_one_speed():
    assert glide(8.0, 2.5).travelled == 20.0
    assert np.array_equal(glide(8.0, 2.5).body, np.eye(4))
