"""Camera effects: exposure, glare, noise."""

import numpy as np

from dsn_core.simulation.effects import CameraEffects, auto_exposure, develop, draw_effects, glare

PLAIN = CameraEffects(
    least_white=1.0,
    glare_share=0,
    sharpness=0,
    vignette=0,
    electrons=1e9,
    read_noise=0,
    contrast=0,
    jpeg=0,
    gamma=2.2,
)


def _flat(value: float) -> np.ndarray:
    return np.full((64, 96, 3), value, np.float32)


def test_exposure_brings_any_bright_scene_to_the_same_level() -> None:
    levels = [float(develop(_flat(v), PLAIN, np.random.default_rng(0)).mean()) for v in (50, 9000)]
    assert abs(levels[0] - levels[1]) < 3
    assert abs(levels[0] - 255 * 0.2 ** (1 / 2.2)) < 8


def test_the_longest_exposure_is_limited_so_dark_stays_dark() -> None:
    assert auto_exposure(_flat(1e-4), PLAIN) == PLAIN.least_white
    assert develop(_flat(1e-4), PLAIN, np.random.default_rng(0)).mean() < 10


def test_a_few_lamps_do_not_darken_the_picture() -> None:
    scene = _flat(100.0)
    before = auto_exposure(scene, PLAIN)
    scene[28:32, 40:44] = 1e5
    assert 0.9 < auto_exposure(scene, PLAIN) / before < 1.1


def test_glare_spreads_light_and_keeps_its_sum() -> None:
    level = _flat(0.0)
    level[32:36, 48:52] = 50.0
    out = glare(level, CameraEffects(glare_share=0.1))
    assert out[32, 60].min() > 0
    assert abs(float(out.sum() / level.sum()) - 1) < 0.1


def test_noise_is_relatively_larger_in_the_dark() -> None:
    camera = CameraEffects(least_white=0.001, glare_share=0, vignette=0, jpeg=0, sharpness=0)
    day = develop(_flat(4000), camera, np.random.default_rng(0)).astype(float)
    night = develop(_flat(0.5), camera, np.random.default_rng(0)).astype(float)
    assert night.std() > 3 * day.std()


def test_drawn_cameras_develop_every_condition() -> None:
    for condition, lux in (('day', 4000.0), ('dusk', 30.0), ('night', 0.5)):
        camera = draw_effects(np.random.default_rng(1), condition)
        picture = develop(_flat(lux), camera, np.random.default_rng(2))
        assert picture.shape == (64, 96, 3)
        assert picture.dtype == np.uint8
