"""A path alone says what kind of source it is."""

import pytest
from support.dataset_factory import NuScenes, write_colour
from support.drive_factory import write_drive

import dsn_core.data.sources as sources
from dsn_core.data.source import FrameSource
from dsn_core.errors import ConfigError


def test_all_kinds_are_known():
    kinds = {'drives', 'simulation', 'pictures', 'nuscenes', 'robotcar'}
    assert kinds <= set(FrameSource.kinds)
    assert {getattr(sources, name).kind for name in sources.__all__} == kinds


def test_paths_are_told_apart(tmp_path):
    write_drive(tmp_path / 'drives', 'a', 'train', frames=1)
    NuScenes(tmp_path / 'nuscenes').scene('scene-0001', 'Day', [0]).write()
    write_colour(tmp_path / 'nuscenes' / 'maps' / 'map.png')
    picture = write_colour(tmp_path / 'pictures' / '0.png')
    (tmp_path / 'car' / 'stereo' / 'left').mkdir(parents=True)
    write_colour(tmp_path / 'car' / 'mono_left' / '1.png')
    expected = {
        'drives': 'drives',
        'drives/a': 'drives',
        'nuscenes': 'nuscenes',
        'pictures': 'pictures',
        'car': 'robotcar',
    }
    for name, kind in expected.items():
        path = str(tmp_path / name)
        assert FrameSource.parse(path) == {'kind': kind, 'path': path}
    (tmp_path / 'empty').mkdir()
    for path in (picture, tmp_path / 'empty', tmp_path / 'nothing'):
        with pytest.raises(ConfigError):
            FrameSource.parse(str(path))


def test_pictures_beside_a_recording_are_not_mistaken(tmp_path):
    write_colour(tmp_path / 'bag' / 'preview.png')
    assert sources.PicturesSource.recognises(tmp_path / 'bag')
    (tmp_path / 'bag' / 'drive_0.mcap').write_bytes(b'')
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    import dsn_ros.bag_frames  # noqa: F401, makes bags known

    assert not sources.PicturesSource.recognises(tmp_path / 'bag')
    assert FrameSource.parse(str(tmp_path / 'bag'))['kind'] == 'bag'
