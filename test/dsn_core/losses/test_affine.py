"""The distillation that knows neither scale nor shift."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import images, tensors

from dsn_core.losses import affine_invariant_distillation

SHAPE = (2, 1, 11, 18)


def maps(seed=0, shape=SHAPE):
    return images(seed, *shape), 20 * images(seed + 1, *shape) - 3


def by_hand(disparity, teacher, keep):
    """The formula pixel by pixel."""
    r = np.zeros_like(disparity)
    for b in range(len(r)):
        sides = []
        for d in (disparity[b, 0], teacher[b, 0]):
            kept = d[keep[b, 0]]
            middle = np.median(kept)
            sides.append((d - middle) / np.mean(np.abs(kept - middle)))
        r[b, 0] = sides[0] - sides[1]
    loss = np.mean(np.abs(r[keep]))
    for k in range(4):
        across, down = [], []
        small, kept = r[:, 0, :: 2**k, :: 2**k], keep[:, 0, :: 2**k, :: 2**k]
        for b, v, u in np.ndindex(small.shape):
            if not kept[b, v, u]:
                continue
            if u + 1 < small.shape[2] and kept[b, v, u + 1]:
                across.append(abs(small[b, v, u + 1] - small[b, v, u]))
            if v + 1 < small.shape[1] and kept[b, v + 1, u]:
                down.append(abs(small[b, v + 1, u] - small[b, v, u]))
        loss += 0.5 * sum(np.mean(pairs) for pairs in (across, down) if pairs)
    return loss


def test_by_numpy():
    disparity, teacher = maps()
    found = affine_invariant_distillation(*tensors(disparity, teacher))
    everywhere = np.ones(SHAPE, dtype=bool)
    assert float(found) == pytest.approx(by_hand(disparity, teacher, everywhere), abs=1e-6)
    flat = affine_invariant_distillation(*tensors(disparity[:, 0], teacher[:, 0]))
    torch.testing.assert_close(flat, found)


@pytest.mark.parametrize('share', [0.3, 0.8, 0.97])
def test_with_a_mask_by_numpy(share):
    disparity, teacher = maps(2)
    keep = images(4, *SHAPE) < share
    found = affine_invariant_distillation(*tensors(disparity, teacher, keep))
    assert float(found) == pytest.approx(by_hand(disparity, teacher, keep), abs=1e-6)


@pytest.mark.parametrize(('scale', 'shift'), [(37.0, 0.0), (1e-4, 0.0), (2.0, 50.0), (1.0, -7.0)])
def test_scale_and_shift_of_either_do_not_matter(scale, shift):
    disparity, teacher = tensors(*maps(5))
    loss = affine_invariant_distillation(disparity, teacher)
    assert loss > 0.5
    moved = affine_invariant_distillation(disparity, scale * teacher + shift)
    torch.testing.assert_close(moved, loss)
    moved = affine_invariant_distillation(scale * disparity + shift, teacher)
    torch.testing.assert_close(moved, loss)
    turned = affine_invariant_distillation(disparity, -teacher)
    assert abs(turned - loss) > 1e-3


def test_zero_at_the_solution_only():
    disparity, teacher = tensors(*maps(7))
    assert float(affine_invariant_distillation(0.01 * teacher + 2, teacher)) < 1e-12
    teacher[0, 0, 3, 3] += 5
    assert affine_invariant_distillation(disparity, teacher) > 0.01


def test_gradient_and_none_for_the_teacher():
    disparity, teacher = (t.requires_grad_(True) for t in tensors(*maps(9, (2, 1, 4, 5))))
    constant = teacher.detach()
    keep = torch.from_numpy(images(11, 2, 1, 4, 5) < 0.7)
    check = torch.autograd.gradcheck
    assert check(lambda d: affine_invariant_distillation(d, constant), (disparity,))
    assert check(lambda d: affine_invariant_distillation(d, constant, keep), (disparity,))
    affine_invariant_distillation(disparity, teacher).backward()
    assert teacher.grad is None


def test_nothing_pulls_along_scale_and_shift():
    disparity, teacher = tensors(*maps(12))
    disparity.requires_grad_(True)
    affine_invariant_distillation(disparity, teacher).backward()
    gradient = disparity.grad.flatten(1)
    assert gradient.abs().max() > 1e-4
    assert gradient.sum(dim=1).abs().max() < 1e-10
    assert (gradient * disparity.detach().flatten(1)).sum(dim=1).abs().max() < 1e-10


@pytest.mark.parametrize('sky', [0.0, 1e6, float('inf'), float('nan')])
def test_what_is_left_out_changes_nothing(sky):
    disparity, teacher = tensors(*maps(14))
    mask = torch.ones(SHAPE)
    mask[:, :, :3] = 0
    expected = affine_invariant_distillation(disparity, teacher, mask)
    disparity[:, :, :3], teacher[:, :, :3] = sky, -sky
    disparity.requires_grad_(True)
    loss = affine_invariant_distillation(disparity, teacher, mask)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert not disparity.grad[:, :, :3].any()
    assert disparity.grad.isfinite().all()


def test_a_picture_left_out_or_without_contrast_is_no_nan():
    disparity, teacher = tensors(*maps(16))
    mask = torch.ones(SHAPE)
    mask[1] = 0
    alone = affine_invariant_distillation(disparity[:1], teacher[:1])
    torch.testing.assert_close(affine_invariant_distillation(disparity, teacher, mask), alone)
    disparity.requires_grad_(True)
    nothing = affine_invariant_distillation(disparity, teacher, torch.zeros(SHAPE))
    nothing.backward()
    assert not nothing.any()
    assert not disparity.grad.any()
    for flat in (0.0, 0.25):
        plain = torch.full(SHAPE, flat, requires_grad=True)
        against = affine_invariant_distillation(plain, teacher.float())
        against.backward()
        assert against.isfinite()
        assert plain.grad.isfinite().all()
        assert affine_invariant_distillation(disparity, torch.full_like(teacher, flat)).isfinite()


def test_each_picture_is_judged_by_its_own_size():
    """A map of tiny numbers has contrast, whatever other maps are beside it."""
    disparity, teacher = tensors(*maps(17))
    loss = affine_invariant_distillation(disparity, teacher)
    disparity[1] *= 1e-9
    torch.testing.assert_close(affine_invariant_distillation(disparity, teacher), loss)


def test_half_precision_is_raised():
    disparity, teacher = tensors(*maps(18))
    loss = affine_invariant_distillation(disparity.bfloat16(), teacher.bfloat16())
    assert loss.dtype == torch.float32


def test_wrong_shapes_are_named():
    disparity = torch.ones(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r'^disparity must be'):
        affine_invariant_distillation(torch.ones(2, 3, 4, 4), disparity)
    with pytest.raises(ValueError, match=r'^teacher_disparity must be'):
        affine_invariant_distillation(disparity, disparity[..., 1:])
    with pytest.raises(ValueError, match=r'^mask must be'):
        affine_invariant_distillation(disparity, disparity, torch.ones(2, 1, 4, 3))
