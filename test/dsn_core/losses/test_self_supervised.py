"""View synthesis over sources and scales on a scene whose depth and poses are known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import SlantedPlane, images, photometric, tensors
from torch.nn.functional import interpolate

from dsn_core.geometry import warp
from dsn_core.losses import (
    Frames,
    edge_aware_smoothness,
    multiscale_smoothness,
    unwarped_error,
    view_synthesis_error,
)
from dsn_core.models.decoder import disparity_to_depth

MIN_DEPTH, MAX_DEPTH = 0.5, 50.0
RANGE = {'min_depth': MIN_DEPTH, 'max_depth': MAX_DEPTH}


def scene():
    """Frames of the plane before and after the target, and its exact disparities."""
    plane = SlantedPlane()
    before = plane.transform(axis_angle=(0.01, 0.02, -0.01), translation=(-0.2, 0.1, -0.25))
    after = plane.transform()
    target, depth = plane.render(np.eye(4))
    pictures = [plane.render(t)[0][None] for t in (before, after)]
    frames = Frames(
        *tensors(target[None]),
        sources=tuple(tensors(*pictures)),
        transforms=tuple(tensors(before[None], after[None])),
        intrinsics=torch.from_numpy(plane.intrinsics),
    )
    return frames, disparities_of(torch.from_numpy(depth[None, None]))


def disparities_of(depth):
    disparity = (1 / depth - 1 / MAX_DEPTH) / (1 / MIN_DEPTH - 1 / MAX_DEPTH)
    return {s: interpolate(disparity, scale_factor=0.5**s, mode='area') for s in range(4)}


def test_exact_depth_leaves_nearly_nothing_at_every_scale():
    frames, disparities = scene()
    for s in range(4):
        assert view_synthesis_error(disparities, frames, scales=[s], **RANGE) < 0.01
    exact = view_synthesis_error(disparities, frames, **RANGE)
    for wrong in (0.8, 1.25):
        depth = wrong * disparity_to_depth(disparities[0], MIN_DEPTH, MAX_DEPTH)
        assert view_synthesis_error(disparities_of(depth), frames, **RANGE) > 3 * exact


@pytest.mark.parametrize('minimum', [False, True])
@pytest.mark.parametrize('masked', [False, True])
def test_by_numpy(minimum, masked):
    """Random maps at two scales; the pictures from ``warp``, which has tests of its own."""
    frames, _ = scene()
    maps = {s: images(s, 1, 1, 32 >> s, 48 >> s) for s in (0, 1)}
    unwarped = unwarped_error(frames.target, frames.sources) if masked else None
    errors = []
    for disparity in maps.values():
        full = interpolate(*tensors(disparity), size=(32, 48), mode='bilinear').numpy()
        depth = 1 / (1 / MAX_DEPTH + (1 / MIN_DEPTH - 1 / MAX_DEPTH) * full)
        per_source = []
        for source, transform in zip(frames.sources, frames.transforms, strict=True):
            view = warp(source, torch.from_numpy(depth), frames.intrinsics, transform).image
            per_source.append(photometric(frames.target.numpy(), view.numpy()))
        error = np.min(per_source, axis=0) if minimum else np.mean(per_source, axis=0)
        errors.append((np.minimum(error, unwarped.numpy()) if masked else error).mean())
    found = view_synthesis_error(
        {s: torch.from_numpy(m) for s, m in maps.items()},
        frames,
        unwarped,
        minimum=minimum,
        scales=(0, 1),
        **RANGE,
    )
    assert float(found) == pytest.approx(np.mean(errors), abs=1e-6)


def test_a_standing_camera_trains_nothing():
    frames, disparities = scene()
    still = Frames(frames.target, (frames.target,), frames.transforms[:1], frames.intrinsics)
    disparities = {s: d.requires_grad_(True) for s, d in disparities.items()}
    unwarped = unwarped_error(still.target, still.sources)
    view_synthesis_error(disparities, still, unwarped, **RANGE).backward()
    assert not any(d.grad.any() for d in disparities.values())
    view_synthesis_error(disparities, still, **RANGE).backward()
    assert all(d.grad.any() for d in disparities.values())


def test_depth_and_pose_descend_to_the_solution():
    """A step along the gradient lowers the error: the chain from loss to pixel is whole."""
    frames, disparities = scene()
    start = {0: (1.15 * disparities[0]).requires_grad_(True)}
    loss = view_synthesis_error(start, frames, scales=[0], **RANGE)
    (gradient,) = torch.autograd.grad(loss, start[0])
    assert (gradient * (disparities[0] - start[0])).sum() < 0
    step = {0: start[0] - 1e-3 * gradient / gradient.norm()}
    assert view_synthesis_error(step, frames, scales=[0], **RANGE) < loss


def test_smoothness_is_halved_with_each_scale():
    maps = {s: torch.from_numpy(images(s, 2, 1, 16 >> s, 16 >> s) + 0.1) for s in range(4)}
    image = torch.from_numpy(images(9, 2, 3, 16, 16))
    expected = 0.0
    for s, disparity in maps.items():
        blocks = image.numpy().reshape(2, 3, 16 >> s, 1 << s, 16 >> s, 1 << s).mean((3, 5))
        expected += float(edge_aware_smoothness(disparity, torch.from_numpy(blocks))) / 2**s / 4
    assert float(multiscale_smoothness(maps, image)) == pytest.approx(expected, abs=1e-6)


def test_gradients():
    frames, disparities = scene()
    small = {0: torch.from_numpy(images(3, 1, 1, 4, 6)).requires_grad_(True)}
    transforms = tuple(t.clone().requires_grad_(True) for t in frames.transforms)
    cut = tuple(s[..., :4, :6] for s in frames.sources)
    target = frames.target[..., :4, :6]

    def error(disparity, one, two):
        part = Frames(target, cut, (one, two), frames.intrinsics)
        return view_synthesis_error({0: disparity}, part, scales=[0], **RANGE)

    assert torch.autograd.gradcheck(error, (small[0], *transforms))
    assert torch.autograd.gradcheck(
        lambda d: multiscale_smoothness({1: d}, frames.target, scales=[1]),
        (disparities[3].requires_grad_(True),),
    )


def test_what_is_missing_is_named():
    frames, disparities = scene()
    with pytest.raises(ValueError, match='disparities must hold scale 3'):
        view_synthesis_error({0: disparities[0]}, frames, scales=[3])
    with pytest.raises(ValueError, match=r'^sources must hold at least one'):
        Frames(frames.target, (), (), frames.intrinsics)
    with pytest.raises(ValueError, match=r'^transforms must be one for each of 2 sources'):
        Frames(frames.target, frames.sources, frames.transforms[:1], frames.intrinsics)
    with pytest.raises(ValueError, match=r'^distances must be one for each of 2 sources'):
        Frames(frames.target, frames.sources, frames.transforms, frames.intrinsics, ())
