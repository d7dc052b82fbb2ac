"""Narrow streets stand close beside the camera; the other streets are left as they were."""

import dataclasses

import numpy as np
import pytest

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation import SimulatedDrive, SimulatedFrame, SimulationError, SimulationOptions
from dsn_core.simulation.narrow import make_narrow_plan
from dsn_core.simulation.plan import make_plan

SMALL = SimulationOptions(height=96, width=160, fps=10, colour_scale=1.0, shadow_size=512)


@pytest.fixture(scope='module', autouse=True)
def _mujoco() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    try:
        _first(0, dataclasses.replace(SMALL, clutter=0))
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')


def _first(seed: int, options: SimulationOptions) -> SimulatedFrame:
    return next(iter(SimulatedDrive(seed, 'day', options).frames(1)))


def _beside(frame: SimulatedFrame) -> float:
    """Median depth of what stands in the outer quarters of the picture, metres."""
    standing = np.isin(
        frame.labels,
        [CITYSCAPES.id_of(n) for n in ('building', 'wall', 'fence', 'vegetation', 'car')],
    )
    standing[:, 40:-40] = False
    return float(np.median(frame.depth[standing])) if standing.any() else np.nan


@pytest.mark.slow
def test_what_stands_beside_is_half_as_far() -> None:
    narrow = dataclasses.replace(SMALL, narrow=1.0)
    pairs = [[_beside(_first(seed, o)) for o in (SMALL, narrow)] for seed in range(40, 46)]
    wide, close = np.nanmedian(np.array(pairs), axis=0)
    assert close < 0.6 * wide


@pytest.mark.slow
def test_a_street_is_the_ordinary_or_the_narrow_one_and_nothing_between() -> None:
    half = dataclasses.replace(SMALL, narrow=0.5)
    full = dataclasses.replace(SMALL, narrow=1.0)
    which = []
    for seed in range(31, 34):
        image = _first(seed, half).image
        same = [bool((image == _first(seed, o).image).all()) for o in (SMALL, full)]
        assert sum(same) == 1
        which.append(same[1])
    assert 0 < sum(which) < 3


def test_a_narrow_street_is_not_as_wide_as_the_others() -> None:
    rng = np.random.default_rng(5)
    narrow = [make_narrow_plan(rng, 400.0, 1.0) for _ in range(200)]
    others = [make_plan(rng, 400.0, 1.0) for _ in range(200)]
    between = [plan.back(1) + plan.back(-1) for plan in narrow]
    assert max(2 * plan.half for plan in narrow) <= 5.8
    assert np.median(between) < 0.6 * np.median([plan.back(1) + plan.back(-1) for plan in others])
    assert all(plan.traffic == 0 for plan in narrow if plan.lane_width <= 2.3)
    assert any(max(plan.overgrown) > 0.5 for plan in narrow)
    assert all(plan.overgrown == (0.0, 0.0) for plan in others)
