"""Eq 7 on disparity."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import images, tensors

from dsn_core.losses import edge_aware_smoothness


def by_loops(disparity, image):
    x_terms, y_terms = [], []
    for d, picture in zip(disparity[:, 0], image, strict=True):
        d = d / d.mean()
        height, width = d.shape
        for v in range(height):
            for u in range(width):
                here = picture[:, v, u]
                if u + 1 < width:
                    edge = np.abs(here - picture[:, v, u + 1]).mean()
                    x_terms.append(abs(d[v, u] - d[v, u + 1]) * np.exp(-edge))
                if v + 1 < height:
                    edge = np.abs(here - picture[:, v + 1, u]).mean()
                    y_terms.append(abs(d[v, u] - d[v + 1, u]) * np.exp(-edge))
    return np.mean(x_terms) + np.mean(y_terms)


def test_by_numpy():
    disparity, image = images(0, 2, 1, 5, 6) + 0.01, images(1, 2, 3, 5, 6)
    found = edge_aware_smoothness(*tensors(disparity, image))
    assert found.shape == ()
    assert float(found) == pytest.approx(by_loops(disparity, image), abs=1e-6)
    assert edge_aware_smoothness(*tensors(disparity[:, 0], image)).equal(found)


def test_zero_for_a_flat_map_and_the_same_for_any_scale():
    disparity, image = tensors(images(2, 2, 1, 5, 6) + 0.01, images(3, 2, 3, 5, 6))
    assert float(edge_aware_smoothness(torch.full_like(disparity, 0.3), image)) == 0
    loss = edge_aware_smoothness(disparity, image)
    torch.testing.assert_close(edge_aware_smoothness(7 * disparity, image), loss)


def test_a_step_costs_less_at_an_edge_of_the_picture():
    disparity = torch.ones(1, 1, 4, 6)
    disparity[..., 3:] = 2
    at_edge = torch.zeros(1, 3, 4, 6)
    at_edge[..., 3:] = 1
    beside = at_edge.roll(-1, dims=3)
    assert edge_aware_smoothness(disparity, at_edge) < edge_aware_smoothness(disparity, beside)


def test_gradient():
    disparity, image = tensors(images(4, 1, 1, 4, 4) + 0.1, images(5, 1, 3, 4, 4))
    disparity.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda d: edge_aware_smoothness(d, image), (disparity,))


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'^disparity must be'):
        edge_aware_smoothness(torch.ones(1, 2, 4, 4), torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r'^image must'):
        edge_aware_smoothness(torch.ones(1, 1, 4, 4), torch.ones(1, 3, 4, 5))
