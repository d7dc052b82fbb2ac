"""Which topic of a bag is the camera's, and which is its camera_info."""

import pytest
from support.bag_factory import (
    START_NS,
    Recording,
)

from dsn_ros.bags import choose_image_topic, find_camera_info_topic, open_bag
from dsn_ros.errors import BagError

IMAGE, INFO = '/camera/image_raw', '/camera/camera_info'


class TestChooseImageTopic:
    def choose(self, tmp_path, recording, wanted=None):
        with open_bag(recording.write(tmp_path / 'drive')) as bag:
            return choose_image_topic(bag, wanted).name

    def test_the_only_one(self, tmp_path):
        assert self.choose(tmp_path, Recording().frames(IMAGE, info=INFO)) == IMAGE

    @pytest.mark.parametrize(('raw', 'compressed'), [(2, 5), (5, 2), (3, 3)])
    def test_of_a_raw_and_compressed_pair_the_fuller_one(self, tmp_path, raw, compressed):
        recording = Recording().frames(IMAGE, raw)
        recording.frames(f'{IMAGE}/compressed', compressed, 'jpeg')
        expected = IMAGE if raw >= compressed else f'{IMAGE}/compressed'
        assert self.choose(tmp_path, recording) == expected

    def test_not_depth_nor_labels(self, tmp_path):
        recording = Recording().frames(IMAGE).depth('/truth/depth').frames('/labels', 9, 'mono8')
        recording.add(
            '/depth/compressedDepth',
            recording.make.compressed_image(b'12', '16UC1', recording.make.header(0, '')),
            START_NS,
        )
        recording.add(
            '/depth2/compressed',
            recording.make.compressed_image(b'12', '16UC1; png', recording.make.header(0, '')),
            START_NS,
        )
        assert self.choose(tmp_path, recording) == IMAGE

    def test_grey_where_there_is_no_colour(self, tmp_path):
        assert self.choose(tmp_path, Recording().frames(IMAGE, 2, 'mono8').depth('/d')) == IMAGE

    def test_looks_past_a_damaged_first_message(self, tmp_path):
        recording = Recording().frames(IMAGE).depth('/truth/depth', 3)
        entry = next(e for e in recording.entries if e[0] == '/truth/depth')
        recording.entries.remove(entry)
        recording.add_raw(*entry[:3], entry[3][:10])
        assert self.choose(tmp_path, recording) == IMAGE

    def test_several(self, tmp_path):
        recording = Recording().frames('/left/image').frames('/right/image')
        with pytest.raises(BagError, match='choose one of /left/image, /right/image with'):
            self.choose(tmp_path, recording)

    @pytest.mark.parametrize('wanted', ['/right/image', 'right/image'])
    def test_the_wanted_one(self, tmp_path, wanted):
        recording = Recording().frames('/left/image').frames('/right/image')
        assert self.choose(tmp_path, recording, wanted) == '/right/image'

    def test_none(self, tmp_path):
        with pytest.raises(
            BagError, match=r'no image topic: its topics are /d \(sensor_msgs'
        ) as e:
            self.choose(tmp_path, Recording().depth('/d'))
        assert '\n' not in str(e.value)

    @pytest.mark.parametrize(
        ('wanted', 'words'),
        [
            ('/x', f'has no topic /x: its image topics are {IMAGE}'),
            (INFO, 'is sensor_msgs/msg/CameraInfo, no image'),
            ('/d', '/d is a depth topic'),
        ],
    )
    def test_a_wanted_one_that_is_none(self, tmp_path, wanted, words):
        with pytest.raises(BagError) as error:
            self.choose(tmp_path, Recording().frames(IMAGE, info=INFO).depth('/d'), wanted)
        assert '\n' not in str(error.value)
        assert words in str(error.value)


class TestFindCameraInfoTopic:
    @pytest.mark.parametrize(
        ('image', 'info'),
        [
            ('/camera/image_raw', '/camera/camera_info'),
            ('/camera/image_raw/compressed', '/camera/camera_info'),
            ('/a/b/image/compressed', '/a/b/camera_info'),
            ('/image', '/camera_info'),
            ('image', 'camera_info'),
        ],
    )
    def test_is_the_sibling(self, tmp_path, image, info):
        encoding = 'jpeg' if image.endswith('compressed') else 'rgb8'
        path = Recording().frames(image, 1, encoding, info=info).write(tmp_path / 'drive')
        with open_bag(path) as bag:
            assert find_camera_info_topic(bag, image) == info
            assert find_camera_info_topic(bag, '/elsewhere/image') is None

    def test_is_a_camera_info(self, tmp_path):
        recording = Recording().frames('/camera/image', 1)
        recording.add('/camera/camera_info', recording.make.string('no'), START_NS)
        with open_bag(recording.write(tmp_path / 'drive')) as bag:
            assert find_camera_info_topic(bag, '/camera/image') is None
