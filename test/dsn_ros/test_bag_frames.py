"""Bags as a source of frames to train on."""

from dataclasses import replace

import numpy as np
import pytest
from support.bag_factory import (
    PERIOD_NS,
    START_NS,
    Recording,
    camera_fields,
    picture,
    storage_file,
)

from dsn_core.data.calibration import Calibration
from dsn_core.data.rectify import rectifier
from dsn_core.errors import ConfigError
from dsn_ros.bag_frames import BagSource
from dsn_ros.errors import BagError

IMAGE, INFO = '/camera/image_raw', '/camera/camera_info'
PLAIN = replace(camera_fields(), d=(0.0,) * 5)


class Drive(Recording):
    """A recording that is stamped, calibrated and driven at will."""

    def picture(self, seconds, topic=IMAGE, seed=0, received=None):
        stamp = START_NS + round(seconds * 1e9)
        header = self.make.header(stamp, 'camera')
        message = self.make.image(picture(seed=seed), 'rgb8', header)
        return self.add(topic, message, stamp if received is None else received)

    def info(self, fields=PLAIN, seconds=0.0, topic=INFO):
        stamp = START_NS + round(seconds * 1e9)
        header = self.make.header(stamp, 'camera')
        return self.add(topic, self.make.camera_info(fields, header), stamp)

    def pose(self, seconds, x, y=0.0, topic='/odom'):
        types = self.make.store.types
        stamp = START_NS + round(seconds * 1e9)

        def make(name, **fields):
            return types[f'geometry_msgs/msg/{name}'](**fields)

        zero = make('Vector3', x=0.0, y=0.0, z=0.0)
        pose = make(
            'Pose',
            position=make('Point', x=float(x), y=float(y), z=0.0),
            orientation=make('Quaternion', x=0.0, y=0.0, z=0.0, w=1.0),
        )
        covariance = np.zeros(36)
        odometry = types['nav_msgs/msg/Odometry'](
            header=self.make.header(stamp, 'odom'),
            child_frame_id='base_link',
            pose=make('PoseWithCovariance', pose=pose, covariance=covariance),
            twist=make(
                'TwistWithCovariance',
                twist=make('Twist', linear=zero, angular=zero),
                covariance=covariance,
            ),
        )
        return self.add(topic, odometry, stamp)

    def transform(self, seconds, x, parent='odom', child='base_footprint', topic='/tf'):
        stamp = START_NS + round(seconds * 1e9)
        rows = [(stamp, parent, child, (x, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))]
        return self.add(topic, self.make.tf_message(rows), stamp)


def frames(path, tmp_path, **fields):
    return list(BagSource(path, **fields).frames(tmp_path / 'work'))


def seconds(found):
    return [round(f.time - START_NS * 1e-9, 3) for f in found]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3', 'ros1'])
def test_frames_of_every_storage(tmp_path, storage):
    path = tmp_path / ('drive.bag' if storage == 'ros1' else 'drive')
    Recording().frames(IMAGE, info=INFO).write(path, storage)
    source = BagSource(path)
    found = list(source.frames(tmp_path))
    assert seconds(found) == [0, 0.04, 0.08, 0.12, 0.16]
    assert {f.sequence for f in found} == {'drive.0'}
    lens = Calibration(64, 48, 50.0, 51.0, 31.5, 23.5, d=(-0.2, 0.05, 0.0, 0.0, 0.0))
    for i, frame in enumerate(found):
        np.testing.assert_array_equal(frame.image, rectifier(lens)(picture(seed=i)))
        np.testing.assert_array_equal(frame.intrinsics, rectifier(lens).intrinsics)
        assert np.isnan(frame.travelled)
    assert source.count() == 5


def test_a_compressed_topic_comes_out_as_rgb(tmp_path):
    path = Recording().frames(f'{IMAGE}/compressed', 2, 'png').write(tmp_path / 'drive')
    found = frames(path, tmp_path, intrinsics=(50.0, 51.0, 30.0, 20.0))
    np.testing.assert_array_equal(found[1].image, picture(seed=1))
    assert found[0].intrinsics.tolist() == [[50, 0, 30], [0, 51, 20], [0, 0, 1]]


def test_a_plain_camera_is_not_touched_and_may_be_latched_late(tmp_path):
    path = Drive().picture(0.0).picture(0.1, seed=1).info(seconds=0.2).write(tmp_path / 'drive')
    found = frames(path, tmp_path)
    np.testing.assert_array_equal(found[0].image, picture())
    assert found[0].intrinsics.tolist() == [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]]


def test_camera_info_of_other_sizes(tmp_path):
    double = replace(
        PLAIN, width=128, height=96, k=(100.0, 0.0, 63.5, 0.0, 102.0, 47.5, 0.0, 0.0, 1.0)
    )
    (half,) = frames(Drive().info(double).picture(0.1).write(tmp_path / 'a'), tmp_path)
    np.testing.assert_allclose(half.intrinsics, [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]])
    unsaid = replace(PLAIN, width=0, height=0)
    (same,) = frames(Drive().info(unsaid).picture(0.1).write(tmp_path / 'b'), tmp_path)
    assert same.intrinsics[0, 0] == 50
    other = replace(double, height=72)
    path = Drive().info(other).picture(0.1).write(tmp_path / 'c')
    with pytest.raises(ConfigError, match=r'camera_info on .*: the calibration is for 128 x 72'):
        frames(path, tmp_path)


def test_a_rectified_topic_has_its_projection(tmp_path):
    topic = '/camera/image_rect_color'
    path = Drive().info(camera_fields()).picture(0.1, topic).write(tmp_path / 'drive')
    (found,) = frames(path, tmp_path)
    np.testing.assert_array_equal(found.image, picture())
    assert found.intrinsics.tolist() == [[49, 0, 31], [0, 50, 23], [0, 0, 1]]


def test_gaps_and_jumps_back_begin_sequences(tmp_path):
    drive = Drive().info()
    times = [0.0, 0.1, 0.9, 1.0, 0.5, 0.6]
    for order, time in enumerate(times):
        drive.picture(time, received=START_NS + order * PERIOD_NS)
    path = drive.write(tmp_path / 'drive')
    found = frames(path, tmp_path)
    assert seconds(found) == times
    assert [f.sequence[-1] for f in found] == ['0', '0', '1', '1', '2', '2']
    assert [f.sequence[-1] for f in frames(path, tmp_path, max_gap=1.0)] == list('000011')


def test_start_and_duration(tmp_path):
    drive = Drive().info()
    for i in range(10):
        drive.picture(0.1 * i)
    path = drive.write(tmp_path / 'drive')
    assert seconds(frames(path, tmp_path, start=0.25, duration=0.3)) == [0.3, 0.4, 0.5]
    assert BagSource(path, start=0.25, duration=0.3).count() == 3
    assert seconds(frames(path, tmp_path, start=0.75)) == [0.8, 0.9]


def test_unstamped_pictures_are_timed_by_their_arrival(tmp_path):
    drive = Drive().info()
    for i in range(3):
        message = drive.make.image(picture(), 'rgb8', drive.make.header(0, 'camera'))
        drive.add(IMAGE, message, START_NS + i * PERIOD_NS)
    found = frames(drive.write(tmp_path / 'drive'), tmp_path)
    assert seconds(found) == [0, 0.04, 0.08]
    assert {f.sequence for f in found} == {'drive.0'}


class TestOdometry:
    def drive(self, frame_times=(0.0, 0.1, 0.2, 0.3)):
        drive = Drive().info()
        for time in frame_times:
            drive.picture(time)
        return drive

    def travelled(self, drive, tmp_path, **fields):
        return [f.travelled for f in frames(drive.write(tmp_path / 'drive'), tmp_path, **fields)]

    def test_positions_are_interpolated_at_the_pictures(self, tmp_path):
        drive = self.drive()
        for i, (x, y) in enumerate(((0, 0), (2, 0), (2, 2), (2, 4))):
            drive.pose(-0.05 + 0.15 * i, x, y)
        # At 0, 0.1, 0.2 and 0.3 s: (0.667, 0), (2, 0), (2, 1.333), (2, 2.667).
        expected = [0, 4 / 3, 8 / 3, 4]
        # Seconds since 1970 in float64 are good to 0.2 us.
        assert self.travelled(drive, tmp_path) == pytest.approx(expected, abs=1e-4)

    def test_transforms_serve_as_well(self, tmp_path):
        drive = self.drive()
        for i in range(5):
            drive.transform(0.1 * i, 3.0 * i).transform(0.1 * i, 99.0 * i, 'map', 'odom')
        drive.transform(0.05, 500.0, 'base_footprint', 'wheel')
        assert self.travelled(drive, tmp_path) == pytest.approx([0, 3, 6, 9])

    def test_odometry_comes_before_transforms_and_none_is_none(self, tmp_path):
        drive = self.drive()
        for i in range(5):
            drive.transform(0.1 * i, 3.0 * i).pose(0.1 * i, 5.0 * i)
        path = drive.write(tmp_path / 'drive')
        assert frames(path, tmp_path)[-1].travelled == pytest.approx(15)
        assert frames(path, tmp_path, odometry='tf')[-1].travelled == pytest.approx(9)
        assert np.isnan(frames(path, tmp_path, odometry='none')[-1].travelled)

    def test_a_hole_or_reset_begins_a_new_sequence(self, tmp_path):
        drive = self.drive([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
        for i, x in enumerate((70.0, 71.0, 72.0, 0.0, 1.0, 2.0)):
            drive.pose(0.1 * i, x)
        found = frames(drive.write(tmp_path / 'drive'), tmp_path)
        assert [f.sequence[-1] for f in found] == list('000111')
        assert [f.travelled for f in found] == pytest.approx([0, 1, 2, 0, 1, 2])

    def test_pictures_before_and_after_it_have_no_known_way(self, tmp_path):
        drive = self.drive().pose(0.05, 0.0).pose(0.25, 2.0)
        travelled = self.travelled(drive, tmp_path)
        np.testing.assert_allclose(travelled, [np.nan, 0, 1, np.nan], atol=1e-4)

    def test_stamps_of_another_clock_are_said(self, tmp_path, caplog):
        drive = self.drive().pose(100.0, 0.0).pose(100.1, 1.0)
        assert np.isnan(self.travelled(drive, tmp_path)).all()
        assert 'no frame of /camera/image_raw is stamped within the time' in caplog.text

    def test_several_are_to_be_chosen_from(self, tmp_path):
        drive = self.drive()
        for i in range(5):
            drive.pose(0.1 * i, 1.0 * i, topic='/odom').pose(0.1 * i, 2.0 * i, topic='/fused')
        path = drive.write(tmp_path / 'drive')
        with pytest.raises(ConfigError, match='odometry must be one of /fused, /odom for'):
            frames(path, tmp_path)
        assert frames(path, tmp_path, odometry='/fused')[-1].travelled == pytest.approx(6)
        with pytest.raises(ConfigError, match=r'odometry /wheel is no topic .*choose from /fused'):
            frames(path, tmp_path, odometry='/wheel')

    def test_transforms_without_odom_are_refused_only_if_asked_for(self, tmp_path):
        path = self.drive().transform(0.1, 1.0, 'map', 'odom').write(tmp_path / 'drive')
        assert np.isnan(frames(path, tmp_path)[-1].travelled)
        with pytest.raises(ConfigError, match=r'odometry /tf of .* holds no positions'):
            frames(path, tmp_path, odometry='/tf')


class TestBadInput:
    def test_an_uncalibrated_camera_is_said_with_the_remedy(self, tmp_path):
        path = Drive().info(replace(PLAIN, k=(0.0,) * 9)).picture(0.1).write(tmp_path / 'drive')
        with pytest.raises(ConfigError) as error:
            frames(path, tmp_path)
        assert str(error.value) == (
            f'camera_info on {INFO} of {path} has K[0] = 0 (uncalibrated): give fov=70 (degrees, '
            'horizontal) or intrinsics=[fx, fy, cx, cy] (pixels)'
        )
        (found,) = frames(path, tmp_path, fov=90.0)
        assert found.intrinsics[0, 0] == pytest.approx(32)

    def test_no_camera_info(self, tmp_path):
        path = Drive().picture(0.0).info(topic='/elsewhere/info').write(tmp_path / 'drive')
        with pytest.raises(ConfigError, match='no camera_info beside /camera/image_raw: give fov'):
            frames(path, tmp_path)
        assert frames(path, tmp_path, camera_info='elsewhere/info')[0].intrinsics[0, 0] == 50
        with pytest.raises(
            ConfigError, match=r'camera_info /x is no .*choose from /elsewhere/info'
        ):
            frames(path, tmp_path, camera_info='/x')

    def test_a_lens_that_is_not_known(self, tmp_path):
        odd = replace(camera_fields(), distortion_model='mirror ball')
        path = Drive().info(odd).picture(0.1).write(tmp_path / 'drive')
        with pytest.raises(ConfigError, match=f"camera_info on {INFO} .*'mirror ball' is not kn"):
            frames(path, tmp_path)

    def test_damaged_messages_are_left_out_and_logged(self, tmp_path, caplog):
        drive = Drive().info().picture(0.0).picture(0.2)
        whole = drive.entries[-1][3]
        drive.add_raw(IMAGE, 'sensor_msgs/msg/Image', START_NS + PERIOD_NS, whole[:40])
        found = frames(drive.write(tmp_path / 'drive'), tmp_path)
        assert seconds(found) == [0, 0.2]
        (record,) = caplog.records
        assert IMAGE in record.getMessage()
        assert '\n' not in record.getMessage()

    def test_a_truncated_bag_gives_what_is_whole(self, tmp_path, caplog):
        path = Recording().frames(IMAGE, 20, info=INFO).write(tmp_path / 'drive')
        file = storage_file(path)
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
        assert 5 < len(frames(path, tmp_path)) < 20
        assert 'is truncated' in caplog.text

    def test_no_bag(self, tmp_path):
        with pytest.raises(BagError, match='there is no bag'):
            BagSource(tmp_path / 'gone').files()
        with pytest.raises(BagError, match='is no bag folder'):
            BagSource(tmp_path).files()

    @pytest.mark.parametrize(
        ('fields', 'message'),
        [
            ({'fov': 300.0}, 'fov must be'),
            ({'intrinsics': (1.0, 2.0)}, 'intrinsics must be'),
            ({'start': -1.0}, 'start must be zero or more'),
            ({'duration': -1.0}, 'duration must be zero or more'),
            ({'max_gap': 0.0}, 'max_gap must be above zero'),
        ],
    )
    def test_fields_are_checked(self, tmp_path, fields, message):
        with pytest.raises(ConfigError, match=message):
            BagSource(tmp_path, **fields)


def test_files_and_recognition(tmp_path):
    path = Drive().info().picture(0.0).write(tmp_path / 'drive')
    (path / 'preview.jpg').write_bytes(b'')
    names = [f.name for f in BagSource(path).files()]
    assert names == sorted(['metadata.yaml', storage_file(path).name])
    assert BagSource(storage_file(path)).files() == [storage_file(path)]
    assert BagSource.recognises(path)
    assert BagSource.recognises(storage_file(path))
    assert not BagSource.recognises(tmp_path)
    assert not BagSource.recognises(tmp_path / 'nothing')


def test_real_day_bag(shared_data, tmp_path):
    source = BagSource(shared_data / 'bags' / 'day_highway')
    found = list(source.frames(tmp_path))
    assert len(found) == source.count() == 100
    assert {f.sequence for f in found} == {'day_highway.0'}
    assert found[-1].time - found[0].time == pytest.approx(99 / 25, abs=1e-3)
    # Calibrated: fx 578, a barrel lens; undone, the widest pinhole inside sees a little more.
    assert 500 < found[0].intrinsics[0, 0] < 578
    # Sky is blue, so red really comes first.
    red, _, blue = found[50].image[5:60].mean(axis=(0, 1))
    assert blue > red + 10


def test_real_night_bag_is_not_calibrated(shared_data, tmp_path):
    path = shared_data / 'bags' / 'night_rural'
    with pytest.raises(ConfigError, match=r'K\[0\] = 0 \(uncalibrated\): give fov=70'):
        frames(path, tmp_path)
    found = frames(path, tmp_path, fov=58.0, start=1.0, duration=1.0)
    assert 29 <= len(found) <= 31
    assert found[0].image.mean() < 30
