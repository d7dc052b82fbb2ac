"""Eq 15 and 16."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import images, ssim_by_windows, tensors

from dsn_core.losses import depth_distillation, segmentation_distillation
from dsn_core.losses.distillation import teacher_depth_in_unit_of


def depths(seed=0, shape=(2, 1, 4, 5)):
    return images(seed, *shape) + 0.5, 20 * images(seed + 1, *shape) + 5


def test_depth_by_numpy():
    depth, teacher = depths()
    scaled = np.empty_like(teacher)
    for b in range(2):
        scaled[b] = teacher[b] * np.median(depth[b]) / np.median(teacher[b])
    expected = np.mean((depth - scaled) ** 2) + np.mean(1 - ssim_by_windows(depth, scaled))
    assert float(depth_distillation(*tensors(depth, teacher))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('per_image', [False, True])
def test_depth_with_a_scale_given(per_image):
    depth, teacher = depths(2)
    scale = np.array([0.1, 0.2]) if per_image else np.array([0.1, 0.1])
    scaled = teacher * scale[:, None, None, None]
    expected = np.mean((depth - scaled) ** 2) + np.mean(1 - ssim_by_windows(depth, scaled))
    given = torch.from_numpy(scale) if per_image else 0.1
    found = depth_distillation(*tensors(depth, teacher), given)
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_the_teachers_scale_does_not_matter():
    depth, teacher = tensors(*depths(4))
    loss = depth_distillation(depth, teacher)
    torch.testing.assert_close(depth_distillation(depth, 37 * teacher), loss)
    assert float(depth_distillation(depth, 37 * depth)) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(depth_distillation(depth[:, 0], teacher[:, 0]), loss)


def test_depth_gradient_and_none_for_the_teacher():
    depth, teacher = (t.requires_grad_(True) for t in tensors(*depths(6, (1, 1, 4, 4))))
    constant = teacher.detach()
    check = torch.autograd.gradcheck
    assert check(lambda d: depth_distillation(d, constant, 0.1), (depth,))
    depth_distillation(depth, teacher).backward()
    assert teacher.grad is None


def test_the_ratio_of_the_medians_is_held_fixed():
    """Were it differentiated, a smaller depth would mean a smaller loss, without end."""
    depth, teacher = tensors(*depths(8))
    depth.requires_grad_(True)
    medians = [np.median(t.detach().reshape(2, -1), axis=1) for t in (depth, teacher)]
    ratio = torch.from_numpy(medians[0] / medians[1])
    expected = torch.autograd.grad(depth_distillation(depth, teacher, ratio), depth)
    found = torch.autograd.grad(depth_distillation(depth, teacher), depth)
    torch.testing.assert_close(found, expected)


def test_the_teachers_depth_in_the_students_unit_by_numpy():
    depth, disparity = depths(10)
    disparity[:, :, 0] = 0  # the sky
    found = teacher_depth_in_unit_of(*tensors(depth, disparity), max_depth=1.2)
    for b in range(2):
        near = disparity[b] > 0
        ratio = np.median(1 / depth[b][near]) / np.median(disparity[b][near])
        with np.errstate(divide='ignore'):
            expected = np.minimum(1 / (ratio * disparity[b]), 1.2)
        assert 0 < np.mean(expected == 1.2) < 1
        np.testing.assert_allclose(found[b], expected)


@pytest.mark.parametrize('rows', [1, 3, 4])
def test_a_sky_infinitely_far_leaves_the_scale_alone(rows):
    depth, _ = tensors(*depths(12))
    depth.requires_grad_(True)
    disparity = 7 / depth.detach()
    disparity[0, :, :rows] = 0
    found = teacher_depth_in_unit_of(depth, disparity, max_depth=50.0)
    assert not found.requires_grad
    assert (found[0, :, :rows] == 50).all()
    torch.testing.assert_close(found[0, :, rows:], depth[0, :, rows:].detach())
    torch.testing.assert_close(found[1], depth[1].detach())


def classes(seed=0, shape=(2, 4, 3, 5)):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, shape)
    teacher = rng.dirichlet(np.full(shape[1], 0.5), (shape[0], *shape[2:])).transpose(0, 3, 1, 2)
    return logits, np.ascontiguousarray(teacher)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize('threshold', [0.0, 0.1, 0.6])
def test_soft_labels_by_numpy(threshold):
    logits, teacher = classes()
    log_p = log_softmax(logits)
    errors = [
        -np.sum(teacher[b, :, v, u] * log_p[b, :, v, u])
        for b in range(2)
        for v in range(3)
        for u in range(5)
        if teacher[b, :, v, u].max() > threshold
    ]
    assert threshold < 0.5 or 0 < len(errors) < 30
    found = segmentation_distillation(*tensors(logits, teacher), threshold)
    assert float(found) == pytest.approx(np.mean(errors), abs=1e-6)


@pytest.mark.parametrize('dtype', [np.int64, np.uint8])
@pytest.mark.parametrize('sure', [False, True])
def test_hard_labels_by_numpy(sure, dtype):
    logits, teacher = classes(1)
    labels, confidence = teacher.argmax(axis=1), images(2, 2, 3, 5)
    labels[0, 1] = 255
    keep = (labels != 255) & (sure | (confidence > 0.1))
    log_p = log_softmax(logits)
    errors = [-log_p[b, labels[b, v, u], v, u] for b, v, u in zip(*np.nonzero(keep), strict=True)]
    found = segmentation_distillation(
        *tensors(logits, labels.astype(dtype)),
        confidence=None if sure else torch.from_numpy(confidence),
    )
    assert float(found) == pytest.approx(np.mean(errors), abs=1e-6)


def test_hard_labels_are_one_hot_soft_ones():
    logits, teacher = tensors(*classes(3))
    labels = teacher.argmax(dim=1)
    one_hot = torch.nn.functional.one_hot(labels, 4).movedim(3, 1).double()
    hard = segmentation_distillation(logits, labels)
    torch.testing.assert_close(segmentation_distillation(logits, one_hot), hard)


def test_least_where_the_network_says_what_the_teacher_says():
    _, teacher = tensors(*classes(4))
    logits = teacher.clamp(min=1e-9).log().requires_grad_(True)
    segmentation_distillation(logits, teacher).backward()
    assert logits.grad.abs().max() < 1e-8


@pytest.mark.parametrize('soft', [False, True])
def test_pixels_left_out_have_no_gradient(soft):
    logits, teacher = tensors(*classes(5))
    logits.requires_grad_(True)
    labels = teacher.argmax(dim=1)
    teacher[:, :, 0] = 0.05
    labels[:, 0] = 255
    loss = segmentation_distillation(logits, teacher if soft else labels)
    loss.backward()
    assert not logits.grad[:, :, 0].any()
    assert logits.grad[:, :, 1:].any(dim=1).all()


def test_nothing_kept_is_zero_and_still_has_a_gradient():
    logits, _ = tensors(*classes(6))
    logits.requires_grad_(True)
    loss = segmentation_distillation(logits, torch.full((2, 3, 5), 255))
    loss.backward()
    assert not loss.any()
    assert not logits.grad.any()


def test_segmentation_gradient():
    logits, teacher = tensors(*classes(7, (1, 3, 2, 3)))
    logits.requires_grad_(True)
    check = torch.autograd.gradcheck
    assert check(lambda x: segmentation_distillation(x, teacher, 0.4), (logits,))
    labels = teacher.argmax(dim=1)
    assert check(lambda x: segmentation_distillation(x, labels), (logits,))


def test_wrong_shapes_are_named():
    depth = torch.ones(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r'^depth must be'):
        depth_distillation(torch.ones(2, 3, 4, 4), depth)
    with pytest.raises(ValueError, match=r'^teacher_depth must be'):
        depth_distillation(depth, depth[..., 1:])
    with pytest.raises(ValueError, match=r'^scale must be'):
        depth_distillation(depth, depth, torch.ones(3))
    with pytest.raises(ValueError, match=r'^teacher_disparity must be'):
        teacher_depth_in_unit_of(depth, depth[..., 1:], 100.0)
    logits = torch.ones(1, 3, 4, 4)
    ids = torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r'^logits must be'):
        segmentation_distillation(logits[0], logits)
    with pytest.raises(ValueError, match=r'^teacher_probabilities must be'):
        segmentation_distillation(logits, logits[:, :2])
    with pytest.raises(ValueError, match=r'^teacher_probabilities as class ids'):
        segmentation_distillation(logits, ids[:, 1:])
    with pytest.raises(ValueError, match=r'^confidence must be'):
        segmentation_distillation(logits, ids, confidence=torch.ones(1, 4, 3))
    with pytest.raises(ValueError, match=r'^confidence goes with hard labels'):
        segmentation_distillation(logits, logits, confidence=torch.ones(1, 4, 4))
