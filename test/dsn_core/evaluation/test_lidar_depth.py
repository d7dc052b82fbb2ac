"""LiDAR points in a picture: where they fall, which hides which, what is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dataset_factory import points_of

from dsn_core.errors import UserError
from dsn_core.evaluation.lidar_depth import moved, read_points, seen

K = np.array([[20.0, 0, 15.5], [0, 25.0, 11.5], [0, 0, 1]])
SIZE = (24, 32)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-100, 100)] * 3),
)
def test_a_depth_map_survives_the_way_there_and_back(seed, angles, shift):
    rng = np.random.default_rng(seed)
    depth = np.where(rng.random(SIZE) < 0.2, rng.uniform(1.5, 80, SIZE), 0)
    ids = rng.integers(0, 19, np.count_nonzero(depth)).astype(np.uint8)
    v, u = np.nonzero(depth)
    rays = np.linalg.inv(K) @ np.stack([u, v, np.ones_like(u)])
    points = (rays * depth[v, u]).T
    # Rotation from an antisymmetric matrix (Cayley), moved and moved back.
    skew = np.array([[0, -angles[2], angles[1]], [angles[2], 0, -angles[0]], [0, 0, 0]])
    skew[2] = [-angles[1], angles[0], 0]
    motion = np.eye(4)
    motion[:3, :3] = np.linalg.solve(np.eye(3) - skew, np.eye(3) + skew)
    motion[:3, 3] = shift
    order = rng.permutation(len(points))
    back = moved(moved(points[order], motion), np.linalg.inv(motion))
    hits = seen(back, K, SIZE)
    np.testing.assert_allclose(hits.depth_map(), depth, rtol=1e-6, atol=1e-6)
    labels = np.full(SIZE, 255)
    labels[v, u] = ids
    np.testing.assert_array_equal(hits.label_map(ids[order]), labels)


def test_the_nearest_point_hides_the_others():
    ray = np.array([0.1, -0.2, 1.0])
    points = np.stack([30 * ray, 7 * ray, 12 * ray, [0, 0, 5.0]])
    hits = seen(points, K, SIZE)
    depth = hits.depth_map()
    row, column = round(11.5 - 0.2 * 25), round(15.5 + 0.1 * 20)
    assert depth[row, column] == 7
    assert np.count_nonzero(depth) == 2
    labels = hits.label_map(np.array([1, 255, 3, 4], np.uint8))
    # What hides is unlabelled: so is the pixel.
    assert labels[row, column] == 255
    assert np.count_nonzero(labels == 4) == 1


def test_pixels_begin_half_a_pixel_before_their_centres():
    def at(u, v):
        ray = np.linalg.inv(K) @ (u, v, 1)
        hits = seen(4 * ray[None], K, SIZE)
        return list(zip(hits.row.tolist(), hits.column.tolist(), strict=True))

    assert at(-0.49, 3.4) == [(3, 0)]
    assert at(31.49, 23.49) == [(23, 31)]
    assert at(-0.51, 3) == at(31.51, 3) == at(3, -0.51) == at(3, 23.51) == []


def test_near_ones_those_behind_and_broken_ones_are_left_out():
    points = [[0, 0, 0.99], [0, 0, -5], [0, 0, 0], [0, np.nan, 5], [np.inf, 0, 5]]
    far_beside = [[1e30, 0, 1.0], [0, -1e300, 1.0]]
    assert not seen(np.array(points + far_beside), K, SIZE).index.size
    assert seen(np.array([*points, [0, 0, 1.0]]), K, SIZE).index.tolist() == [5]
    assert not seen(np.zeros((0, 3)), K, SIZE).depth_map().any()


def test_what_is_too_far_is_not_measured_and_hides_all_the_same():
    depth = np.zeros(SIZE)
    depth[5, 6], depth[7, 8] = 49.9, 50.1
    found = seen(points_of(depth), np.array([[20.0, 0, 15.5], [0, 20, 11.5], [0, 0, 1]]), SIZE)
    np.testing.assert_allclose(found.depth_map(50.0)[[5, 7], [6, 8]], [49.9, 0], rtol=1e-6)


def test_files_of_points(tmp_path):
    file = tmp_path / 'x.bin'
    np.arange(10, dtype='<f4').tofile(file)
    assert read_points(file, '<f4', 5).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    with pytest.raises(UserError, match=r'x\.bin does not hold 3 numbers of 4 bytes a point'):
        read_points(file, '<f4', 3)
    file.write_bytes(b'x' * 21)
    with pytest.raises(UserError, match=r'x\.bin does not hold 5 numbers'):
        read_points(file, '<f4', 5)
    with pytest.raises(UserError, match=r'y\.bin cannot be read: No such file'):
        read_points(tmp_path / 'y.bin', '<f4', 5)
