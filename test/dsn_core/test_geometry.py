"""Pixels, points and motions: round trips, NumPy, and a scene whose every number is known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from hypothesis import given, settings
from hypothesis import strategies as st
from support.loss_reference import SlantedPlane, images

from dsn_core.geometry import back_project, invert_transform, project, transform_from_pose, warp

numbers = st.floats(-3, 3)
vectors = st.tuples(numbers, numbers, numbers)
cameras = st.builds(
    lambda fx, fy, skew, cx, cy: torch.tensor(
        [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64
    ),
    st.floats(2, 2000),
    st.floats(2, 2000),
    st.floats(-5, 5),
    st.floats(-50, 50),
    st.floats(-50, 50),
)


def double(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def pixel_grid(height, width):
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack([u, v])[None].double()


@settings(max_examples=30, deadline=None)
@given(cameras, st.integers(0, 999), st.floats(0.1, 100))
def test_projecting_what_was_back_projected_gives_the_pixel_back(k, seed, far):
    depth = torch.from_numpy(images(seed, 2, 1, 4, 5)) * far + 0.05
    pixels = project(back_project(depth, k), k)
    torch.testing.assert_close(pixels, pixel_grid(4, 5).expand(2, -1, -1, -1), rtol=0, atol=1e-7)


def test_back_project_by_numpy_with_a_camera_for_each_picture():
    depth = images(1, 2, 1, 3, 4) + 1
    k = np.array([[[5, 0.1, 2], [0, 6, 1.5], [0, 0, 1]], [[9, 0, 1], [0, 8, 1], [0, 0, 1]]])
    points = back_project(torch.from_numpy(depth), torch.from_numpy(k)).numpy()
    for b in range(2):
        for v in range(3):
            for u in range(4):
                expected = depth[b, 0, v, u] * np.linalg.solve(k[b], [u, v, 1])
                np.testing.assert_allclose(points[b, :, v, u], expected, atol=1e-12)


def test_project_takes_lists_of_points_and_keeps_those_behind_finite():
    points = double([1, 2, 4], [1, 2, -4]).T[None]  # (1, 3, 2)
    k = double([10, 0, 3], [0, 20, 5], [0, 0, 1])
    pixels = project(points, k)
    assert pixels[0, :, 0].tolist() == [10 / 4 + 3, 2 * 20 / 4 + 5]
    assert pixels.isfinite().all()


@settings(max_examples=30, deadline=None)
@given(vectors, vectors)
def test_an_inverted_transform_undoes_it(axis_angle, translation):
    transform = transform_from_pose(double(axis_angle), double(translation))
    eye = torch.eye(4, dtype=torch.float64)[None]
    torch.testing.assert_close(transform @ invert_transform(transform), eye, rtol=0, atol=1e-12)
    torch.testing.assert_close(invert_transform(transform) @ transform, eye, rtol=0, atol=1e-12)
    assert float(torch.linalg.det(transform[0, :3, :3])) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(vectors, st.sampled_from([1.0, 1e-2, 1e-3, 1e-4, 0.0]))
def test_rotation_is_the_exponential_of_its_axis_angle(axis_angle, size):
    small = tuple(size * a for a in axis_angle)
    expected = torch.from_numpy(SlantedPlane().transform(tuple(a / 8 for a in small), (1, 2, 3)))
    eighth = transform_from_pose(double(small) / 8, double([1, 2, 3]))[0]
    torch.testing.assert_close(eighth, expected, rtol=0, atol=1e-11)
    # Eight times an eighth of a turn is the turn.
    whole = transform_from_pose(double(small), double([0, 0, 0]))[0, :3, :3]
    rotation = torch.linalg.matrix_power(eighth[:3, :3], 8)
    torch.testing.assert_close(whole, rotation, rtol=0, atol=1e-10)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
def test_each_pose_of_a_batch_is_its_own_and_of_its_type(dtype):
    turns = [(0.3, -0.2, 0.5), (-1.1, 0.4, 0.0), (0.0, 0.0, 0.0)]
    goes = [(1.0, 2.0, 3.0), (-4.0, 0.5, 0.0), (0.0, 0.0, 8.0)]
    batch = transform_from_pose(double(*turns).to(dtype), double(*goes).to(dtype))
    assert batch.dtype == dtype
    assert invert_transform(batch).dtype == dtype
    plane = SlantedPlane()
    expected = np.stack([plane.transform(a, t) for a, t in zip(turns, goes, strict=True)])
    atol = {torch.float64: 1e-9, torch.float32: 1e-6, torch.bfloat16: 0.02}[dtype]
    torch.testing.assert_close(batch.double(), torch.from_numpy(expected), rtol=0, atol=atol)


@pytest.mark.parametrize('angle', [3e-3, 1.1e-3, 9e-4, 5e-4])
def test_small_turns_are_exact_on_either_side_of_the_series(angle):
    turn = double([0.6 * angle, 0.8 * angle, 0.0])  # (1, 3)
    rotation = transform_from_pose(turn, torch.zeros_like(turn))[0, :3, :3].numpy()
    # About an axis in the plane of x and y the turn moves z by the sine alone, and x and y
    # against each other by 1 - cos = 2 sin² of half of it alone.
    np.testing.assert_allclose(rotation[2, :2], np.sin(angle) * np.array([-0.8, 0.6]), rtol=1e-12)
    np.testing.assert_allclose(rotation[0, 1], 2 * np.sin(angle / 2) ** 2 * 0.48, rtol=1e-12)


def test_pose_has_a_gradient_at_no_motion():
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: transform_from_pose(a, a), (zero,))
    turned = double([0.3, -0.2, 0.5]).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda a: transform_from_pose(a, 2 * a), (turned,))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_warp_by_the_identity_returns_the_picture(dtype):
    source = torch.from_numpy(images(2, 2, 3, 16, 24)).to(dtype)
    depth = torch.from_numpy(images(3, 2, 1, 16, 24) + 0.5).to(dtype)
    k = double([20, 0, 11.5], [0, 21, 8], [0, 0, 1])
    image, valid = warp(source, depth, k, torch.eye(4))
    atol = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(image, source, rtol=0, atol=atol)
    assert valid.shape == (2, 1, 16, 24)
    assert valid.all()


def test_warp_shifts_by_whole_pixels_and_repeats_the_border():
    source = torch.from_numpy(images(4, 1, 2, 5, 8))
    depth = torch.full((1, 1, 5, 8), 2.0, dtype=torch.float64)
    transform = torch.eye(4, dtype=torch.float64)
    transform[0, 3] = 0.6  # at f = 10 and 2 m: 3 pixels to the right
    image, valid = warp(source, depth, double([10, 0, 3], [0, 10, 2], [0, 0, 1]), transform)
    torch.testing.assert_close(image[..., :5], source[..., 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(image[..., 5:], source[..., 7:].expand(1, 2, 5, 3))
    assert valid[..., :5].all()
    assert not valid[..., 5:].any()


def test_points_behind_the_source_camera_are_not_valid():
    source = torch.rand(1, 1, 4, 4)
    transform = torch.eye(4)
    transform[2, 3] = -3.0
    k = torch.tensor([[4.0, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
    image, valid = warp(source, torch.full((1, 1, 4, 4), 2.0), k, transform)
    assert not valid.any()
    assert image.isfinite().all()


def test_a_plane_drawn_from_two_poses_warps_onto_itself():
    target, source, depth, k, transform = SlantedPlane().tensors()
    image, valid = warp(source, depth, k, transform)
    assert valid.float().mean() > 0.6
    error = (image - target).abs().amax(dim=1, keepdim=True)
    # Bilinear sampling is off by at most an eighth of the texture's second difference a pixel:
    # 0.45 (1.9 * 5.2 m / 38 px)² / 8.
    assert error[valid].max() < 4e-3


def test_warp_gradients():
    rng = np.random.default_rng(5)
    source = torch.from_numpy(rng.random((1, 2, 4, 5))).requires_grad_(True)
    depth = torch.from_numpy(rng.random((1, 1, 4, 5)) + 2).requires_grad_(True)
    pose = double([0.02, -0.01, 0.03]).requires_grad_(True)
    k = double([6, 0, 2.1], [0, 6, 1.6], [0, 0, 1])

    def warped(s, d, p):
        return warp(s, d, k, transform_from_pose(p, 3 * p)).image

    assert torch.autograd.gradcheck(warped, (source, depth, pose))


def test_autocast_and_half_precision_cost_no_pixels():
    _, source, depth, k, transform = (t.float() for t in SlantedPlane().tensors())
    expected = warp(source, depth, k, transform).image
    with torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(warp(source, depth, k, transform).image, expected)
    points = back_project(torch.ones(1, 1, 1, 600, dtype=torch.bfloat16), torch.eye(3))
    assert points[0, 0, 0, -1] == 599


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        ('source', {'source': torch.ones(1, 3, 5, 5)}),
        ('source', {'source': torch.ones(3, 4, 4)}),
        ('depth', {'depth': torch.ones(1, 2, 4, 4)}),
        ('intrinsics', {'intrinsics': torch.ones(1, 4, 4)}),
        ('intrinsics', {'intrinsics': torch.ones(2, 3, 3)}),
        ('transform', {'transform': torch.ones(1, 3, 4)}),
    ],
)
def test_wrong_shapes_are_named(name, arguments):
    good = {
        'source': torch.ones(1, 3, 4, 4),
        'depth': torch.ones(1, 1, 4, 4),
        'intrinsics': torch.eye(3),
        'transform': torch.eye(4),
    }
    warp(**good)
    with pytest.raises(ValueError, match=rf'^{name} must be'):
        warp(**(good | arguments))


def test_wrong_shapes_of_poses_and_points_are_named():
    with pytest.raises(ValueError, match=r'^points must be'):
        project(torch.ones(1, 2, 5), torch.eye(3))
    with pytest.raises(ValueError, match=r'^axis_angle must be'):
        transform_from_pose(torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match=r'^translation must be'):
        transform_from_pose(torch.ones(1, 3), torch.ones(2, 3))
    for shape in ((4, 4), (1, 3, 4), (1, 1, 4, 4)):
        with pytest.raises(ValueError, match=r'^transform must be'):
            invert_transform(torch.ones(shape))
