"""Pictures and videos as a source of frames."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.dataset_factory import ORANGE, write_colour

from dsn_core.data.calibration import Calibration
from dsn_core.data.picture_source import PicturesSource
from dsn_core.data.rectify import rectifier
from dsn_core.errors import ConfigError, UserError

CALIBRATION = """\
image_width: 64
image_height: 48
distortion_model: plumb_bob
camera_matrix: {rows: 3, cols: 3, data: [50.0, 0, 31.0, 0, 51.0, 23.0, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [-0.2, 0.05, 0.0, 0.0, 0.0]}
"""


def folder_of(path, names, **options):
    for name in names:
        write_colour(path / name, **options)
    return path


def frames(source, tmp_path):
    return list(source.frames(tmp_path / 'work'))


def test_a_folder_in_natural_order(tmp_path):
    path = folder_of(tmp_path / 'drive', ['f9.png', 'f10.png', 'f8.png'])
    write_colour(path / 'f11.png', (10, 200, 30))
    found = frames(PicturesSource(path, fov=90.0, fps=4.0), tmp_path)
    assert [f.time for f in found] == [0, 0.25, 0.5, 0.75]
    assert {f.sequence for f in found} == {'drive.0'}
    assert found[0].image.shape == (24, 32, 3)
    assert found[0].image[0, 0].tolist() == list(ORANGE)
    assert found[3].image[5, 5].tolist() == [10, 200, 30]
    np.testing.assert_allclose(found[0].intrinsics, [[16, 0, 15.5], [0, 16, 11.5], [0, 0, 1]])
    assert all(np.isnan(f.travelled) for f in found)


def test_folders_are_recordings_and_numbers_split_them(tmp_path):
    folder_of(tmp_path / 'set' / 'b', ['0.png', '1.png', '2.png', '7.png', '8.png'])
    folder_of(tmp_path / 'set' / 'a', ['0.png', '1.png'])
    (tmp_path / 'set' / 'c').mkdir()
    source = PicturesSource(tmp_path / 'set', intrinsics=(20.0, 21.0, 15.0, 11.0))
    found = frames(source, tmp_path)
    assert [f.sequence for f in found] == ['a.0'] * 2 + ['b.0'] * 3 + ['b.1'] * 2
    assert source.count() == 7 == len(source.files())
    assert found[0].intrinsics.tolist() == [[20, 0, 15], [0, 21, 11], [0, 0, 1]]


def test_the_calibration_beside_the_pictures_undoes_the_lens(tmp_path):
    path = folder_of(tmp_path / 'drive', ['0.png', '1.png'], height=48, width=64)
    (path / 'calibration.yaml').write_text(CALIBRATION)
    source = PicturesSource(path)
    assert path / 'calibration.yaml' in source.files()
    lens = Calibration(64, 48, 50.0, 51.0, 31.0, 23.0, d=(-0.2, 0.05, 0.0, 0.0, 0.0))
    found = frames(source, tmp_path)
    np.testing.assert_array_equal(found[0].intrinsics, rectifier(lens).intrinsics)
    assert found[0].intrinsics[0, 0] != 50
    # Pictures of half the size, by the same calibration elsewhere.
    half = folder_of(tmp_path / 'half', ['0.png'])
    (halved,) = frames(PicturesSource(half, path / 'calibration.yaml'), tmp_path)
    np.testing.assert_allclose(halved.intrinsics[:2, :2], found[0].intrinsics[:2, :2] / 2, 0.03)


def test_one_calibration_above_serves_all_folders(tmp_path):
    folder_of(tmp_path / 'set' / 'a', ['0.png'])
    folder_of(tmp_path / 'set' / 'b', ['0.png'])
    (tmp_path / 'set' / 'camera_info.yaml').write_text(CALIBRATION)
    (tmp_path / 'set' / 'b' / 'camera_info.yaml').write_text(CALIBRATION.replace('50.0', '80.0'))
    source = PicturesSource(tmp_path / 'set')
    first, second = frames(source, tmp_path)
    assert second.intrinsics[0, 0] > 1.4 * first.intrinsics[0, 0]
    assert len(source.files()) == 4


def test_poses_tell_the_way(tmp_path):
    path = folder_of(tmp_path / 'drive', ['0.png', '1.png', '2.png'])
    rows = [f'1 0 0 {x} 0 1 0 0 0 0 1 {z}\n' for x, z in ((0, 0), (0, 2), (3, 6))]
    (tmp_path / 'poses.txt').write_text(''.join(rows))
    source = PicturesSource(path, fov=60.0, poses=tmp_path / 'poses.txt')
    assert [f.travelled for f in frames(source, tmp_path)] == [0, 2, 7]
    assert tmp_path / 'poses.txt' in source.files()
    (path / 'poses.txt').write_text(''.join(rows[:2]))
    beside = PicturesSource(path, fov=60.0, poses=Path('poses.txt'))
    with pytest.raises(UserError, match=r'drive.poses\.txt has 2 rows for 3 frames'):
        frames(beside, tmp_path)


def test_a_video(tmp_path):
    file = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 5.0, (64, 48))
    if not writer.isOpened():
        pytest.skip('this OpenCV writes no MJPG')
    for _ in range(4):
        writer.write(np.full((48, 64, 3), ORANGE[::-1], np.uint8))
    writer.release()
    source = PicturesSource(file, fov=90.0)
    found = frames(source, tmp_path)
    assert [f.time for f in found] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert {f.sequence for f in found} == {'drive.0'}
    assert np.abs(found[0].image.astype(int) - ORANGE).max() < 8
    assert source.files() == [file]
    assert source.count() == 4
    assert PicturesSource.recognises(file)
    row = '1 0 0 0 0 1 0 0 0 0 1 0\n'
    (tmp_path / 'poses.txt').write_text(3 * row)
    with pytest.raises(ConfigError, match=r'poses\.txt has 3 rows, but .*drive\.avi holds more'):
        frames(PicturesSource(file, fov=90.0, poses=tmp_path / 'poses.txt'), tmp_path)


def test_a_video_that_does_not_decode(tmp_path):
    (tmp_path / 'x.mp4').write_bytes(b'no video')
    with pytest.raises(UserError, match=r'x\.mp4 cannot be decoded'):
        frames(PicturesSource(tmp_path / 'x.mp4', fov=90.0), tmp_path)


def test_an_unknown_camera_is_said_with_the_remedy(tmp_path):
    path = folder_of(tmp_path / 'drive', ['0.png'])
    for call in (PicturesSource(path).files, lambda: frames(PicturesSource(path), tmp_path)):
        with pytest.raises(
            ConfigError, match=r'drive is not known .*: give fov=70 \(degrees'
        ) as e:
            call()
        assert '\n' not in str(e.value)


def test_what_is_wrong_is_named(tmp_path):
    path = folder_of(tmp_path / 'drive', ['0.png'])
    with pytest.raises(ConfigError, match=r'path .*gone is not there'):
        PicturesSource(tmp_path / 'gone', fov=70.0).files()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ConfigError, match=r'empty is no video .* and holds no pictures'):
        PicturesSource(tmp_path / 'empty', fov=70.0).files()
    with pytest.raises(ConfigError, match=r'calibration .*gone\.yaml is not there'):
        PicturesSource(path, tmp_path / 'gone.yaml').files()
    with pytest.raises(ConfigError, match=r'poses gone\.txt is not there, nor in .*drive'):
        PicturesSource(path, fov=70.0, poses=Path('gone.txt')).files()
    (path / 'calibration.yaml').write_text(CALIBRATION.replace('48', '64'))
    with pytest.raises(ConfigError, match=r'calibration\.yaml: .*64 x 64 pixels'):
        frames(PicturesSource(path), tmp_path)
    (path / '0.png').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'0\.png is no whole picture'):
        frames(PicturesSource(path, fov=70.0), tmp_path)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'fps': 0.0}, 'fps must be above zero'),
        ({'fov': 200.0}, 'fov must be'),
        ({'fov': 70.0, 'calibration': 'x.yaml'}, 'calibration must be left out'),
        ({'intrinsics': (1.0,)}, 'intrinsics must be'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        PicturesSource(tmp_path, **fields)


def test_real_poses_and_frames(shared_data, tmp_path):
    kitti = shared_data / 'kitti_odo_1'
    k = (369.1177553017944, 368.83405837837836, 314.1989168026101, 95.51434378378379)
    found = frames(
        PicturesSource(kitti / 'image', intrinsics=k, poses=kitti / 'poses.txt'), tmp_path
    )
    assert len(found) == 51
    assert found[0].image.shape == (193, 640, 3)
    # 12 m/s for 5 s, as its README says.
    assert found[-1].time == 5.0
    assert found[-1].travelled == pytest.approx(60, abs=1)


def test_real_clips_and_lens(shared_data, tmp_path):
    source = PicturesSource(shared_data / 'carnd_highway_day' / 'image', fov=58.0, fps=25.0)
    clip_lengths = {}
    for file, frame in zip(source.files(), source.frames(tmp_path), strict=True):
        clip_lengths.setdefault(frame.sequence, set()).add(file.stem.partition('_')[0])
    assert sorted(map(tuple, clip_lengths.values())) == [
        ('cut',),
        ('small1',),
        ('small2',),
        ('test',),
    ]
    folder = tmp_path / 'few'
    folder.mkdir()
    shutil.copy(source.files()[0], folder / '0.jpg')
    (folder / 'calibration.yaml').write_text(
        'image_width: 1280\nimage_height: 720\ndistortion_model: plumb_bob\n'
        'camera_matrix: {data: [1155.9, 0, 672.7, 0, 1150.6, 389.1, 0, 0, 1]}\n'
        'distortion_coefficients: {data: [-0.2485, -0.0195, -0.0006, 0.0002, 0.0086]}\n'
    )
    (frame,) = frames(PicturesSource(folder), tmp_path)
    assert frame.image.shape == (360, 640, 3)
    assert 500 < frame.intrinsics[0, 0] < 578
