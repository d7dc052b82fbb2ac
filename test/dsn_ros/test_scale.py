"""The options of the scale, and the model's own, by which the focal length is all that matters."""

import math

import pytest
from support.stand_in_engine import HEIGHT, WIDTH, metadata

from dsn_ros.camera import Camera
from dsn_ros.scale import MODES, Scale, ScaleOptions, depth_scale
from dsn_ros.scale_estimate import Estimate

# 60 and 15 pixels, and 30 their mean, at the size that was shown.
CAMERA = Camera.pinhole(WIDTH, HEIGHT, 60, 15, WIDTH / 2, HEIGHT / 2)


@pytest.mark.parametrize(
    ('options', 'model', 'camera', 'expected'),
    [
        ({}, {'focal_length': 20.0}, CAMERA, Scale(1.5, True, 'model and focal length')),
        ({}, {'focal_length': 20.0}, None, Scale(1.0, False, 'the camera is not calibrated')),
        ({}, {}, None, Scale(1.0, True, 'model')),
        ({}, {'scale': 'relative'}, CAMERA, Scale(1.0, False, 'the model is relative')),
        (
            {'mode': 'fixed', 'factor': 2.5},
            {'scale': 'relative', 'focal_length': 20.0},
            CAMERA,
            Scale(2.5, True, 'fixed'),
        ),
        (
            {'mode': 'ground', 'factor': 2.5},
            {'focal_length': 20.0},
            CAMERA,
            Scale(1.5, True, 'model and focal length'),
        ),
    ],
)
def test_the_scale_of_the_model(options, model, camera, expected):
    found = depth_scale(ScaleOptions(**options), metadata(**model), camera)
    assert (found.metric, found.source) == (expected.metric, expected.source)
    assert found.factor == pytest.approx(expected.factor)
    assert (found.spread, found.measure) == (None, None)


def test_which_modes_measure():
    assert [ScaleOptions(mode).measured for mode in MODES] == [False, False, True, True]
    assert ScaleOptions() == ScaleOptions('none', 1.0, 0.0, 5.0, 10.0)


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'mode': 'road'}, "mode must be one of none, fixed, ground, odometry, got 'road'"),
        ({'factor': 0.0}, 'factor must be above zero, got 0.0'),
        ({'factor': math.inf}, 'factor must be above zero, got inf'),
        ({'camera_height': -0.1}, 'camera_height must be above zero, or 0 for tf, got -0.1'),
        ({'camera_height': math.inf}, 'camera_height must be above zero, or 0 for tf, got inf'),
        ({'window': 0.0}, 'window must be above zero seconds, got 0.0'),
        ({'window': math.inf}, 'window must be above zero seconds, got inf'),
        ({'hold': 0.0}, 'hold must be above zero seconds, got 0.0'),
        ({'hold': math.inf}, 'hold must be above zero seconds, got inf'),
    ],
)
def test_wrong_options_are_named_with_what_they_were(wrong, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is the next line
        ScaleOptions(**wrong)
    assert str(caught.value) == f'scale.{said}'


def test_small_options_are_options():
    ScaleOptions(factor=0.01, camera_height=0.5, window=0.5, hold=0.5)
    ScaleOptions(camera_height=0.0)


def test_an_estimate_without_a_reason_is_usable():
    assert Estimate(2.0, 0.1, 3).usable
    none = Estimate.none('fog')
    assert (none.usable, none.reason, none.inliers) == (False, 'fog', 0)
    assert math.isnan(none.factor)
    assert math.isnan(none.sigma)
    assert Estimate.none('fog', 7).inliers == 7
