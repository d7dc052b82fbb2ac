"""Colour jitter: by independent arithmetic, and nothing where nothing is asked."""

import colorsys

import numpy as np
import pytest

from dsn_core.data.jitter import ColourJitter


@pytest.fixture
def image():
    return np.random.default_rng(0).random((6, 8, 3)).astype(np.float32)


def grey(image):
    return image @ np.array([0.299, 0.587, 0.114])


def test_none_is_the_same_picture(image):
    assert ColourJitter()(image) is image


def test_each_step(image):
    np.testing.assert_allclose(
        ColourJitter(brightness=1.2)(image), np.clip(image * 1.2, 0, 1), atol=1e-6
    )
    mean = grey(image).mean()
    np.testing.assert_allclose(
        ColourJitter(contrast=0.8)(image), mean + (image - mean) * 0.8, atol=1e-5
    )
    tone = grey(image)[..., None]
    np.testing.assert_allclose(
        ColourJitter(saturation=0.8)(image), tone + (image - tone) * 0.8, atol=1e-5
    )
    turned = np.empty_like(image)
    for index in np.ndindex(image.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*map(float, image[index]))
        turned[index] = colorsys.hsv_to_rgb((h + 0.07) % 1, s, v)
    np.testing.assert_allclose(ColourJitter(hue=0.07)(image), turned, atol=2e-3)


def test_order_matters_and_is_kept(image):
    first = ColourJitter(1.2, 0.8, order=(0, 1, 2, 3))(image)
    second = ColourJitter(1.2, 0.8, order=(1, 0, 2, 3))(image)
    assert np.abs(first - second).max() > 1e-3


def test_drawn_within_the_published_range(image):
    rng = np.random.default_rng(1)
    drawn = [ColourJitter.draw(rng) for _ in range(300)]
    for name, low, high in (
        ('brightness', 0.8, 1.2),
        ('contrast', 0.8, 1.2),
        ('saturation', 0.8, 1.2),
        ('hue', -0.1, 0.1),
    ):
        values = np.array([getattr(j, name) for j in drawn])
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    assert len({j.order for j in drawn}) == 24
    result = drawn[0](image)
    assert result.dtype == np.float32
    assert 0 <= result.min() <= result.max() <= 1
