"""The losses against ground truth, held against float64 NumPy, gradcheck and identities."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.losses import (
    label_cross_entropy,
    log_depth_error,
    log_depth_gradient_error,
)


def maps(seed=0, shape=(2, 5, 7)):
    rng = np.random.default_rng(seed)
    depth, target = rng.uniform(0.5, 80, shape), rng.uniform(0.5, 80, shape)
    target[rng.random(shape) < 0.3] = 0
    return depth, target


def test_log_depth_error_by_numpy():
    depth, target = maps()
    measured = target > 0
    expected = np.abs(np.log(depth[measured]) - np.log(target[measured])).mean()
    loss = log_depth_error(torch.from_numpy(depth), torch.from_numpy(target))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_log_depth_error_is_zero_at_the_solution_and_where_nothing_is_measured():
    depth, target = (torch.from_numpy(m) for m in maps())
    assert float(log_depth_error(torch.where(target > 0, target, depth), target)) == 0
    assert float(log_depth_error(depth, torch.zeros_like(depth))) == 0


def test_log_depth_error_weighs_ten_percent_alike_near_and_far():
    target = torch.tensor([[[2.0, 60.0]]])
    error = (target * 1.1).log() - target.log()
    assert float(log_depth_error(target * 1.1, target)) == pytest.approx(float(error.mean()))
    assert float(error[0, 0, 0]) == pytest.approx(float(error[0, 0, 1]), abs=1e-6)


def test_log_depth_error_gradient():
    depth, target = (torch.from_numpy(m) for m in maps(shape=(1, 3, 4)))
    depth.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda d: log_depth_error(d, target), (depth,))


def test_unmeasured_pixels_get_no_gradient():
    depth, target = (torch.from_numpy(m) for m in maps())
    depth.requires_grad_(True)
    log_depth_error(depth, target).backward()
    assert depth.grad is not None
    assert not depth.grad[target == 0].any()
    assert depth.grad[target > 0].all()


@pytest.mark.parametrize('shape', [(2, 9, 13), (1, 4, 3)])
def test_log_depth_gradient_error_by_numpy(shape):
    depth, target = maps(shape=shape)
    expected = 0.0
    for stride in (1, 2, 4, 8):
        d, t = depth[:, ::stride, ::stride], target[:, ::stride, ::stride]
        for axis in (1, 2):
            jumps = []
            for index in np.ndindex(d.shape):
                other = list(index)
                other[axis] += 1
                if other[axis] < d.shape[axis] and t[index] > 0 and t[tuple(other)] > 0:
                    here, there = d[index] / t[index], d[tuple(other)] / t[tuple(other)]
                    jumps.append(abs(np.log(there / here)))
            expected += np.mean(jumps) if jumps else 0.0
    loss = log_depth_gradient_error(torch.from_numpy(depth), torch.from_numpy(target))
    assert float(loss) == pytest.approx(expected / 8, rel=1e-9)


def test_log_depth_gradient_error_knows_no_scale():
    depth, target = (torch.from_numpy(m) for m in maps())
    assert float(log_depth_gradient_error(3 * target.clamp(min=1), target)) == pytest.approx(
        float(log_depth_gradient_error(target.clamp(min=1), target))
    )
    everywhere = depth + 1
    assert float(log_depth_gradient_error(3 * everywhere, everywhere)) == pytest.approx(
        0, abs=1e-9
    )
    assert float(log_depth_gradient_error(depth, torch.zeros_like(depth))) == 0


def test_log_depth_gradient_error_asks_for_the_edge_where_it_is():
    step = torch.tensor([5.0] * 8 + [40.0] * 8).expand(1, 4, 16)
    beside = torch.roll(step, 2, dims=2)
    blurred = step.clone()
    blurred[..., 6:10] = torch.tensor([8.0, 12.0, 18.0, 27.0])
    right = log_depth_gradient_error(step, step)
    assert float(right) == 0
    assert log_depth_gradient_error(blurred, step) < log_depth_gradient_error(beside, step)
    assert float(log_depth_gradient_error(blurred, step)) > 0.05


def test_log_depth_gradient_error_gradient():
    depth, target = (torch.from_numpy(m) for m in maps(shape=(1, 3, 5)))
    depth.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda d: log_depth_gradient_error(d, target), (depth,))


def logits_and_labels(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, 4, 5, 6))
    labels = rng.integers(0, 4, (2, 5, 6))
    labels[rng.random(labels.shape) < 0.3] = 255
    return logits, labels


@pytest.mark.parametrize('weighted', [False, True])
def test_label_cross_entropy_by_numpy(weighted):
    logits, labels = logits_and_labels()
    weights = np.array([1.0, 2.0, 0.5, 4.0]) if weighted else np.ones(4)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    total = norm = 0.0
    for b, v, u in zip(*np.nonzero(labels != 255), strict=True):
        c = labels[b, v, u]
        total -= weights[c] * log_p[b, c, v, u]
        norm += weights[c]
    loss = label_cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(labels),
        torch.from_numpy(weights) if weighted else None,
    )
    assert float(loss) == pytest.approx(total / norm, rel=1e-12)


def test_nothing_labelled_is_zero_and_still_has_a_gradient():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = label_cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert float(loss) == 0
    assert not logits.grad.any()
