"""Eq 6, the minimum over sources, and auto-masking."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import SlantedPlane, images, photometric, tensors

from dsn_core.geometry import warp
from dsn_core.losses import auto_mask, over_sources, photometric_error, unwarped_error


@pytest.mark.parametrize('alpha', [0.0, 0.85, 1.0])
def test_by_numpy(alpha):
    target, warped = images(0, 2, 3, 6, 7), images(1, 2, 3, 6, 7)
    found = photometric_error(*tensors(target, warped), alpha)
    assert found.shape == (2, 1, 6, 7)
    np.testing.assert_allclose(found.numpy(), photometric(target, warped, alpha), atol=1e-6)


def test_the_default_is_the_papers_alpha():
    target, warped = images(2, 1, 3, 5, 5), images(3, 1, 3, 5, 5)
    found = photometric_error(*tensors(target, warped)).numpy()
    np.testing.assert_allclose(found, photometric(target, warped, 0.85), atol=1e-6)


def test_zero_at_the_solution_and_gradient():
    target, warped = tensors(images(4, 1, 2, 4, 4), images(5, 1, 2, 4, 4))
    assert not photometric_error(target, target).any()
    warped.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda w: photometric_error(target, w), (warped,))


def test_exact_depth_and_pose_leave_nearly_nothing_and_either_disturbed_leaves_more():
    target, source, depth, k, transform = SlantedPlane().tensors()
    view, valid = warp(source, depth, k, transform)

    def error(depth, transform):
        warped = warp(source, depth, k, transform).image
        return float(photometric_error(target, warped)[valid].mean())

    exact = error(depth, transform)
    assert exact < 5e-3
    turned = torch.from_numpy(SlantedPlane().transform(axis_angle=(0.01, 0.02, 0.02)))[None]
    shifted = torch.from_numpy(SlantedPlane().transform(translation=(0.5, -0.1, 0.3)))[None]
    assert error(1.2 * depth, transform) > 3 * exact
    assert error(depth.flip(3), transform) > 3 * exact
    assert error(depth, turned) > 10 * exact
    assert error(depth, shifted) > 10 * exact
    assert view.shape == target.shape


def test_minimum_over_sources_is_never_above_either():
    errors = tensors(images(6, 2, 1, 4, 5), images(7, 2, 1, 4, 5))
    least = over_sources(errors)
    assert all((least <= error).all() for error in errors)
    np.testing.assert_array_equal(least.numpy(), np.minimum(*(e.numpy() for e in errors)))
    mean = over_sources(errors, minimum=False)
    np.testing.assert_allclose(mean.numpy(), (errors[0] + errors[1]).numpy() / 2)
    assert over_sources(errors[:1]).equal(errors[0])


def test_unwarped_error_is_that_of_the_sources_as_they_are_and_1e_5_of_noise():
    target, one, two = images(8, 1, 3, 9, 9), images(9, 1, 3, 9, 9), images(10, 1, 3, 9, 9)
    t, *sources = tensors(target, one, two)
    t.requires_grad_(True)
    found = unwarped_error(t, sources, generator=torch.Generator().manual_seed(1))
    assert not found.requires_grad
    noise = found.numpy() - np.minimum(photometric(target, one), photometric(target, two))
    assert 0.5e-5 < noise.std() < 2e-5
    again = unwarped_error(t, sources, generator=torch.Generator().manual_seed(1))
    assert found.equal(again)
    assert not found.equal(unwarped_error(t, sources, generator=torch.Generator().manual_seed(2)))


def test_auto_mask_removes_pixels_that_do_not_move():
    target, source, depth, k, transform = SlantedPlane().tensors()
    source[..., :20] = target[..., :20]  # the left stays still against the camera
    error = photometric_error(target, warp(source, depth, k, transform).image)
    unwarped = unwarped_error(target, [source], generator=torch.Generator().manual_seed(3))
    mask = auto_mask(error, unwarped)
    assert mask.dtype == torch.bool
    assert not mask[..., :16].any()
    assert mask[..., 24:40].float().mean() > 0.9


def test_noise_breaks_the_ties_of_a_standing_camera_both_ways():
    target = torch.from_numpy(images(11, 1, 3, 16, 16))
    error = photometric_error(target, target)
    mask = auto_mask(error, unwarped_error(target, [target]))
    assert 0.3 < mask.float().mean() < 0.7


def test_wrong_arguments_are_named():
    x = torch.ones(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r'^target must be'):
        photometric_error(x[0], x)
    with pytest.raises(ValueError, match=r'^warped must be'):
        photometric_error(x, x[:, :, 1:])
    with pytest.raises(ValueError, match=r'^alpha must be'):
        photometric_error(x, x, 1.5)
    with pytest.raises(ValueError, match=r'^errors must hold'):
        over_sources([])
    with pytest.raises(ValueError, match=r'^errors\[1\] must be'):
        over_sources([x, x[:, :1]])
    with pytest.raises(ValueError, match=r'^unwarped must be'):
        auto_mask(x, x[:, :1])
