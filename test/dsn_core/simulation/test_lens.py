"""Drops on the lens."""

import numpy as np

from dsn_core.simulation.lens import Drops, draw_drops


def drops(wet=1.0):
    for seed in range(20):
        found = draw_drops(np.random.default_rng(seed), 64, 96, wet)
        if found is not None:
            return found
    raise AssertionError('no drops in twenty')


def test_a_dry_street_leaves_the_lens_dry():
    assert all(draw_drops(np.random.default_rng(s), 64, 96, 0.0) is None for s in range(20))


def test_only_what_is_behind_water_changes():
    water = drops()
    light = np.random.default_rng(0).random((64, 96, 3), np.float32)
    out = water.refract(light)
    assert np.array_equal(out[water.share == 0], light[water.share == 0])
    assert 0 < (water.share > 0).mean() < 0.6
    assert not np.array_equal(out, light)


def test_a_drop_shows_the_street_upside_down():
    # One drop in the middle, by hand: what is above comes from below.
    v, u = np.mgrid[0:64, 0:96].astype(np.float32)
    water = Drops(95 - u, 63 - v, np.ones((64, 96), np.float32), 0.5)
    light = np.zeros((64, 96, 3), np.float32)
    light[:32] = 1.0
    out = water.refract(light)
    assert out[:30].max() < 0.1
    assert out[34:].min() > 0.9
    drawn = drops()
    inside = drawn.share > 0
    rows = np.mgrid[0:64, 0:96][0]
    assert (np.abs(drawn.v - rows)[inside] > 1).mean() > 0.5
