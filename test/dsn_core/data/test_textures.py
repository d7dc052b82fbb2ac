"""Grain that says nothing of distance: by class, of any fineness, the same for a seed."""

import numpy as np

from dsn_core.data.augment import other_textures

SIZE = (96, 160)


def grey():
    return np.full((*SIZE, 3), 100, np.uint8)


def halves():
    """Two classes, left and right."""
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 80:] = 13
    return labels


def textured(seed, strength=1.0):
    return other_textures(grey(), halves(), np.random.default_rng(seed), strength)


def test_no_strength_changes_nothing():
    image = grey()
    assert other_textures(image, halves(), np.random.default_rng(0), 0.0) is image


def test_a_seed_gives_its_grain_and_another_another():
    assert np.array_equal(textured(3), textured(3))
    assert not np.array_equal(textured(3), textured(4))


def test_a_class_is_grained_whole_or_left_alone_whole():
    grained = []
    for seed in range(60):
        change = np.abs(textured(seed).astype(int) - 100).max(axis=-1)
        for part in (change[:, :80], change[:, 80:]):
            # Noise is near zero here and there; what is left alone is so everywhere.
            grained.append((part > 0).mean())
    left = np.array(grained) == 0
    assert 0.3 < left.mean() < 0.7
    assert np.array(grained)[~left].min() > 0.1


def test_colour_stays_and_brightness_varies_as_much_as_asked():
    # exp of noise of one standard deviation, |N(0, 0.33 s)| large
    spreads = {1.0: [], 0.5: []}
    for strength, found in spreads.items():
        for seed in range(200):
            part = textured(seed, strength)[:, :80].astype(float)
            assert np.ptp(part, axis=-1).max() == 0  # grey stays grey
            found.append(np.log(np.maximum(part, 1) / 100).std())
    strong, weak = (np.mean([s for s in found if s > 0]) for found in spreads.values())
    expected = 0.33 * np.sqrt(2 / np.pi)
    assert abs(strong / expected - 1) < 0.25
    assert abs(weak / strong - 0.5) < 0.1


def test_grain_is_fine_and_coarse():
    lengths = []
    for seed in range(60):
        part = textured(seed)[:, :80, 0].astype(float)
        if part.std() > 5:
            steps = np.abs(np.diff(part, axis=1)).mean() / part.std()
            lengths.append(steps)
    assert min(lengths) < 0.3
    assert max(lengths) > 0.7  # 1.13 for noise that differs from pixel to pixel
