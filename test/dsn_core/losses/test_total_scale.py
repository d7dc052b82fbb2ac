"""The scale of depth in the total loss: what may pull on it, and whose is a target."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_inputs import NOTHING, random_inputs

from dsn_core.losses import (
    LossOptions,
    TotalLoss,
    View,
    affine_invariant_distillation,
    depth_distillation,
)
from dsn_core.losses.consistency import (
    DEPTH_SPACES,
    without_pull_on_scale,
)
from dsn_core.models.decoder import disparity_to_depth


@pytest.fixture
def inputs():
    return random_inputs()


def distil(**options):
    weights = dataclasses.replace(NOTHING, depth_distillation=1)
    return TotalLoss(weights, LossOptions(**options))


def day_depth(inputs):
    return disparity_to_depth(inputs.day.perceived.disparities[0], 0.1, 100)


@pytest.mark.parametrize('space', DEPTH_SPACES)
def test_the_teachers_scale_does_not_matter_in_any_space(inputs, space):
    loss = distil(depth_space=space)
    once = loss(inputs)['total']
    assert once > 0.1
    teacher = 30 * inputs.teacher_disparity
    torch.testing.assert_close(
        loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total'], once
    )
    own = 7 / day_depth(inputs).detach()
    perfect = loss(dataclasses.replace(inputs, teacher_disparity=own))['total']
    assert float(perfect.detach()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize('space', DEPTH_SPACES)
@pytest.mark.parametrize('rows', [8, 24, 32])
def test_a_teachers_sky_at_zero_disparity_asks_for_the_largest_depth(inputs, space, rows):
    leaf = inputs.day.perceived.disparities[0]
    with torch.no_grad():
        leaf[:, :, :rows] = 0
    teacher = 7 / day_depth(inputs).detach()
    teacher[:, :, :rows] = 0
    loss = distil(depth_space=space)
    right = loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total']
    assert float(right.detach()) == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        leaf[:, :, :8] = 0.5
    wrong = loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total']
    wrong.backward()
    assert wrong.isfinite()
    assert wrong > 1e-3
    assert leaf.grad.isfinite().all()
    assert leaf.grad[:, :, :8].mean() > 0  # less disparity is better


@pytest.mark.parametrize('space', DEPTH_SPACES)
def test_no_relative_term_pulls_on_the_scale_of_depth(inputs, space):
    """Depth of every view times s: what the losses' gradient would do to s, at 1."""
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    low, high = 1 / 100, 1 / 0.1

    def scaled(view):
        disparity = low + (high - low) * view.perceived.disparities[0].detach()
        maps = {0: (scale * disparity - low) / (high - low)}
        return View(view.image, view.perceived._replace(disparities=maps))

    views = {
        n: scaled(getattr(inputs, n)) for n in ('day', 'synthetic_night', 'night', 'synthetic_day')
    }
    weights = dataclasses.replace(
        NOTHING, consistency=float(space != 'depth'), depth_distillation=1
    )
    loss = TotalLoss(weights, LossOptions(depth_space=space))
    (pull,) = torch.autograd.grad(loss(dataclasses.replace(inputs, **views))['total'], scale)
    assert abs(float(pull)) < 1e-9


def test_the_teachers_scaled_depth_is_a_fixed_target(inputs):
    """Were the ratio differentiated, a smaller depth would mean a smaller loss, without end."""
    disparity = inputs.day.perceived.disparities[0]
    depth = day_depth(inputs)
    ratio = np.median(1 / depth.detach()) / np.median(inputs.teacher_disparity)
    target = 1 / (inputs.teacher_disparity * ratio)
    still = without_pull_on_scale(depth)
    expected = torch.autograd.grad(depth_distillation(still, target, 1.0), disparity)
    found = torch.autograd.grad(distil(depth_space='depth')(inputs)['total'], disparity)
    torch.testing.assert_close(found, expected)


def test_an_affine_teacher_may_have_its_zero_anywhere(inputs):
    loss = distil(teacher_depth='affine')
    terms = loss(inputs)
    expected = affine_invariant_distillation(1 / day_depth(inputs), inputs.teacher_disparity)
    torch.testing.assert_close(terms['depth_distillation/day'], expected)
    shifted = 9 * inputs.teacher_disparity + 4
    again = loss(dataclasses.replace(inputs, teacher_disparity=shifted))
    torch.testing.assert_close(again['total'], terms['total'])
    other = distil()(dataclasses.replace(inputs, teacher_disparity=shifted))['total']
    assert abs(other - distil()(inputs)['total']) > 0.01


def test_night_must_get_the_days_scale_right(inputs):
    day = inputs.day.perceived
    night = day._replace(disparities={s: d / 2 for s, d in day.disparities.items()})
    weights = dataclasses.replace(NOTHING, consistency=1, consistency_synthetic=0)
    doubled = View(inputs.day.image, night)
    terms = TotalLoss(weights)(dataclasses.replace(inputs, synthetic_night=doubled))
    assert terms['total'] > 0.05
