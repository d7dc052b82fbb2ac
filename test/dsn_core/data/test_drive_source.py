"""Drives as a source of frames."""

import json

import numpy as np
import pytest
from support.drive_factory import CAR, write_drive

from dsn_core.data.drive_source import DrivesSource
from dsn_core.data.drives import Drive, DriveError
from dsn_core.errors import ConfigError


def complete(path, xs, segments, fps=2.0):
    """Add to a drive what ``dsn simulate`` writes beside the pictures."""
    about = json.loads((path / 'drive.json').read_text())
    about.update(fps=fps, segments=segments)
    about['intrinsics'].update(cx=70.0, cy=40.0)
    (path / 'drive.json').write_text(json.dumps(about))
    rows = [f'0 0 1 {x} -1 0 0 {y} 0 -1 0 1.5\n' for x, y in xs]
    (path / 'poses.txt').write_text(''.join(rows))
    return path


def frames(source, tmp_path):
    return list(source.frames(tmp_path / 'work'))


def test_segments_are_sequences_with_their_way(tmp_path):
    path = write_drive(tmp_path, 'town1_day', 'train', frames=5)
    complete(path, [(0, 0), (3, 4), (6, 8), (500, 0), (502, 0)], [0, 0, 0, 1, 1])
    source = DrivesSource(tmp_path)
    found = frames(source, tmp_path)
    assert [f.sequence for f in found] == ['town1_day.0'] * 3 + ['town1_day.1'] * 2
    assert [f.time for f in found] == [0, 0.5, 1, 1.5, 2]
    assert [f.travelled for f in found] == [0, 5, 10, 0, 2]
    assert found[0].intrinsics.tolist() == [[120, 0, 70], [0, 120, 40], [0, 0, 1]]
    truth = Drive.open(path).read(2)
    np.testing.assert_array_equal(found[2].image, truth.image)
    red, _, blue = found[2].image[truth.labels == CAR].mean(axis=0)
    assert red > blue + 100
    assert source.count() == 5
    names = {f.relative_to(tmp_path).as_posix() for f in source.files()}
    assert names == {f'town1_day/image/00000{i}.jpg' for i in range(5)} | {
        'town1_day/drive.json',
        'town1_day/poses.txt',
    }


def test_drives_without_poses_have_no_known_way(tmp_path):
    write_drive(tmp_path, 'a', 'train', frames=3)
    found = frames(DrivesSource(tmp_path), tmp_path)
    assert {f.sequence for f in found} == {'a.0'}
    assert all(np.isnan(f.travelled) for f in found)
    # The picture's centre, as its own drive.json says.
    assert found[0].intrinsics[:2, 2].tolist() == [79.5, 47.5]


def test_which_drives(tmp_path):
    for name, split, condition in (
        ('a_day', 'train', 'day'),
        ('a_night', 'train', 'night'),
        ('b_day', 'validation', 'day'),
        ('c_day', 'train', 'day'),
    ):
        write_drive(tmp_path, name, split, condition, frames=1)

    def names(**fields):
        return [d.path.name for d in DrivesSource(tmp_path, **fields).drives(tmp_path)]

    assert names() == ['a_day', 'a_night', 'c_day']
    assert names(condition='day') == ['a_day', 'c_day']
    assert names(split='', limit=3) == ['a_day', 'a_night', 'b_day']
    assert names(split='validation') == ['b_day']
    with pytest.raises(DriveError, match='no test drives below'):
        names(split='test')


def test_one_drive(tmp_path):
    path = write_drive(tmp_path, 'a', 'test', 'dusk', frames=2)
    assert len(frames(DrivesSource(path, split='test'), tmp_path)) == 2
    assert DrivesSource(path, split='').count() == 2
    with pytest.raises(DriveError, match='a test drive by dusk: set split=test'):
        DrivesSource(path).files()


def test_recognises_both(tmp_path):
    assert not DrivesSource.recognises(tmp_path)
    path = write_drive(tmp_path, 'a', 'test', frames=1)
    assert DrivesSource.recognises(tmp_path)
    assert DrivesSource.recognises(path)
    assert not DrivesSource.recognises(path / 'drive.json')
    assert not DrivesSource.recognises(tmp_path / 'nothing')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'condition': 'rain'}, "condition must be day, dusk, night or nothing, got 'rain'"),
        ({'split': 'val'}, 'split must be train, validation, test or nothing'),
        ({'limit': -1}, 'limit must be zero or more'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        DrivesSource(tmp_path, **fields)


def test_damage_is_named(tmp_path, caplog):
    path = complete(write_drive(tmp_path, 'a', 'train', frames=2), [(0, 0)], [0, 0])
    with pytest.raises(DriveError, match=r'poses\.txt has 1 rows for 2 frames'):
        frames(DrivesSource(tmp_path), tmp_path)
    (path / 'poses.txt').write_text('1 2 3\n4 5 6\n')
    with pytest.raises(DriveError, match=r'poses\.txt must hold 12 numbers a row'):
        frames(DrivesSource(tmp_path), tmp_path)
    (path / 'poses.txt').unlink()
    (path / 'image' / '000001.jpg').write_bytes(b'no picture')
    assert len(frames(DrivesSource(tmp_path), tmp_path)) == 1
    assert '000001.jpg is no whole picture' in caplog.text
    complete(path, [(0, 0)] * 2, [0])
    with pytest.raises(DriveError, match='1 segments for 2 frames'):
        DrivesSource(tmp_path).files()
