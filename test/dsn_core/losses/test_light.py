"""The terms of Eq 1-3."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import dissimilarity, images, tensors

from dsn_core.losses import exposure_control, light_similarity, total_variation


def test_total_variation_by_numpy():
    r = images(0, 2, 3, 5, 7) * 2 - 1
    height, width = 5, 7
    down = np.sum((r[:, :, 1:] - r[:, :, :-1]) ** 2)
    across = np.sum((r[..., 1:] - r[..., :-1]) ** 2)
    expected = 2 * (down / ((height - 1) * width) + across / (height * (width - 1))) / 2
    assert float(total_variation(torch.from_numpy(r))) == pytest.approx(expected, abs=1e-6)


def test_total_variation_of_an_even_light_is_zero_and_does_not_grow_with_the_batch():
    assert float(total_variation(torch.full((2, 3, 4, 4), -0.3))) == 0
    light = torch.from_numpy(images(1, 1, 3, 4, 4))
    torch.testing.assert_close(total_variation(light.repeat(3, 1, 1, 1)), total_variation(light))


@pytest.mark.parametrize('patch', [2, 4])
def test_exposure_control_by_numpy(patch):
    image, level = images(2, 2, 3, 8, 12), images(3, 2)
    errors = []
    for b in range(2):
        for v in range(0, 8, patch):
            for u in range(0, 12, patch):
                mean = image[b, :, v : v + patch, u : u + patch].mean()
                errors.append((mean - level[b]) ** 2)
    found = exposure_control(*tensors(image, level), patch=patch)
    assert float(found) == pytest.approx(np.mean(errors), abs=1e-6)


def test_exposure_levels_may_be_a_number_or_broadcast():
    image = torch.from_numpy(images(4, 2, 3, 4, 6))
    loss = exposure_control(image, 0.4, patch=2)
    for level in (torch.tensor(0.4), torch.full((2,), 0.4), torch.full((2, 1, 1, 1), 0.4)):
        torch.testing.assert_close(exposure_control(image, level.double(), patch=2), loss)
    assert float(exposure_control(torch.full((1, 3, 64, 64), 0.25), 0.25)) == 0


def test_light_similarity_by_numpy():
    image, light = images(5, 2, 3, 5, 5), images(6, 2, 3, 5, 5) - 0.5
    found = light_similarity(*tensors(image + light, image))
    assert float(found) == pytest.approx(dissimilarity(image + light, image).mean(), abs=1e-6)
    assert float(light_similarity(*tensors(image, image))) == 0


def test_gradients():
    light, image = tensors(images(7, 1, 2, 4, 4), images(8, 1, 2, 4, 4))
    light.requires_grad_(True)
    check = torch.autograd.gradcheck
    assert check(total_variation, (light,))
    assert check(lambda r: exposure_control(image + r, 0.5, patch=2), (light,))
    assert check(lambda r: light_similarity(image + r, image), (light,))


def test_wrong_shapes_are_named():
    image = torch.ones(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r'^light must be'):
        total_variation(image[0])
    with pytest.raises(ValueError, match=r'^image must be'):
        exposure_control(image[0], 0.5)
    with pytest.raises(ValueError, match=r'^patch must be'):
        exposure_control(image, 0.5)
    with pytest.raises(ValueError, match=r'^level must be'):
        exposure_control(image, torch.ones(3), patch=2)
    with pytest.raises(ValueError, match=r'^level must be'):
        exposure_control(image, torch.ones(5, 2, 1, 1, 1), patch=2)
    with pytest.raises(ValueError, match=r'^enhanced must be'):
        light_similarity(image[0], image)
