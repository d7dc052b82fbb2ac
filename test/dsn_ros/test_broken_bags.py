"""Bags that were cut off or damaged anywhere: what is whole is read, or one line says why not.

``python test/long_runs.py bags`` is the long run of the same.
"""

import sqlite3

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
from support.broken_bags import STORAGES, cut, flipped, read, small_bag
from support.one_line import one_line
from support.stand_in_engine import StandInEngine

from dsn_ros import bag_salvage
from dsn_ros.bags import open_bag
from dsn_ros.errors import BagError
from dsn_ros.replay import ReplayOptions, replay


@pytest.mark.parametrize(('storage', 'compression'), STORAGES)
@pytest.mark.slow
def test_cut_off_at_every_percent(tmp_path, storage, compression):
    file = small_bag(tmp_path, storage, compression)
    whole = read(file)
    assert len(whole) == 18
    counts = []
    for percent in range(0, 100, 3 if compression else 1):
        found = read(cut(file, tmp_path, percent))
        assert found is None or found.items() <= whole.items()  # nothing that was not recorded
        counts.append(len(found or ()))
    assert counts[0] == 0
    assert max(counts) >= 15  # the last percent of a database is a page, with three rows
    if compression is None and storage == 'mcap':
        assert counts == sorted(counts)  # the longer the file, the more of it is read


def test_cut_off_at_every_percent_ros_1(tmp_path):
    file = small_bag(tmp_path, 'ros1')
    assert [read(cut(file, tmp_path, percent)) for percent in range(0, 100, 3)] == [None] * 34


@pytest.mark.parametrize('percent', [0, 1, 7, 35, 68, 99])
def test_a_real_bag_cut_off(shared_data, tmp_path, percent):
    for file in sorted((shared_data / 'bags').glob('*/*.[md][cb]*')):
        whole = read(file, 40)
        found = read(cut(file, tmp_path, percent), 40) or {}
        assert len(found) > 20 or percent < 68
        for key in found.keys() & whole.keys():  # the order of recording is another
            assert found[key] == whole[key]


@pytest.mark.parametrize(('storage', 'compression'), [*STORAGES, ('ros1', None)])
def test_flipped_bytes(tmp_path, storage, compression):
    file = small_bag(tmp_path, storage, compression)
    read_at_all = sum(read(flipped(file, tmp_path, seed)) is not None for seed in range(25))
    assert read_at_all > 5


@pytest.mark.parametrize('percent', [30, 60, 97])
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_replay_of_what_is_left_is_whole(tmp_path, storage, percent):
    file = cut(small_bag(tmp_path, storage), tmp_path, percent)
    out = tmp_path / 'out'
    try:
        metrics = replay(file, out, StandInEngine())
    except BagError as error:
        one_line(error)
        assert not list(out.glob('*'))
        return
    assert any('truncated' in problem for problem in metrics['problems'])
    with open_bag(out / 'perception.mcap') as bag:
        assert bag.topics['/perception/depth/image'].count == metrics['frames_out']


def test_two_cameras_out_of_order_and_of_no_length(tmp_path):
    recording = Recording().frames('/left/image', 4, info='/left/camera_info')
    recording.frames('/right/image', 2)
    build = recording.make
    # Stamps that go backward, received in that order, and messages of no bytes at all.
    for i, stamp in enumerate((9, 3, 7, 0)):
        header = build.header(START_NS + stamp * PERIOD_NS, 'left')
        message = build.image(picture(), 'rgb8', header)
        recording.add('/left/image', message, START_NS + 10**9 + i)
    recording.add_raw('/left/image', 'sensor_msgs/msg/Image', START_NS + 2 * 10**9, b'')
    recording.add_raw('/left/camera_info', 'sensor_msgs/msg/CameraInfo', START_NS, b'')
    bag = recording.write(tmp_path / 'bag')
    with pytest.raises(BagError, match='choose one of /left/image, /right/image'):
        replay(bag, tmp_path / 'out', StandInEngine())
    metrics = replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(topic='/left/image'))
    assert (metrics['frames_in'], metrics['frames_out']) == (9, 8)
    assert metrics['dropped'] == {'damaged message': 1}
    with open_bag(tmp_path / 'out' / 'perception.mcap') as written:
        stamps = [
            written.deserialize(m).header.stamp
            for m in written.messages(['/perception/depth/image'])
        ]
    assert len(stamps) == 8
    assert len({(s.sec, s.nanosec) for s in stamps}) == 6  # 0 and 3 come twice


def test_messages_that_no_output_could_follow_are_dropped_by_name(tmp_path):
    """Each of these ended a replay with a traceback."""
    recording = Recording().frames('/image', 2, info='/camera_info')
    build = recording.make
    at = START_NS + 10**9
    before_1970 = build.image(picture(), 'rgb8', build.header(-(10**9), 'camera'))
    recording.add('/image', before_1970, at)
    info = build.header(at, 'camera')
    fields = recording_info(build, info, d=np.array([1e6, 1e9, 1e5, 1.0, 1.0]), p=np.zeros(12))
    recording.add('/camera_info', fields, at + 1)
    recording.add('/image', build.image(picture(), 'rgb8', build.header(at, 'camera')), at + 2)
    recording.add('/camera_info', recording_info(build, info, d=np.ones(3)), at + 3)
    pose = (-5, 'base', 'camera', (1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    recording.add('/tf', build.tf_message([pose]), at + 4)
    metrics = replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', StandInEngine())
    assert metrics['frames_out'] == 2
    assert metrics['dropped'] == {'impossible stamp': 1, 'impossible calibration': 1}
    told = '\n'.join(metrics['problems'])
    assert '-1 s and 0 ns is no time' in told
    assert 'fit no undistorted picture' in told
    assert '3 coefficients' in told


def recording_info(build, header, **changes):
    """A CameraInfo that is a lens of the pictures' size, but for ``changes``."""
    message = build.camera_info(camera_fields(), header)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_a_row_from_before_1970_costs_that_row_only(tmp_path):
    file = storage_file(Recording().frames('/image', 3).write(tmp_path / 'bag', 'sqlite3'))
    with sqlite3.connect(file) as database:
        database.execute('UPDATE messages SET timestamp = -5 WHERE id = 2')
    database.close()
    metrics = replay(file, tmp_path / 'out', StandInEngine())
    assert (metrics['frames_in'], metrics['frames_out']) == (3, 2)
    assert any('-5 ns, before 1970' in problem for problem in metrics['problems'])


@pytest.mark.parametrize(
    ('field', 'other', 'told'),
    [
        (b'string encoding', b'string incoding', 'sensor_msgs/msg/Image.encoding'),
        (b'uint32 height', b'uint16 height', 'sensor_msgs/msg/Image.height'),
        (b'string frame_id', b'string frame_ib', 'std_msgs/msg/Header.frame_id'),
    ],
)
def test_a_bag_that_defines_a_type_otherwise_is_not_read_by_its_definition(
    tmp_path, field, other, told
):
    """An mcap is read by its own definitions: a replay ended with an AttributeError."""
    recording = Recording().frames('/image', 2)
    file = storage_file(recording.write(tmp_path / 'bag'))
    assert field in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(field, other))
    with pytest.raises(BagError, match=f'the bag defines {told} otherwise') as caught:
        replay(file, tmp_path / 'out', StandInEngine())
    one_line(caught.value)


def test_truth_of_another_kind_is_named(tmp_path):
    """A colour picture given as labels ended a replay with a traceback."""
    recording = Recording().frames('/image', 2).frames('/other', 2, size=(20, 30))
    options = ReplayOptions(topic='/image', compare=True, labels_truth='/other')
    metrics = replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', StandInEngine(), options)
    assert any("/other is 'rgb8', but labels" in problem for problem in metrics['problems'])


def test_a_bag_that_is_being_written_is_read_as_far_as_it_goes(tmp_path):
    """Without its end, without metadata.yaml, and longer each time one looks."""
    whole = small_bag(tmp_path, 'mcap')
    growing = tmp_path / 'live' / 'live_0.mcap'
    growing.parent.mkdir()
    counts = []
    for percent in (0, 25, 50, 75):
        growing.write_bytes(whole.read_bytes()[: whole.stat().st_size * percent // 100])
        counts.append(len(read(growing.parent) or ()))
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] > 5


def test_a_message_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    """A few kilobytes of zstd may be many gigabytes; here, a little more than is allowed."""
    monkeypatch.setattr(bag_salvage, 'MAX_UNPACKED', 2**20)
    bomb = bag_salvage.zstd.compress(bytes(2**20 + 1))
    assert len(bomb) < 2000
    recording = Recording().frames('/image/compressed', 2, 'jpeg')
    recording.add_raw('/image/compressed', 'sensor_msgs/msg/CompressedImage', START_NS + 5, bomb)
    file = storage_file(recording.write(tmp_path / 'bag', 'sqlite3'))
    metrics = replay(file, tmp_path / 'out', StandInEngine())
    assert (metrics['frames_in'], metrics['dropped']) == (3, {'damaged message': 1})
    assert len(bag_salvage.unpacked(bag_salvage.zstd.compress(bytes(2**20)))) == 2**20
