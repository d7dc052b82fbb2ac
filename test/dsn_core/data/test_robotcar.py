"""Oxford RobotCar, from files as they are published."""

import numpy as np
import pytest
from support.dataset_factory import US, write_robotcar

from dsn_core.data.robotcar import RobotCarSource
from dsn_core.errors import ConfigError, UserError

HEIGHT, WIDTH = 24, 32
COLOUR = (200, 100, 40)


def plain(level=1.0):
    return np.full((HEIGHT, WIDTH, 3), np.array(COLOUR) * level, np.uint8)


def frames(source, tmp_path):
    return list(source.frames(tmp_path / 'work'))


def drive(tmp_path, count=4, **options):
    return write_robotcar(
        tmp_path, [plain()] * count, [0.0625 * i for i in range(count)], **options
    )


def test_colours_times_and_way(tmp_path):
    source = RobotCarSource(drive(tmp_path, steps=[1.0, 2.0, 0.5]))
    found = frames(source, tmp_path)
    assert [f.time - US * 1e-6 for f in found] == pytest.approx([0, 0.0625, 0.125, 0.1875])
    assert {f.sequence for f in found} == {'2014-12-09-13-21-02.0'}
    # The mosaic's red, green and blue come out as such.
    np.testing.assert_array_equal(found[0].image[4:-4, 4:-4], plain()[4:-4, 4:-4])
    assert found[0].intrinsics.tolist() == [[70, 0, 15], [0, 71, 11], [0, 0, 1]]
    assert [f.travelled for f in found] == pytest.approx([0, 1, 3, 3.5])
    assert source.count() == 4


def test_a_colour_edge_stays_where_it_is(tmp_path):
    # One row or column off, a mosaic's edge would change colour.
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, : WIDTH // 2] = COLOUR
    path = write_robotcar(tmp_path, [picture], [0.0])
    (found,) = frames(RobotCarSource(path), tmp_path)
    np.testing.assert_array_equal(found.image[4:-4, 4:14], picture[4:-4, 4:14])
    assert found.image[4:-4, 18:-4].max() == 0


def test_the_table_says_where_each_pixel_was(tmp_path):
    # u, then v, row by row: this pixel comes from three to the right and two up.
    v, u = np.mgrid[0.0:HEIGHT, 0.0:WIDTH]
    bright = np.repeat((4 * u + 3 * v)[..., None], 3, axis=2).astype(np.uint8)
    path = write_robotcar(tmp_path, [bright], [0.0], lut=[u + 3, v - 2])
    (found,) = frames(RobotCarSource(path), tmp_path)
    expected = 4 * (u + 3) + 3 * (v - 2)
    np.testing.assert_allclose(found.image[4:-4, 4:-6, 1], expected[4:-4, 4:-6], atol=1)


def test_rows_are_kept_from_the_top(tmp_path):
    picture = plain()
    picture[16:] = 0
    path = write_robotcar(tmp_path, [picture], [0.0])
    (found,) = frames(RobotCarSource(path, rows=14), tmp_path)
    assert found.image.shape == (14, WIDTH, 3)
    assert found.image.flags.c_contiguous
    np.testing.assert_array_equal(found.image[4:, 4:-4], plain()[4:14, 4:-4])
    assert found.intrinsics[1, 2] == 11


def test_standing_frames_are_left_out(tmp_path):
    path = drive(tmp_path, 6, steps=[1.0, 0.0005, 0.0004, 0.0003, 1.0])
    found = frames(RobotCarSource(path), tmp_path)
    # The fifth has moved 1.2 mm since the second.
    assert [round((f.time - US * 1e-6) / 0.0625) for f in found] == [0, 1, 4, 5]
    assert len(frames(RobotCarSource(path, min_motion=0.0), tmp_path)) == 6


def test_a_long_stop_ends_the_sequence(tmp_path):
    path = drive(tmp_path, 14, steps=[1.0, 1.0, *[0.0] * 9, 1.0, 1.0])
    found = frames(RobotCarSource(path), tmp_path)
    assert [f.sequence[-1] for f in found] == ['0', '0', '0', '1', '1']


def test_overexposed_frames_and_jumps_of_brightness_are_left_out(tmp_path):
    levels = [0.5, 0.5, 1.0, 1.0, 0.9, 1.1, 1.1]
    path = write_robotcar(
        tmp_path, [plain(k) for k in levels], [0.0625 * i for i in range(7)], steps=[1.0] * 6
    )
    # The mosaic's mean is 110 at level 1; from 0.5 to 1.0 it leaps by 55.
    source = RobotCarSource(path, max_brightness=115.0, max_brightness_jump=50.0)
    found = frames(source, tmp_path)
    assert [round((f.time - US * 1e-6) / 0.0625) for f in found] == [0, 1, 3, 4]
    assert [f.sequence[-1] for f in found] == ['0', '0', '1', '1']


def test_a_hole_in_the_odometry_begins_a_new_sequence(tmp_path):
    path = drive(tmp_path, 5, steps=[1.0, None, 1.0, 1.0])
    found = frames(RobotCarSource(path), tmp_path)
    assert [f.sequence[-1] for f in found] == ['0', '0', '1', '1', '1']
    assert [f.travelled for f in found] == pytest.approx([0, 1, 0, 1, 2])


def test_ins_is_the_other_odometry(tmp_path):
    ins = [(100.0, 50.0), (103.0, 54.0), (103.0, 55.0), (103.0, 57.0)]
    path = drive(tmp_path, 4, ins=ins)
    source = RobotCarSource(path)
    assert [f.travelled for f in frames(source, tmp_path)] == pytest.approx([0, 5, 6, 8])
    assert path / 'gps' / 'ins.csv' in source.files()
    with pytest.raises(ConfigError, match=r'odometry vo needs .*vo\.csv, which is not there'):
        RobotCarSource(path, odometry='vo').files()


def test_without_odometry_the_way_is_unknown_and_nothing_stands(tmp_path, caplog):
    found = frames(RobotCarSource(drive(tmp_path)), tmp_path)
    assert len(found) == 4
    assert all(np.isnan(f.travelled) for f in found)
    assert 'neither vo/vo.csv nor gps/ins.csv' in caplog.text


def test_files(tmp_path):
    path = drive(tmp_path, 2, steps=[1.0])
    names = [f.name for f in RobotCarSource(path).files()]
    assert names == [
        f'{US}.png',
        f'{US + 62500}.png',
        'stereo_wide_left.txt',
        'stereo_wide_left_distortion_lut.bin',
        'vo.csv',
    ]


def test_what_is_missing_is_named(tmp_path):
    path = drive(tmp_path, 2, steps=[1.0])
    with pytest.raises(ConfigError, match='mono_left holds no pictures: a traversal is laid out'):
        RobotCarSource(path, camera='mono_left').files()
    with pytest.raises(ConfigError, match=r'stereo_wide_left\.txt is not in .*: give models='):
        RobotCarSource(path, models=tmp_path / 'elsewhere').files()
    with pytest.raises(
        ConfigError, match=r'stereo_narrow_left\.txt is not in .*models or .*model'
    ):
        RobotCarSource(path, model='stereo_narrow_left').files()


def test_what_is_wrong_is_named(tmp_path):
    path = drive(tmp_path, 2, steps=[1.0])
    (path / 'vo' / 'vo.csv').write_text('source_timestamp,x\n1,2\n')
    with pytest.raises(UserError, match=r'vo\.csv must have the columns source_timestamp, dest'):
        frames(RobotCarSource(path), tmp_path)
    (path / 'vo' / 'vo.csv').unlink()
    np.zeros(10).tofile(tmp_path / 'models' / 'stereo_wide_left_distortion_lut.bin')
    with pytest.raises(UserError, match=r'has 32 x 24 pixels, for which .*lut\.bin \(5 pixels\)'):
        frames(RobotCarSource(path), tmp_path)
    (tmp_path / 'models' / 'stereo_wide_left.txt').write_text('1 2\n')
    with pytest.raises(UserError, match=r'stereo_wide_left\.txt must begin with fx fy cx cy'):
        frames(RobotCarSource(path), tmp_path)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'camera': 'front'}, 'camera must be one of stereo/left, '),
        ({'rows': -1}, 'rows must be zero or more'),
        ({'odometry': 'gps'}, 'odometry must be vo, ins or nothing'),
        ({'min_motion': -1.0}, 'min_motion must be zero or more'),
        ({'max_brightness': 0.0}, 'max_brightness must be above zero'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        RobotCarSource(tmp_path, **fields)
