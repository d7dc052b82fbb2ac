"""nuScenes, from tables as they are published."""

import hashlib

import numpy as np
import pytest
from support.dataset_factory import ORANGE, US, NuScenes

from dsn_core.data.nuscenes import NuScenesSource, condition_of
from dsn_core.data.nuscenes_splits import VALIDATION_SCENES
from dsn_core.errors import ConfigError, UserError

# Of the 150 names in the development kit's list, sorted, one a line.
DIGEST = '9c6d87239035bbd37818497915c95f6df980f62ffdb7dbcf1e527b997b74dc65'


def frames(source, tmp_path):
    return list(source.frames(tmp_path / 'work'))


@pytest.fixture
def root(tmp_path):
    data = NuScenes(tmp_path / 'nuscenes')
    data.scene('scene-0003', 'Parked truck, construction', [0.0, 0.1, 0.2], fx=30.0)
    # A hole in the middle.
    data.scene('scene-0001', 'Turn left at the train station', [5.0, 5.25, 5.5, 7.0, 7.25])
    data.scene('scene-0002', 'Night, wait at intersection', [9.0, 9.1])
    data.scene('scene-0004', 'Rain, many peds', [11.0, 11.1])
    return data.write()


def test_pictures_in_time_with_their_own_intrinsics(root, tmp_path):
    found = frames(NuScenesSource(root, split=''), tmp_path)
    assert [f.sequence for f in found] == (
        ['scene-0001.0'] * 3
        + ['scene-0001.1'] * 2
        + ['scene-0002.0'] * 2
        + ['scene-0003.0'] * 3
        + ['scene-0004.0'] * 2
    )
    assert [f.time - US * 1e-6 for f in found[:5]] == pytest.approx([5, 5.25, 5.5, 7, 7.25])
    assert {f.intrinsics[0, 0] for f in found[:5]} == {20}
    assert found[7].intrinsics.tolist() == [[30, 0, 15.5], [0, 30, 11.5], [0, 0, 1]]
    assert found[0].image.shape == (24, 32, 3)
    assert np.abs(found[0].image.astype(int) - ORANGE).max() < 10
    assert [f.travelled for f in found[:5]] == pytest.approx([0, 1, 2, 0, 1])


def test_the_way_is_the_cameras(tmp_path):
    # The car turns on the spot; the camera, 1.5 m before its axle, swings round it.
    data = NuScenes(tmp_path / 'set')
    data.scene('scene-0001', 'Day', [0, 0.1], poses=[(7.0, 3.0, 0.0), (7.0, 3.0, np.pi / 2)])
    found = frames(NuScenesSource(data.write()), tmp_path)
    assert found[1].travelled == pytest.approx(1.5 * np.sqrt(2))


@pytest.mark.parametrize(
    ('fields', 'scenes'),
    [
        ({}, ['scene-0001', 'scene-0002', 'scene-0004']),
        ({'split': 'val'}, ['scene-0003']),
        ({'condition': 'day-clear'}, ['scene-0001']),
        ({'condition': 'night'}, ['scene-0002']),
        ({'condition': 'day-clear', 'split': ''}, ['scene-0001', 'scene-0003']),
    ],
)
def test_which_scenes(root, tmp_path, fields, scenes):
    source = NuScenesSource(root, **fields)
    found = frames(source, tmp_path)
    assert sorted({f.sequence.partition('.')[0] for f in found}) == scenes
    assert source.count() == len(found)


def test_other_camera_and_key_frames_alone(root, tmp_path):
    (first, *_) = frames(NuScenesSource(root, camera='CAM_BACK', split='val'), tmp_path)
    assert first.intrinsics[0, 0] == 99
    key_frames = NuScenesSource(root, split='val', sweeps=False)
    assert [f.time - US * 1e-6 for f in frames(key_frames, tmp_path)] == pytest.approx([0, 0.2])


def test_files_are_the_tables_and_the_pictures(root):
    files = NuScenesSource(root, split='val').files()
    assert len([f for f in files if f.suffix == '.json']) == 6
    pictures = [f.relative_to(root).as_posix() for f in files if f.suffix == '.jpg']
    assert len(pictures) == 3
    assert sorted(p.split('/')[0] for p in pictures) == ['samples', 'samples', 'sweeps']
    assert all('/CAM_FRONT/scene-0003__' in p for p in pictures)


def test_what_is_missing_is_named(root, tmp_path):
    source = NuScenesSource(root, version='v1.0-mini')
    with pytest.raises(UserError, match=r'v1\.0-mini.scene\.json is missing.*v1\.0-trainval'):
        source.files()
    with pytest.raises(UserError, match=r'nothing.*scene\.json is missing.*is no version'):
        NuScenesSource(tmp_path / 'nothing').files()
    with pytest.raises(
        ConfigError, match=r"'CAM_TOP' is not in .*: choose one of CAM_BACK, CAM_F"
    ):
        NuScenesSource(root, camera='CAM_TOP').files()
    for file in (root / 'sweeps' / 'CAM_FRONT').glob('scene-0003*'):
        file.unlink()
    with pytest.raises(UserError, match=r'1 of 3 pictures .*sweeps.*: extract .*sweeps=false'):
        NuScenesSource(root, split='val').files()
    assert len(NuScenesSource(root, split='val', sweeps=False).files()) == 8
    (root / 'v1.0-trainval' / 'ego_pose.json').write_text('[]')
    with pytest.raises(UserError, match=r'the tables in .*trainval are not as published'):
        NuScenesSource(root).files()


def test_no_scene_of_the_kind(tmp_path):
    root = NuScenes(tmp_path).scene('scene-0001', 'Day', [0, 1]).write()
    with pytest.raises(ConfigError, match=r'none of the 1 scenes of .*trainval is train night'):
        NuScenesSource(root, condition='night').files()


def test_words_of_the_description():
    assert condition_of('Night, rain, turn right') == 'night'
    assert condition_of('Difficult lighting at NIGHT') == 'night'
    assert condition_of('After rain, peds') == ''
    assert condition_of('Raining, wet road') == ''
    assert condition_of('Train tracks, brain clinic, drain') == 'day-clear'


def test_the_official_validation_scenes():
    assert len(VALIDATION_SCENES) == 150
    listed = '\n'.join(sorted(VALIDATION_SCENES))
    assert hashlib.sha256(listed.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'condition': 'day'}, "condition must be day-clear, night or nothing, got 'day'"),
        ({'split': 'test'}, "split must be train, val or nothing, got 'test'"),
        ({'version': 'v1.0-test'}, "split must be '' for v1.0-test"),
        ({'max_gap': 0.0}, 'max_gap must be above zero'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        NuScenesSource(tmp_path, **fields)


def test_recognises_its_layout(root, tmp_path):
    assert NuScenesSource.recognises(root)
    assert not NuScenesSource.recognises(tmp_path)
