"""Reading bags without ROS, broken ones included."""

import shutil

import numpy as np
import pytest
from support.bag_factory import (
    PERIOD_NS,
    RAW_ENCODINGS,
    START_NS,
    Recording,
    jpeg,
    picture,
    storage_file,
)

from dsn_ros.bag_salvage import ZSTD_MAGIC
from dsn_ros.bags import BagMessage, choose_image_topic, find_camera_info_topic, open_bag
from dsn_ros.errors import BagError, MessageError
from dsn_ros.messages import bag_converter, compressed_to_rgb, image_to_rgb, stamp_ns

IMAGE, INFO = '/camera/image_raw', '/camera/camera_info'
STORAGES = ('mcap', 'sqlite3', 'ros1')


def record(folder, storage='mcap', *, name='drive', **options):
    """A bag of 5 frames and their camera_info."""
    path = folder / (f'{name}.bag' if storage == 'ros1' else name)
    return Recording().frames(IMAGE, info=INFO).write(path, storage, **options)


def received(bag, topics=None):
    return [(m.topic, m.receive_ns) for m in bag.messages(topics)]


def one_line(error):
    assert '\n' not in str(error.value)
    return str(error.value)


class TestOpenBag:
    @pytest.mark.parametrize('storage', STORAGES)
    def test_reads_every_storage(self, tmp_path, storage):
        with open_bag(record(tmp_path, storage)) as bag:
            assert {t.name: (t.type, t.count) for t in bag.topics.values()} == {
                IMAGE: ('sensor_msgs/msg/Image', 5),
                INFO: ('sensor_msgs/msg/CameraInfo', 5),
            }
            assert bag.duration_ns == 4 * PERIOD_NS + 1_000_000 - 1000
            assert bag.problems == []
            times = [t for _, t in received(bag)]
            assert len(times) == 10
            assert times == sorted(times)
            for i, message in enumerate(bag.messages([IMAGE])):
                image = bag.deserialize(message)
                assert message.receive_ns == START_NS + i * PERIOD_NS + 1_000_000
                assert stamp_ns(image.header) == START_NS + i * PERIOD_NS
                np.testing.assert_array_equal(image_to_rgb(image), picture(seed=i))

    @pytest.mark.parametrize('encoding', [*RAW_ENCODINGS, 'jpeg', 'png'])
    def test_frames_of_every_encoding_come_out_as_rgb(self, tmp_path, encoding):
        path = Recording().frames('/image', 1, encoding).write(tmp_path / 'bag')
        with open_bag(path) as bag:
            (message,) = bag.messages()
            image = bag.deserialize(message)
            compressed = encoding in ('jpeg', 'png')
            rgb = compressed_to_rgb(image) if compressed else image_to_rgb(image, bag_converter)
            expected = picture()
            if encoding.startswith('mono'):
                expected = np.repeat(expected.mean(axis=-1, keepdims=True), 3, axis=-1)
                expected += rgb.mean() - expected.mean()
            error = np.abs(rgb.astype(float) - expected)[2:-2, 2:-2]
            assert error.mean() < (40 if encoding.startswith('mono') else 4)

    def test_asks_for_topics_by_name(self, tmp_path):
        with open_bag(record(tmp_path)) as bag:
            assert len(received(bag, [INFO])) == 5
            assert received(bag, ['/nothing']) == []
            assert received(bag, []) == []

    def test_is_not_read_once_closed(self, tmp_path):
        with open_bag(record(tmp_path)) as bag:
            pass
        with pytest.raises(ValueError, match='is closed'):
            received(bag)

    @pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
    def test_reads_bare_files(self, tmp_path, storage):
        with open_bag(storage_file(record(tmp_path, storage))) as bag:
            assert len(received(bag)) == 10
            assert bag.problems == []

    @pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
    @pytest.mark.parametrize('content', [None, '', 'a: [', 'rosbag2_bagfile_information: {}'])
    def test_reads_on_without_usable_metadata(self, tmp_path, storage, content):
        path = record(tmp_path, storage)
        if content is None:
            (path / 'metadata.yaml').unlink()
        else:
            (path / 'metadata.yaml').write_text(content)
        with open_bag(path) as bag:
            assert len(received(bag)) == 10
            assert 'metadata.yaml' in bag.problems[0]

    def test_reads_on_after_a_file_was_renamed(self, tmp_path):
        path = record(tmp_path)
        storage_file(path).rename(path / 'other.mcap')
        with open_bag(path) as bag:
            assert len(received(bag)) == 10
            assert 'other.mcap' in bag.problems[0]

    def test_puts_a_split_recording_together(self, tmp_path):
        whole = tmp_path / 'drive'
        whole.mkdir()
        for part in range(2):
            recording = Recording()
            for i in range(3):
                header = recording.make.header(START_NS, 'camera')
                message = recording.make.compressed_image(jpeg(picture()), 'jpeg', header)
                recording.add('/image/compressed', message, START_NS + 3 * part + i)
            file = storage_file(recording.write(tmp_path / f'drive_{part}'))
            shutil.copy(file, whole)
        with open_bag(whole) as bag:
            assert [t for _, t in received(bag)] == [START_NS + i for i in range(6)]
            assert bag.topics['/image/compressed'].count == 6

    @pytest.mark.parametrize(
        ('storage', 'compression'),
        [('mcap', 'storage'), ('mcap', 'message'), ('mcap', 'file'), ('sqlite3', 'message')],
    )
    def test_reads_compressed_bags(self, tmp_path, storage, compression):
        path = record(tmp_path, storage, compression=compression)
        with open_bag(path) as bag:
            images = [bag.deserialize(m) for m in bag.messages([IMAGE])]
            assert len(images) == 5
        if compression == 'message':  # what was compressed is said in metadata.yaml only
            with open_bag(storage_file(path)) as bag:
                assert [bag.deserialize(m) for m in bag.messages([IMAGE])][4].height == 48

    def test_reads_a_path_with_odd_characters(self, tmp_path):
        folder = tmp_path / 'a?b#c%20 d'
        record(tmp_path, 'sqlite3').rename(folder)
        with open_bag(folder) as bag:
            assert len(received(bag)) == 10

    def test_tells_of_a_log_that_was_not_folded_in(self, tmp_path):
        file = storage_file(record(tmp_path, 'sqlite3'))
        file.with_name(f'{file.name}-wal').write_bytes(b'log')
        with open_bag(file) as bag:
            assert 'drive.db3-wal' in bag.problems[0]

    def test_says_why_there_is_no_bag(self, tmp_path):
        with pytest.raises(BagError, match=r'there is no bag .*nowhere: check the path') as error:
            open_bag(tmp_path / 'nowhere')
        one_line(error)
        (tmp_path / 'notes.txt').write_text('hello')
        with pytest.raises(BagError, match=r'notes.txt is no bag: give'):
            open_bag(tmp_path / 'notes.txt')
        with pytest.raises(BagError, match='is no bag folder'):
            open_bag(tmp_path)
        record(tmp_path)
        with pytest.raises(BagError, match='it holds the bags drive: name one'):
            open_bag(tmp_path)
        for name in ('day.mcap', 'night.mcap'):
            shutil.copy(storage_file(tmp_path / 'drive'), tmp_path / name)
        with pytest.raises(BagError, match=r'several bags: name one of day.mcap, night.mcap'):
            open_bag(tmp_path)

    @pytest.mark.parametrize('suffix', ['.mcap', '.db3', '.bag'])
    @pytest.mark.parametrize('content', [b'', b'x', b'hello ' * 1000])
    def test_says_that_nothing_is_readable(self, tmp_path, suffix, content):
        path = tmp_path / f'drive{suffix}'
        path.write_bytes(content)
        with pytest.raises(BagError, match='holds no whole message') as error:
            open_bag(path)
        assert 'again' in one_line(error)

    def test_says_that_a_bag_of_ros_1_wants_reindexing(self, tmp_path):
        path = record(tmp_path, 'ros1')
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(BagError, match='rosbag reindex'):
            open_bag(path)


class TestSalvage:
    @pytest.mark.parametrize('compression', [None, 'storage', 'message'])
    @pytest.mark.parametrize('fraction', [0.3, 0.5, 0.9, 0.999])
    def test_truncated_mcap(self, tmp_path, fraction, compression):
        path = self._record(tmp_path, compression=compression)
        # A cut inside a compressed chunk costs what its compressor had not flushed.
        self._check(path, fraction, 'mcap recover drive.mcap', 14 if compression else 3)

    @pytest.mark.parametrize('fraction', [0.3, 0.5, 0.9, 0.97, 0.999])
    def test_truncated_sqlite3(self, tmp_path, fraction):
        # The page that leads to a row may be written after it.
        path = self._record(tmp_path, 'sqlite3')
        self._check(path, fraction, 'sqlite3 drive.db3 .recover', 14)

    def _record(self, folder, storage='mcap', compression=None):
        """20 frames that take more than one chunk."""
        recording = Recording().frames(IMAGE, 20, size=(120, 160), info=INFO)
        return recording.write(folder / 'drive', storage, compression=compression)

    def _check(self, path, fraction, remedy, lost):
        with open_bag(path) as bag:
            expected = {(m.topic, m.receive_ns): bytes(m.raw) for m in bag.messages()}
        file = storage_file(path)
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * fraction)])
        for broken in (path, file):
            with open_bag(broken) as bag:
                found = {(m.topic, m.receive_ns): bytes(m.raw) for m in bag.messages()}
                assert found
                assert found.items() <= expected.items()
                assert len(found) >= fraction * len(expected) - lost
                (problem,) = bag.problems
                assert f'is truncated: {len(found)} whole message' in problem
                assert remedy in problem
                for message in bag.messages():
                    bag.deserialize(message)
                assert sum(t.count for t in bag.topics.values()) == len(found)

    def test_a_damaged_chunk_costs_that_chunk_only(self, tmp_path):
        size = (480, 640)  # about a chunk for each frame
        path = (
            Recording()
            .frames(IMAGE, 4, size=size)
            .write(tmp_path / 'drive', compression='storage')
        )
        file = storage_file(path)
        raw = bytearray(file.read_bytes())
        second = raw.index(ZSTD_MAGIC, raw.index(ZSTD_MAGIC) + 1)
        raw[second : second + 4] = bytes(4)
        file.write_bytes(raw)
        with open_bag(path) as bag:
            found = received(bag)
            assert 2 <= len(found) < 4
            assert len(set(found)) == len(found)
            assert 'gave up after' in bag.problems[0]
            assert 'is damaged' in bag.problems[1]
            assert received(bag) == found
            assert len(bag.problems) == 2

    def test_a_damaged_row_costs_that_row_only(self, tmp_path):
        path = Recording().frames(IMAGE, 40, size=(20, 20)).write(tmp_path / 'drive', 'sqlite3')
        file = storage_file(path)
        raw = bytearray(file.read_bytes())
        at = len(raw) // 2 // 4096 * 4096
        raw[at : at + 8] = b'\xff' * 8  # the head of one page
        file.write_bytes(raw)
        with open_bag(path) as bag:
            found = received(bag)
            assert 30 <= len(found) < 40
            assert len(set(found)) == len(found)
            assert 'is damaged' in ''.join(bag.problems)

    def test_reads_an_mcap_that_does_not_call_itself_ros_2(self, tmp_path):
        file = storage_file(record(tmp_path))
        file.write_bytes(file.read_bytes().replace(b'ros2', b'ros_', 1))
        with open_bag(file) as bag:
            assert len(received(bag)) == 10
            assert 'Profile is not ros2' in bag.problems[0]

    def test_reads_types_that_only_the_bag_defines(self, tmp_path):
        recording = Recording()
        from rosbags.typesys import get_types_from_msg

        recording.make.store.register(get_types_from_msg('int32 speed', 'car/msg/Speed'))
        for i in range(3):
            recording.add('/speed', recording.make.store.types['car/msg/Speed'](i), START_NS + i)
        for storage in ('mcap', 'sqlite3'):
            file = storage_file(recording.write(tmp_path / storage, storage))
            raw = file.read_bytes()
            if storage == 'mcap':
                raw = raw[:-20]
            file.write_bytes(raw)
            with open_bag(file) as bag:
                assert [bag.deserialize(m).speed for m in bag.messages()] == [0, 1, 2]


class TestDeserialize:
    @pytest.mark.parametrize('cut', [0, 3, 10, 40])
    def test_a_damaged_message_costs_that_message_only(self, tmp_path, cut):
        recording = Recording().frames(IMAGE, 3)
        topic, type_name, receive_ns, raw = recording.entries[1]
        recording.entries[1] = (topic, type_name, receive_ns, raw[:cut])
        with open_bag(recording.write(tmp_path / 'drive', 'sqlite3')) as bag:
            first, second, third = bag.messages()
            bag.deserialize(first)
            with pytest.raises(MessageError, match=f'{IMAGE}.*{receive_ns}') as error:
                bag.deserialize(second)
            one_line(error)
            bag.deserialize(third)

    def test_a_damaged_jpeg_costs_that_frame_only(self, tmp_path):
        recording = Recording()
        for i in range(3):
            data = jpeg(picture())[: 300 if i == 1 else None]
            header = recording.make.header(START_NS + i, 'camera')
            message = recording.make.compressed_image(data, 'jpeg', header)
            recording.add('/image/compressed', message, START_NS + i)
        with open_bag(recording.write(tmp_path / 'drive')) as bag:
            first, second, third = (bag.deserialize(m) for m in bag.messages())
            compressed_to_rgb(first)
            with pytest.raises(MessageError, match='jpeg'):
                compressed_to_rgb(second)
            compressed_to_rgb(third)

    def test_an_unknown_type(self, tmp_path):
        with open_bag(record(tmp_path)) as bag, pytest.raises(MessageError, match='car/msg/Speed'):
            bag.deserialize(BagMessage('/speed', 'car/msg/Speed', 0, bytes(8)))


class TestRealBags:
    @pytest.mark.parametrize(
        ('name', 'frames', 'calibrated'), [('day_highway', 100, True), ('night_rural', 157, False)]
    )
    def test_real_drives(self, shared_data, name, frames, calibrated):
        path = shared_data / 'bags' / name
        if not path.is_dir():
            pytest.skip(f'real bags are not here: {path} is missing')
        with open_bag(path) as bag:
            topic = choose_image_topic(bag)
            assert (topic.name, topic.count) == ('/camera/image_raw/compressed', frames)
            info = find_camera_info_topic(bag, topic.name)
            (first, *_) = bag.messages([info])
            assert (bag.deserialize(first).k[0] != 0) == calibrated
            raw = {}
            for message in bag.messages(['/camera/image_raw']):
                image = bag.deserialize(message)
                raw[stamp_ns(image.header)] = image_to_rgb(image)
            compared = 0
            for message in bag.messages([topic.name]):
                image = bag.deserialize(message)
                if stamp_ns(image.header) in raw:
                    error = raw[stamp_ns(image.header)].astype(int) - compressed_to_rgb(image)
                    assert np.abs(error).mean() < 3  # the same picture, channels in order
                    compared += 1
            assert compared >= 10
            assert bag.problems == []
