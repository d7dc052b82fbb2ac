"""``dsn calibrate``: the unit of a network that sees the demo's truth in a unit of its own."""

import numpy as np
import pytest
import yaml
from support.true_depth_engine import DEMO, TrueDepthEngine
from typer.testing import CliRunner

from dsn_core.labels import CITYSCAPES
from dsn_ros import parameters
from dsn_ros.calibrate import CalibrateOptions, Factor, calibrate, write_parameters
from dsn_ros.errors import UserError


@pytest.fixture(scope='module')
def engine():
    return TrueDepthEngine(4.0)


def find(engine, by, unit=4.0, **options):
    engine.unit, engine.calls = unit, 0
    return calibrate(DEMO, engine, CalibrateOptions(by, **options))


@pytest.mark.parametrize('by', ['lidar', 'odometry', 'height'])
def test_each_way_finds_the_unit(engine, by):
    found = find(engine, by, limit=13)
    assert found.all.factor == pytest.approx(4.0, rel=0.03)
    assert found.all.spread < 0.05
    assert 12 <= found.all.frames <= 13 == found.frames_in
    assert set(found.conditions) == {'day'}


def test_a_height_that_is_told_wrong_is_wrong_in_proportion(engine):
    one = find(engine, 'height', limit=10, camera_height=1.0).all.factor
    assert find(engine, 'height', limit=10, camera_height=2.0).all.factor == pytest.approx(2 * one)


def test_conditions_are_told_apart(engine):
    found = find(engine, 'height')
    assert set(found.conditions) == {'day', 'night'}
    assert sum(f.frames for f in found.conditions.values()) == found.all.frames
    for factor in found.conditions.values():
        assert factor.factor == pytest.approx(4.0, rel=0.03)


def test_too_few_frames_fail_and_say_why(engine):
    with pytest.raises(UserError, match=r'9 of 9 frames.*10 are needed') as caught:
        find(engine, 'height', limit=9)
    assert '\n' not in str(caught.value)
    blind = TrueDepthEngine(1.0, limit=2)
    sky = CITYSCAPES.id_of('sky')
    house = CITYSCAPES.id_of('building')
    blind.truth = [
        (depth, np.where(labels == sky, sky, house).astype(np.uint8))
        for depth, labels in blind.truth
    ]
    with pytest.raises(UserError, match='too little road'):
        calibrate(DEMO, blind, CalibrateOptions('height', limit=12))


def test_frames_that_disagree_fail_and_say_how_far(engine):
    class Drifting(TrueDepthEngine):
        def infer(self, images):
            self.unit *= 1.1
            return super().infer(images)

    with pytest.raises(UserError, match=r'disagree by more than 15%.*max-spread'):
        calibrate(DEMO, Drifting(1.0, limit=12), CalibrateOptions('height', limit=12))


@pytest.mark.parametrize(
    ('options', 'said'),
    [({'by': 'sonar'}, '--by sonar'), ({'by': 'lidar', 'camera_height': 1.0}, '--camera-height')],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(UserError, match=said):
        CalibrateOptions(**options)


def test_factor_is_the_median_and_its_robust_spread():
    factor = Factor.of([2.0] * 8 + [200.0])
    assert (factor.factor, factor.spread, factor.frames) == (pytest.approx(2.0), 0.0, 9)
    logs = np.random.default_rng(0).normal(np.log(3), 0.2, 5000)
    assert Factor.of(list(np.exp(logs))).spread == pytest.approx(0.2, rel=0.05)


def test_the_file_is_the_node_s(engine, tmp_path):
    found = find(engine, 'height', limit=10)
    file = tmp_path / 'new' / 'scale.yaml'
    write_parameters(file, found, 'Found for a test')
    scale = yaml.safe_load(file.read_text())['/**']['ros__parameters']['scale']
    for name, value in scale.items():
        assert parameters.validate(f'scale.{name}', value) is None
    assert scale['mode'] == 'fixed'
    assert scale['factor'] == pytest.approx(found.all.factor, rel=1e-4)
    assert file.read_text().startswith('# Found for a test: ')


def test_the_command(engine, tmp_path, monkeypatch):
    import dsn_ros.cli

    monkeypatch.setattr(dsn_ros.cli, 'engine_from', lambda *_: TrueDepthEngine(4.0, limit=12))
    file = tmp_path / 'scale.yaml'
    arguments = ['calibrate', str(DEMO), '--by', 'height', '--limit', '12', '--out', str(file)]
    done = CliRunner().invoke(dsn_ros.cli.app, arguments)
    assert done.exit_code == 0, done.output
    assert 'day: ' in done.stdout
    assert '12 frames' in done.stdout
    assert file.is_file()
