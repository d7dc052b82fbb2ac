"""What a wet road mirrors."""

import dataclasses

import numpy as np
import pytest

from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.reflections import add_mirror
from dsn_core.simulation.weather import make_weather

CAMERA = PinholeCamera.from_fov(97, 65, 1.2)
HORIZON = 32
# Level, looking along world x: optical right, down, ahead in the world.
TURN = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float32)


def mirrored(lamp_row, wetness):
    """The scene before and after: one lamp on black, over a road below the horizon."""
    rays = CAMERA.rays()
    directions = rays / np.linalg.norm(rays, axis=2, keepdims=True) @ TURN.T
    weather = make_weather(np.random.default_rng(0), 'night', False)
    black = np.zeros(3, np.float32)
    weather = dataclasses.replace(
        weather, zenith=black, horizon=black, glow=black, cloud=black, sun=None
    )
    out = np.zeros((3, 65, 97), np.float32)
    out[:, lamp_row, 48] = 1000.0
    before = out.copy()
    wet = np.zeros((65, 97), np.float32)
    wet[HORIZON + 1 :] = wetness
    solid = np.ones((65, 97), bool)
    planes = np.ascontiguousarray(np.moveaxis(directions, 2, 0), np.float32)
    add_mirror(out, solid, planes, TURN, wet, CAMERA, weather)
    return before, out


@pytest.mark.parametrize('above', [10, 14, 18])
def test_a_lamp_is_seen_as_far_below_the_horizon_as_it_is_above(above):
    before, after = mirrored(HORIZON - above, 1.0)
    gain = (after - before)[0]
    assert np.array_equal(after[:, : HORIZON + 1], before[:, : HORIZON + 1])
    row, column = np.unravel_index(gain.argmax(), gain.shape)
    assert column == 48
    # Water mirrors more at a flatter angle, which draws the middle of the streak up a little.
    assert abs(row - (HORIZON + above)) <= 2
    assert gain.max() > 0


def test_a_dry_road_mirrors_nothing():
    before, after = mirrored(HORIZON - 12, 0.0)
    assert np.array_equal(before, after)
