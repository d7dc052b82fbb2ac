"""Eq 12 and 13, and the spaces that depths are compared in."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import images, tensors

from dsn_core.losses import domain_consistency
from dsn_core.losses.consistency import (
    in_space,
    median_per_image,
    relative_consistency,
    without_pull_on_scale,
)


def test_by_numpy():
    day, night = images(0, 2, 1, 4, 5), images(1, 2, 1, 4, 5)
    mask = images(2, 2, 1, 4, 5) > 0.4
    found = domain_consistency(*tensors(day, night))
    assert float(found) == pytest.approx(np.mean((day - night) ** 2), abs=1e-6)
    found = domain_consistency(*tensors(day, night, mask))
    assert float(found) == pytest.approx(np.mean((day - night)[mask] ** 2), abs=1e-6)
    numbers = domain_consistency(*tensors(day[:, 0], night[:, 0], mask[:, 0].astype(np.float64)))
    torch.testing.assert_close(numbers, found)


def test_zero_at_the_solution_and_where_nothing_is_kept():
    day, night = tensors(images(3, 1, 1, 4, 4), images(4, 1, 1, 4, 4))
    night.requires_grad_(True)
    assert not domain_consistency(night.detach(), night).any()
    nothing = domain_consistency(day, night, torch.zeros_like(day))
    nothing.backward()
    assert not nothing.any()
    assert not night.grad.any()


@pytest.mark.parametrize('masked', [False, True])
def test_no_gradient_reaches_the_day_side(masked):
    day, night = (
        t.requires_grad_(True) for t in tensors(images(5, 1, 1, 3, 3), np.ones((1, 1, 3, 3)))
    )
    mask = torch.ones(1, 1, 3, 3) if masked else None
    domain_consistency(day, night, mask).backward()
    assert day.grad is None
    assert night.grad.abs().min() > 0


@pytest.mark.parametrize('sky_depth', [0.0, 1e6, float('inf'), float('nan')])
def test_sky_changes_nothing(sky_depth):
    day, night = tensors(images(6, 1, 1, 4, 4), images(7, 1, 1, 4, 4))
    mask = torch.ones(1, 1, 4, 4)
    mask[:, :, :2] = 0
    expected = domain_consistency(day[:, :, 2:], night[:, :, 2:])
    day[:, :, :2] = sky_depth
    night[:, :, :2] = 3 * sky_depth
    night.requires_grad_(True)
    loss = domain_consistency(day, night, mask)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert not night.grad[:, :, :2].any()
    assert night.grad[:, :, 2:].all()


def test_gradient():
    day, night = tensors(images(8, 1, 1, 3, 4), images(9, 1, 1, 3, 4))
    mask = torch.from_numpy(images(10, 1, 1, 3, 4) > 0.5)
    night.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda d: domain_consistency(day, d, mask), (night,))


@pytest.mark.parametrize('width', [4, 5])
def test_median_is_numpys(width):
    values = images(11, 2, 1, 3, width)
    expected = np.median(values.reshape(2, -1), axis=1)
    np.testing.assert_allclose(median_per_image(torch.from_numpy(values)).flatten(), expected)


def test_spaces():
    depth = images(12, 2, 1, 3, 5) + 1
    (d,) = tensors(depth)
    values, divisor = in_space(d, 'depth')
    assert values.equal(d)
    assert (divisor == 1).all()
    relative, median = in_space(d, 'relative_depth')
    for b in range(2):
        np.testing.assert_allclose(relative[b], depth[b] / np.median(depth[b]))
    disparity, _ = in_space(d, 'relative_disparity')
    for b in range(2):
        np.testing.assert_allclose(disparity[b], 1 / depth[b] / np.median(1 / depth[b]))
    # One divisor for two maps: a wrong scale stays visible.
    assert in_space(2 * d, 'relative_depth', median)[0].equal(2 * relative)
    with pytest.raises(ValueError, match=r'^space must be one of'):
        in_space(d, 'metres')


def test_wrong_shapes_are_named():
    depth = torch.ones(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r'^reference_depth must be'):
        domain_consistency(torch.ones(1, 3, 4, 4), depth)
    with pytest.raises(ValueError, match=r'^depth must be'):
        domain_consistency(depth, depth[..., 1:])
    with pytest.raises(ValueError, match=r'^mask must be'):
        domain_consistency(depth, depth, torch.ones(4, 4))
    with pytest.raises(ValueError, match=r'^mask must be'):
        domain_consistency(depth, depth, torch.ones(1, 4, 3))


def test_shapes_and_scales_by_numpy():
    day, night = images(20, 2, 1, 4, 5) + 0.5, 3 * images(21, 2, 1, 4, 5) + 0.5
    mask = images(22, 2, 1, 4, 5) > 0.4
    for keep in (mask, np.ones_like(mask)):
        shape, scale = [], []
        for b in range(2):
            d, n = (x[b][keep[b]] for x in (day, night))
            shape.append((d / np.median(d) - n / np.median(n)) ** 2)
            scale.append(np.log(d.mean() / n.mean()) ** 2)
        expected = np.concatenate(shape).mean() + np.mean(scale)
        found = relative_consistency(*tensors(day, night, keep))
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_shapes_and_scales_agree_only_where_both_do():
    (day,) = tensors(images(23, 2, 1, 4, 5) + 0.5)
    assert float(relative_consistency(day, day)) == pytest.approx(0, abs=1e-12)
    assert float(relative_consistency(day, 2 * day)) == pytest.approx(np.log(2) ** 2)
    assert not relative_consistency(day, 2 * day, torch.zeros_like(day)).any()
    half = torch.zeros_like(day)
    half[:, :, :2] = 1
    other = torch.where(half != 0, day, 9 * day)
    assert float(relative_consistency(day, other, half)) == pytest.approx(0, abs=1e-12)


def test_the_days_shape_is_not_touched():
    day, night = (
        x.requires_grad_(True) for x in tensors(*(images(s, 1, 1, 4, 5) + 0.5 for s in (24, 25)))
    )
    mask = torch.from_numpy(images(26, 1, 1, 4, 5) > 0.4)
    relative_consistency(day, night, mask).backward()
    assert not day.grad[~mask].any()
    assert len(day.grad[mask].unique()) == 1  # the same everywhere: its mean, and nothing else
    assert len(night.grad[mask].unique()) > 1


def test_nothing_pulls_on_the_scale_that_both_share():
    """One network makes both: a force on their common scale would never end."""
    day, night = tensors(images(27, 2, 1, 6, 7) + 0.1, images(28, 2, 1, 6, 7) + 0.1)
    scale = torch.ones((), dtype=day.dtype, requires_grad=True)
    (pull,) = torch.autograd.grad(relative_consistency(scale * day, scale * night), scale)
    assert abs(float(pull)) < 1e-12
    # Without it there is one, and it shrinks.
    median = day.median()
    (pull,) = torch.autograd.grad(domain_consistency(day / median, scale * night / median), scale)
    assert pull > 0.1


def test_taking_the_pull_out_changes_no_value():
    (values,) = tensors(images(29, 2, 1, 4, 5) + 0.1)
    values.requires_grad_(True)
    found = without_pull_on_scale(values)
    torch.testing.assert_close(found, values)
    weights = torch.from_numpy(images(30, 2, 1, 4, 5))
    (gradient,) = torch.autograd.grad((weights * found).sum(), values)
    share = (weights * values).sum((1, 2, 3), keepdim=True) / values.sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(gradient, weights - share)
    along = (gradient * values).sum(dim=(1, 2, 3))
    torch.testing.assert_close(along, torch.zeros_like(along))


def test_shapes_and_scales_gradient():
    day, night = tensors(images(31, 1, 1, 3, 4) + 0.5, images(32, 1, 1, 3, 4) + 0.5)

    def by_hand(n):
        """What is descended: the medians, and the sums of the shape, are held fixed."""
        fixed = n.detach()
        shape = n / np.median(fixed) * (fixed.sum() / n.sum())
        return ((day / np.median(day) - shape) ** 2).mean() + (day.sum() / n.sum()).log() ** 2

    night.requires_grad_(True)
    (expected,) = torch.autograd.grad(by_hand(night), night)
    (found,) = torch.autograd.grad(relative_consistency(day, night), night)
    torch.testing.assert_close(found, expected)
