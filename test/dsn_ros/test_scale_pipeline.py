"""Measured scale through the pipeline, the replay and the command, on the demo's drives."""

from dataclasses import replace

import numpy as np
import pytest
from support.bag_factory import START_NS, Recording
from support.stand_in_engine import CAR, HEIGHT, ROAD, SKY, WIDTH, OneSize, metadata
from support.stripes import striped
from support.true_depth_engine import DEMO, TrueDepthEngine

from dsn_core.errors import UserError
from dsn_ros.camera import Camera
from dsn_ros.cli_options import pipeline_options, scale_options
from dsn_ros.engines import Prediction
from dsn_ros.errors import BagError
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions
from dsn_ros.replay import ReplayOptions, replay
from dsn_ros.scale import ScaleOptions

SECOND = 10**9
CAMERA = Camera.pinhole(WIDTH, HEIGHT, 60, 60, (WIDTH - 1) / 2, 20.0)
PICTURE = striped(HEIGHT, WIDTH)


class RoadEngine(OneSize):
    """A level camera above an endless road, 1 unit high; ``road`` False: a car in its place."""

    name, device, precision = 'road', 'CPU', 'fp32'

    def __init__(self, **changes):
        self.metadata = metadata(**{'scale': 'relative', **changes})
        self.road = True

    def infer(self, images):
        down = CAMERA.rays()[..., 1]
        seen = down > 0
        depth = np.where(seen, 1 / np.maximum(down, 1e-3), 80).astype(np.float32)
        labels = np.where(seen, ROAD if self.road else CAR, SKY).astype(np.uint8)
        return Prediction(depth[None], labels[None], np.full_like(labels, 255)[None])

    def close(self):
        pass


def mount(height):
    """Points of a level camera → of base_footprint."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    matrix[2, 3] = height
    return matrix


def pipeline(engine=None, **options):
    return Pipeline(engine or RoadEngine(), PipelineOptions(scale=ScaleOptions(**options)))


def frame(second=0.0, to_ground=None, camera=CAMERA):
    return Frame(PICTURE, round(second * SECOND), 'cam', camera, to_ground)


@pytest.mark.parametrize('size', ['model', 'camera'])
def test_the_height_in_tf_makes_depth_metric(size):
    run = Pipeline(RoadEngine(), PipelineOptions(size, scale=ScaleOptions('ground')))
    seen = run.process(frame(0, mount(1.6)))
    assert seen.scale.metric
    assert seen.scale.source == 'ground'
    assert seen.scale.factor == pytest.approx(1.6, rel=1e-3)
    assert 0 < seen.scale.spread < 0.1
    row = 50
    assert seen.depth[row, 3] == pytest.approx(1.6 * 60 / (row - 20), rel=1e-3)


def test_a_height_that_is_given_goes_before_tf_s_and_needs_none():
    given = pipeline(mode='ground', camera_height=2.0)
    assert given.process(frame(0, mount(1.0))).scale.factor == pytest.approx(2.0, rel=1e-3)
    assert given.process(frame(1)).scale.factor == pytest.approx(2.0, rel=1e-3)


def test_twice_the_height_is_twice_the_depth():
    depths = [pipeline(mode='ground').process(frame(0, mount(h))).depth for h in (1.1, 2.2)]
    np.testing.assert_allclose(depths[1], 2 * depths[0], rtol=1e-5)


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'to_ground': None}, 'height'),
        ({'to_ground': mount(-0.2)}, 'height'),
        ({'to_ground': np.full((4, 4), np.nan)}, 'height'),
        ({'to_ground': mount(1.5), 'camera': None}, 'not calibrated'),
    ],
)
def test_what_is_missing_makes_depth_relative_and_is_said(given, said):
    seen = pipeline(mode='ground').process(frame(0, **given))
    assert not seen.scale.metric
    assert said in seen.scale.source
    assert seen.scale.source.startswith('ground: ')


def test_a_metric_model_is_not_called_metric_while_its_check_fails():
    engine = RoadEngine(scale='metric')
    engine.road = False
    seen = pipeline(engine, mode='ground').process(frame(0, mount(1.5)))
    assert (seen.scale.metric, seen.scale.factor) == (False, 1.0)
    assert 'too little road' in seen.scale.source


def test_the_scale_holds_while_no_road_is_seen_and_then_is_unknown():
    engine = RoadEngine()
    run = pipeline(engine, mode='ground', window=2.0, hold=5.0)
    spread = run.process(frame(0, mount(1.5))).scale.spread
    engine.road = False
    held = run.process(frame(4, mount(1.5))).scale
    assert (held.metric, held.source) == (True, 'ground')
    assert held.factor == pytest.approx(1.5, rel=1e-3)
    assert held.spread > spread
    assert not held.measure.usable
    ended = run.process(frame(6, mount(1.5))).scale
    assert not ended.metric
    # Depth does not jump, it only is not called metres any more.
    assert ended.factor == pytest.approx(1.5, rel=1e-3)


def test_other_options_or_a_jump_in_time_begin_anew():
    engine = RoadEngine()
    run = pipeline(engine, mode='ground')
    run.process(frame(100, mount(1.5)))
    engine.road = False
    assert run.process(frame(101, mount(1.5))).scale.metric
    assert not run.process(frame(3, mount(1.5))).scale.metric
    engine.road = True
    assert run.process(frame(4, mount(1.5))).scale.metric
    engine.road = False
    run.forget()
    assert not run.process(frame(5, mount(1.5))).scale.metric
    engine.road = True
    run.process(frame(6, mount(1.5)))
    higher = ScaleOptions('ground', camera_height=3.0)
    run.options = replace(run.options, scale=higher)
    assert run.process(frame(7, mount(1.5))).scale.factor == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize('unit', [0.2, 7.0])
def test_ground_finds_the_unit_of_a_simulated_drive(tmp_path, unit):
    engine = TrueDepthEngine(unit, limit=6)
    options = PipelineOptions(scale=ScaleOptions('ground'))
    metrics = replay(DEMO, tmp_path, engine, ReplayOptions(compare=True, limit=6), options)
    scale = metrics['scale']
    assert scale['median'] == pytest.approx(unit, rel=0.03)
    assert (scale['known'], scale['measured'], scale['source']) == (1, 1, 'ground')
    assert scale['spread'] < 0.03
    assert scale['not_measured'] == {}
    assert metrics['comparison']['day']['depth']['abs_rel'] < 0.03


def test_odometry_finds_the_unit_of_a_simulated_drive(tmp_path):
    engine = TrueDepthEngine(7.0, limit=8)
    options = PipelineOptions(scale=ScaleOptions('odometry'))
    metrics = replay(DEMO, tmp_path, engine, ReplayOptions(limit=8), options)
    scale = metrics['scale']
    assert scale['median'] == pytest.approx(7.0, rel=0.03)
    assert scale['not_measured'] == {'the first picture': 1}
    assert scale['known'] == pytest.approx(5 / 8)  # three measures make it known
    assert any('3 of 8 frames is relative, not metres' in each for each in metrics['problems'])


def recorded(tmp_path, transforms=()):
    recording = Recording().frames('/image', 2, size=(HEIGHT, WIDTH), info='/camera_info')
    for each in transforms:
        recording.add('/tf_static', recording.make.tf_message([each]), START_NS)
    return recording.write(tmp_path / 'bag')


def test_a_bag_that_does_not_tell_is_refused_with_a_remedy(tmp_path):
    mounted = (START_NS, 'base_link', 'camera', (0.0, 0.0, 1.5), (0.0, 0.0, 0.0, 1.0))
    bag = recorded(tmp_path, [mounted])
    for mode, remedy in (('ground', '--camera-height'), ('odometry', 'Odometry')):
        options = PipelineOptions(scale=ScaleOptions(mode))
        with pytest.raises(BagError, match=remedy) as caught:
            replay(bag, tmp_path / mode, RoadEngine(), pipeline=options)
        assert '\n' not in str(caught.value)
    by_hand = PipelineOptions(scale=ScaleOptions('ground', camera_height=1.5))
    metrics = replay(bag, tmp_path / 'by_hand', RoadEngine(), pipeline=by_hand)
    assert metrics['frames_out'] == 2


def test_the_command_s_scale():
    assert scale_options('none') == ScaleOptions()
    assert scale_options('2.5') == ScaleOptions('fixed', 2.5)
    assert scale_options('ground', 1.4) == ScaleOptions('ground', camera_height=1.4)
    assert pipeline_options('odometry', 0.1, 0).scale.mode == 'odometry'
    for wrong in ('road', '0', '-1', 'nan'):
        with pytest.raises(UserError, match='--scale'):
            scale_options(wrong)
    with pytest.raises(UserError, match='--camera-height'):
        scale_options('2.5', 1.4)


@pytest.mark.parametrize('wrong', [{'camera_height': -1}, {'window': 0}, {'hold': float('nan')}])
def test_wrong_options_of_measured_scale_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScaleOptions('ground', **wrong)
