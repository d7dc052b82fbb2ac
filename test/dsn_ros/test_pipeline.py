"""Frame in, perception out: values, sizes and stamps, with an engine one can compute by hand."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stand_in_engine import CAR, HEIGHT, SKY, WIDTH, StandInEngine
from support.stripes import striped

from dsn_core.labels import UNLABELLED
from dsn_ros.camera import Camera
from dsn_ros.cloud import CLOUD_DTYPE, organised_cloud
from dsn_ros.engines import Prediction
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions
from dsn_ros.scale import ScaleOptions


def picture(height=HEIGHT, width=WIDTH, green=255):
    """Blue stripes; red and green are the engine's."""
    return striped(height, width, green, red=0)


def camera(height=HEIGHT, width=WIDTH, f=50.0):
    return Camera.pinhole(width, height, f, f, (width - 1) / 2, (height - 1) / 2)


def test_sky_is_infinite_and_the_rest_is_the_engine_s():
    seen = Pipeline(StandInEngine()).process(Frame(picture(), 123, 'cam'))
    assert np.isposinf(seen.depth[:8]).all()
    assert seen.depth[8:, 0] == pytest.approx(100 / (1 + np.arange(8, HEIGHT)))
    assert (seen.labels[:8] == SKY).all()
    assert (seen.stamp_ns, seen.frame_id) == (123, 'cam')
    assert seen.depth.dtype == np.float32
    assert set(seen.latency_ms) == {'resize', 'infer', 'sanity', 'light', 'scale', 'finish'}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(['model', 'camera']))
def test_every_map_has_the_size_that_was_asked_for(height, width, size):
    pipeline = Pipeline(StandInEngine(), PipelineOptions(size))
    seen = pipeline.process(Frame(picture(height, width), camera=camera(height, width)))
    wanted = (HEIGHT, WIDTH) if size == 'model' else (height, width)
    for each in (seen.depth, seen.labels, seen.confidence, seen.image[..., 0]):
        assert each.shape == wanted
    assert (seen.camera.height, seen.camera.width) == wanted
    # The field of view stays what it was.
    assert seen.camera.k[0] / seen.camera.width == pytest.approx(50 / width)
    assert seen.camera.k[4] / seen.camera.height == pytest.approx(50 / height)


class ManySizes(StandInEngine):
    """Also answers at 96 x 64, upright."""

    def size_for(self, height, width):
        return self.metadata.size if width > height else (WIDTH, HEIGHT)

    def infer(self, images):
        if images.shape[1:3] == self.metadata.size:
            return super().infer(images)
        turned = super().infer(np.ascontiguousarray(images.swapaxes(1, 2)))
        return Prediction(*(np.ascontiguousarray(each.swapaxes(1, 2)) for each in turned))


@pytest.mark.parametrize('fit', ['stretch', 'crop'])
def test_each_picture_is_shown_at_the_size_that_suits_its_shape(fit):
    pipeline = Pipeline(ManySizes(), PipelineOptions(fit=fit))
    for height, width, size in ((480, 640, (64, 96)), (640, 480, (96, 64))):
        seen = pipeline.process(Frame(picture(height, width), camera=camera(height, width)))
        for each in (seen.depth, seen.labels, seen.confidence, seen.image[..., 0]):
            assert each.shape == size
        assert (seen.camera.height, seen.camera.width) == size


def test_the_lens_of_a_metric_model_is_taken_at_the_size_shown():
    """Twice as many pixels for the same view: seen twice as near, and said as far as it is."""

    class Finer(StandInEngine):
        def size_for(self, height, width):
            return 2 * HEIGHT, 2 * WIDTH

        def infer(self, images):
            answer = super().infer(np.ascontiguousarray(images[:, ::2, ::2]))
            depth, labels, sure = (each.repeat(2, 1).repeat(2, 2) for each in answer)
            return Prediction(depth / 2, labels, sure)

    how = {'scale': 'metric', 'focal_length': 50.0}
    frame = Frame(picture(), camera=camera())
    coarse = Pipeline(StandInEngine(**how)).process(frame)
    fine = Pipeline(Finer(**how)).process(frame)
    assert fine.depth[::2, ::2] == pytest.approx(coarse.depth)


def test_enlarged_maps_hold_only_values_that_were_there():
    image = picture(HEIGHT * 3, WIDTH * 3)
    image[100:, 100:] = (255, 255, 0)
    seen = Pipeline(StandInEngine(), PipelineOptions('camera')).process(Frame(image))
    possible = {np.inf, *(np.float32(100) / (1 + np.arange(HEIGHT, dtype=np.float32)))}
    assert set(np.unique(seen.depth)) <= possible
    assert seen.labels[-1, -1] == CAR


def test_enlarging_changes_nothing_about_what_is_known():
    image = picture(HEIGHT * 2, WIDTH * 2)
    image[20:60, :, 1] = 100  # probability 0.39
    seen = {
        size: Pipeline(StandInEngine(), PipelineOptions(size, 0.5)).process(Frame(image))
        for size in ('model', 'camera')
    }
    small, large = seen['model'], seen['camera']
    assert np.isnan(small.depth[12:28]).any()
    for name in ('depth', 'labels', 'confidence'):
        enlarged = getattr(small, name).repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(getattr(large, name), enlarged)


def test_unsure_pixels_are_unknown():
    image = picture(green=255)
    image[20:30, :, 1] = 100  # probability 0.39
    pipeline = Pipeline(StandInEngine(), PipelineOptions(min_confidence=0.5))
    seen = pipeline.process(Frame(image))
    assert np.isnan(seen.depth[20:30]).all()
    assert (seen.labels[20:30] == UNLABELLED).all()
    assert (seen.confidence[20:30] == 100).all()
    assert np.isfinite(seen.depth[30:]).all()


def test_metric_model_without_focal_length_is_metric_for_any_camera():
    seen = Pipeline(StandInEngine()).process(Frame(picture()))
    assert seen.scale.metric
    assert seen.scale.factor == 1


def test_metric_model_scales_with_the_focal_length():
    # 400 px at four times the model's width is 100 px at the model's: the trained camera.
    for f, factor in ((400.0, 1.0), (800.0, 2.0)):
        frame = Frame(picture(4 * HEIGHT, 4 * WIDTH), camera=camera(4 * HEIGHT, 4 * WIDTH, f))
        seen = Pipeline(StandInEngine(focal_length=100.0)).process(frame)
        assert seen.scale.metric
        assert seen.depth[40, 0] == pytest.approx(factor * 100 / 41)


@pytest.mark.parametrize(
    'unusable',
    [
        None,
        Camera.pinhole(WIDTH, HEIGHT, 0, 0, 0, 0),
        Camera.pinhole(WIDTH, HEIGHT, float('nan'), 1, 0, 0),
        Camera.pinhole(2 * WIDTH, HEIGHT, 50, 50, 0, 0),
    ],
)
def test_unknown_camera_makes_depth_relative_and_says_so(unusable):
    pipeline = Pipeline(StandInEngine(focal_length=100.0))
    seen = pipeline.process(Frame(picture(), camera=unusable))
    assert not seen.scale.metric
    assert 'not calibrated' in seen.scale.source
    assert seen.camera is None
    with pytest.raises(ValueError, match='calibrated'):
        organised_cloud(seen)


def test_field_of_view_stands_in_for_a_calibration():
    options = PipelineOptions(fov_degrees=90)
    seen = Pipeline(StandInEngine(focal_length=WIDTH / 2), options).process(Frame(picture()))
    assert seen.scale.metric
    assert seen.scale.factor == pytest.approx(1)
    assert seen.camera.k[0] == pytest.approx(WIDTH / 2)


def test_fixed_scale_is_metric_whatever_the_model():
    options = PipelineOptions(scale=ScaleOptions('fixed', 3.0))
    seen = Pipeline(StandInEngine(scale='relative'), options).process(Frame(picture()))
    assert seen.scale.metric
    assert seen.depth[9, 0] == pytest.approx(30)


def test_relative_model_is_relative():
    seen = Pipeline(StandInEngine(scale='relative')).process(Frame(picture(), camera=camera()))
    assert not seen.scale.metric


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'output_size': 'big'}, 'output_size'),
        ({'min_confidence': 1.5}, 'min_confidence'),
        ({'min_confidence': float('nan')}, 'min_confidence'),
        ({'fov_degrees': 180}, 'fov_degrees'),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        PipelineOptions(**options)


@pytest.mark.parametrize(('mode', 'factor'), [('guess', 1), ('fixed', 0), ('fixed', np.inf)])
def test_wrong_scale_options_are_named(mode, factor):
    with pytest.raises(ValueError, match=r'scale\.'):
        ScaleOptions(mode, factor)


@pytest.mark.parametrize(
    'image',
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match='uint8 RGB'):
        Pipeline(StandInEngine()).process(Frame(image))


def test_cloud_lies_on_the_pixels_rays():
    image = picture()
    image[40, 50] = (1, 2, 3)
    seen = Pipeline(StandInEngine()).process(Frame(image, camera=camera()))
    cloud = organised_cloud(seen)
    assert cloud.shape == (HEIGHT, WIDTH)
    assert cloud.dtype == CLOUD_DTYPE
    assert CLOUD_DTYPE.itemsize == 18  # no padding
    for v, u in ((20, 3), (40, 50), (63, 95)):
        x, y, z = (float(cloud[axis][v, u]) for axis in 'xyz')
        # Projected with K the point falls on its own pixel.
        assert 50 * x / z + (WIDTH - 1) / 2 == pytest.approx(u, abs=1e-3)
        assert 50 * y / z + (HEIGHT - 1) / 2 == pytest.approx(v, abs=1e-3)
        assert z == pytest.approx(100 / (1 + v))
    assert all(np.isnan(cloud[axis][:8]).all() for axis in 'xyz')
    assert cloud['rgb'].view(np.uint32)[40, 50] == 0x010203
    assert (cloud['label'] == seen.labels).all()
    assert (cloud['confidence'] == seen.confidence).all()


def test_importing_the_pipeline_needs_neither_torch_nor_ros():
    check = (
        'import sys, dsn_ros.pipeline, dsn_ros.replay, dsn_ros.cli; '
        'print([m for m in ("torch", "rclpy", "openvino", "onnxruntime") if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', check], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == '[]'


def test_the_light_is_told_and_what_is_not_lit_is_less_sure():
    rng = np.random.default_rng(1)
    night = rng.integers(0, 4, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    night[48:, 30:60] = rng.integers(60, 200, (HEIGHT - 48, 30, 3), dtype=np.uint8)  # headlights
    seen = Pipeline(StandInEngine()).process(Frame(night))
    assert seen.lighting.condition == 'night'
    untouched = StandInEngine().infer(night[None]).confidence[0]
    assert (seen.confidence[52:60, 36:54] == untouched[52:60, 36:54]).all()
    dark = (slice(0, 32), slice(0, 96))
    assert (seen.confidence[dark] <= np.rint(0.55 * untouched[dark])).mean() > 0.9


def test_it_stays_day_until_it_has_been_dark_for_a_while():
    pipeline = Pipeline(StandInEngine(), PipelineOptions(lighting_hold=2.0))
    day, dark = np.full((HEIGHT, WIDTH, 3), 150, np.uint8), picture(green=3)
    lights = [
        pipeline.process(Frame(image, seconds * 10**9)).lighting.condition
        for seconds, image in ((0, day), (1, dark), (2, dark), (3, dark))
    ]
    assert lights == ['day', 'day', 'day', 'night']
    pipeline.forget()
    assert pipeline.process(Frame(dark, 0)).lighting.condition == 'night'
