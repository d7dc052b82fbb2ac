"""Structural similarity against the moments of every window, one by one."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import dissimilarity, images, ssim_by_windows, tensors

from dsn_core.losses import ssim_dissimilarity, structural_similarity


def test_both_maps_by_numpy():
    x, y = images(0, 2, 3, 6, 7), images(1, 2, 3, 6, 7)
    found = structural_similarity(*tensors(x, y)).numpy()
    np.testing.assert_allclose(found, ssim_by_windows(x, y), atol=1e-6)
    found = ssim_dissimilarity(*tensors(x, y)).numpy()
    assert found.shape == x.shape
    np.testing.assert_allclose(found, dissimilarity(x, y), atol=1e-6)


def test_zero_for_equal_images_and_symmetric():
    x, y = tensors(images(2, 1, 3, 5, 5), images(3, 1, 3, 5, 5))
    assert not ssim_dissimilarity(x, x).any()
    torch.testing.assert_close(ssim_dissimilarity(x, y), ssim_dissimilarity(y, x))


def test_stays_between_zero_and_one_even_for_a_negative():
    x = torch.from_numpy(images(4, 1, 1, 8, 8))
    map_ = ssim_dissimilarity(x, 1 - x)
    assert 0.5 < map_.max() <= 1
    assert map_.min() >= 0


def test_gradient():
    x, y = tensors(images(5, 1, 2, 4, 4), images(6, 1, 2, 4, 4))
    x.requires_grad_(True)
    y.requires_grad_(True)
    assert torch.autograd.gradcheck(ssim_dissimilarity, (x, y))


def test_half_precision_is_raised_before_variances_are_taken():
    x = torch.full((1, 1, 6, 6), 0.9, dtype=torch.bfloat16)
    y = torch.full((1, 1, 6, 6), 0.905, dtype=torch.bfloat16)
    assert ssim_dissimilarity(x, y).dtype == torch.float32
    assert ssim_dissimilarity(x, y).max() < 1e-4


def test_wrong_shapes_are_named():
    x = torch.ones(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r'^x must be'):
        ssim_dissimilarity(x[0], x)
    with pytest.raises(ValueError, match=r'^y must be'):
        ssim_dissimilarity(x, x[:, :1])
    with pytest.raises(ValueError, match='at least 2'):
        ssim_dissimilarity(x[..., :1], x[..., :1])
