"""Rigid motions, and tracks through them: between poses, over gaps, backwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsn_core.data.poses import PoseTrack, inverse, of_euler, of_quaternion

numbers = st.floats(-3, 3)


@given(
    st.tuples(*[numbers] * 3), st.tuples(*[numbers] * 4).filter(lambda q: sum(map(abs, q)) > 0.1)
)
def test_a_quaternion_turns_as_its_products_do(translation, quaternion):
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    motion = of_quaternion(translation, quaternion)
    expected = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    np.testing.assert_allclose(motion[:3, :3], expected, atol=1e-12)
    np.testing.assert_array_equal(motion[:, 3], [*translation, 1])
    np.testing.assert_allclose(inverse(motion) @ motion, np.eye(4), atol=1e-12)


def test_angles_turn_about_x_then_y_then_z():
    quarter = np.pi / 2
    # Forward (x) pitched down about y (right), then yawed about z (down).
    point = of_euler([10, 20, 30, 0, -quarter, quarter]) @ [1, 0, 0, 1]
    np.testing.assert_allclose(point, [10, 20, 31, 1], atol=1e-12)
    point = of_euler([0, 0, 0, quarter, 0, quarter]) @ [0, 1, 0, 1]
    np.testing.assert_allclose(point, [0, 0, 1, 1], atol=1e-12)
    with pytest.raises(ValueError, match='is no rotation'):
        of_quaternion([0, 0, 0], [0, 0, 0, 0])


def step(x, yaw=0.0):
    return of_euler([x, 0, 0, 0, 0, yaw])


def test_steps_are_chained_whichever_end_is_named_first():
    spans = np.array([[20, 10], [20, 30]])  # the second says it backwards
    track = PoseTrack.of_steps(spans, np.stack([step(2, np.pi / 2), inverse(step(1))]))
    np.testing.assert_allclose(track.at([10])[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(track.at([30])[0][:3, 3], [2, 1, 0], atol=1e-12)
    half = track.at([15, 25])
    np.testing.assert_allclose(half[:, :3, 3], [[1, 0, 0], [2, 0.5, 0]], atol=1e-12)
    np.testing.assert_allclose(half[0] @ [1, 0, 0, 0], [np.sqrt(0.5)] * 2 + [0, 0], atol=1e-12)


def test_steps_that_do_not_join_are_pieces_of_their_own():
    spans = np.array([[50, 40], [20, 10], [30, 20], [29, 21], [60, 60]])
    track = PoseTrack.of_steps(spans, np.stack([step(k) for k in (4, 1, 2, 100, 100)]))
    times = [9, 10, 15, 20, 30, 31, 39, 40, 45, 50, 51]
    assert track.piece(times).tolist() == [-1, 0, 0, 0, 0, -1, -1, 1, 1, 1, -1]
    np.testing.assert_allclose(track.at([30, 45])[:, 0, 3], [3, 2])


def test_poses_far_apart_in_time_or_place_are_not_joined():
    times = np.array([0, 10, 11, 12, 20]) * 100_000
    places = [0, 1, 2, 90, 91]
    poses = np.stack([step(x) for x in places])
    order = [3, 0, 4, 1, 2]
    track = PoseTrack.through(times[order], poses[order], 0.85)
    # The first stands 1 s before the second; the fourth is 88 m and 0.1 s away from the third.
    middles = (times[:-1] + times[1:]) // 2
    assert track.piece(middles).tolist() == [-1, 1, -1, 2]
    assert track.piece(times).tolist() == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(track.at(middles[[1, 3]])[:, 0, 3], [1.5, 90.5])
