"""Speed supervision, which is not in the paper."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.losses import speed_supervision

TRANSLATION = np.array([[3.0, 0.0, 4.0], [0.0, 0.5, 1.0], [0.1, 0.2, 0.3]])
DISTANCE = np.array([4.0, 2.0, np.nan])


def test_by_numpy_over_the_known():
    expected = (abs(5 - 4) + abs(np.sqrt(1.25) - 2)) / 2
    found = speed_supervision(torch.from_numpy(TRANSLATION), torch.from_numpy(DISTANCE))
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_zero_at_the_solution_and_with_nothing_known():
    translation = torch.from_numpy(TRANSLATION)
    assert float(speed_supervision(translation, translation.norm(dim=1))) == 0
    assert float(speed_supervision(translation, torch.full((3,), torch.nan))) == 0


def test_gradient_also_beside_the_unknown():
    translation = torch.from_numpy(TRANSLATION).requires_grad_(True)
    distance = torch.from_numpy(DISTANCE)
    assert torch.autograd.gradcheck(lambda t: speed_supervision(t, distance), (translation,))
    speed_supervision(translation, distance).backward()
    assert translation.grad.isfinite().all()
    assert not translation.grad[2].any()


def test_a_standing_camera_has_a_finite_gradient():
    still = torch.zeros(1, 3, requires_grad=True)
    speed_supervision(still, torch.ones(1)).backward()
    assert still.grad.isfinite().all()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'^translation must be'):
        speed_supervision(torch.ones(3), torch.ones(1))
    with pytest.raises(ValueError, match=r'^distance must be'):
        speed_supervision(torch.ones(2, 3), torch.ones(3))
