"""A bag through the pipeline: what comes out, what is dropped, and what is refused."""

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from support.bag_factory import RAW_ENCODINGS, START_NS, Recording, picture, storage_file
from support.stand_in_engine import CAR, HEIGHT, ROAD, SKY, WIDTH, StandInEngine
from support.stripes import striped

from dsn_ros.bag_poses import BagPoses
from dsn_ros.cli_options import pipeline_options
from dsn_ros.errors import BagError, MessageError, UserError
from dsn_ros.message_builders import BagMessages
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.recorder import Recorder
from dsn_ros.replay import ReplayOptions, replay

STEP = 100_000_000


def contents(out: Path):
    """{topic: [(stamp in ns, message)]} of the written mcap, read by the bag library."""
    result = {}
    with AnyReader([out / 'perception.mcap'], default_typestore=BagMessages.typestore()) as bag:
        for connection, stamp, raw in bag.messages():
            message = bag.deserialize(raw, connection.msgtype)
            result.setdefault(connection.topic, []).append((stamp, message))
    return result


def stamp(header):
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def test_every_frame_comes_out_with_its_stamp_and_frame(tmp_path):
    recording = Recording()
    recording.frames('/camera/image_raw', 7, info='/camera/camera_info')
    bag = recording.write(tmp_path / 'bag')
    metrics = replay(bag, tmp_path / 'out', StandInEngine())
    assert (metrics['frames_in'], metrics['frames_out'], metrics['dropped']) == (7, 7, {})
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text()) == metrics
    stages = {'decode', 'resize', 'infer', 'sanity', 'light', 'scale', 'finish', 'write', 'total'}
    assert stages == set(metrics['latency_ms'])
    out = contents(tmp_path / 'out')
    with AnyReader([bag]) as source:
        images = [
            source.deserialize(raw, c.msgtype).header
            for c, _, raw in source.messages()
            if c.topic == '/camera/image_raw'
        ]
    for topic in ('depth/image', 'labels/image', 'labels/confidence', 'depth/camera_info'):
        headers = [m.header for _, m in out[f'/perception/{topic}']]
        assert [stamp(h) for h in headers] == [stamp(h) for h in images]
        assert {h.frame_id for h in headers} == {h.frame_id for h in images}
    depth = out['/perception/depth/image'][0][1]
    assert (depth.encoding, depth.height, depth.width) == ('32FC1', HEIGHT, WIDTH)
    values = depth.data.view(np.float32).reshape(HEIGHT, WIDTH)
    assert np.isposinf(values[:8]).all()
    assert values[20, 0] == pytest.approx(100 / 21)
    assert out['/perception/labels/image'][0][1].encoding == 'mono8'
    names = [c.class_name for c in out['/perception/labels/label_info'][0][1].class_map]
    assert names[0] == 'road'
    assert names[-1] == 'unlabelled'
    assert '://' not in (tmp_path / 'out' / 'report.html').read_text()  # all is inside


def test_one_frame_is_written_while_the_next_is_looked_at(tmp_path, monkeypatch):
    """Engine and recorder wait for each other: one after the other they would never meet."""
    together = threading.Barrier(2, timeout=20)
    frames = 4

    class WaitingEngine(StandInEngine):
        seen = 0

        def infer(self, images):
            if self.seen:
                together.wait()
            self.seen += 1
            return super().infer(images)

    class WaitingRecorder(Recorder):
        written = 0

        def write(self, perception):
            super().write(perception)
            self.written += 1
            if self.written < frames:
                together.wait()

    monkeypatch.setattr('dsn_ros.replay.Recorder', WaitingRecorder)
    recording = Recording()
    recording.frames('/image', frames)
    metrics = replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', WaitingEngine())
    assert (metrics['frames_out'], metrics['dropped']) == (frames, {})
    stamps = [s for s, _ in contents(tmp_path / 'out')['/perception/depth/image']]
    assert stamps == sorted(stamps)
    assert len(stamps) == frames


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3', 'ros1'])
@pytest.mark.parametrize('encoding', [*RAW_ENCODINGS, 'jpeg', 'png'])
def test_encodings_and_storages(tmp_path, storage, encoding):
    recording = Recording()
    compressed = encoding in ('jpeg', 'png')
    recording.frames('/image/compressed' if compressed else '/image', 2, encoding)
    bag = recording.write(tmp_path / ('bag.bag' if storage == 'ros1' else 'bag'), storage)
    metrics = replay(bag, tmp_path / 'out', StandInEngine())
    assert (metrics['frames_out'], metrics['dropped']) == (2, {})


def test_undecodable_frame_is_counted_and_skipped(tmp_path):
    recording = Recording()
    build = BagMessages()
    for i in range(5):
        at = START_NS + i * STEP
        picture = np.full((48, 64, 3), 90, np.uint8)
        data = cv2.imencode('.jpg', picture)[1].tobytes() if i != 2 else b'\xff\xd8 no picture'
        message = build.compressed_image(data, 'jpeg', build.header(at, 'cam'))
        recording.add('/image/compressed', message, at)
    metrics = replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', StandInEngine())
    assert (metrics['frames_in'], metrics['frames_out']) == (5, 4)
    assert metrics['dropped'] == {'undecodable image': 1}
    assert any('jpeg' in p.lower() for p in metrics['problems'])
    stamps = [s for s, _ in contents(tmp_path / 'out')['/perception/depth/image']]
    assert stamps == [START_NS + i * STEP for i in (0, 1, 3, 4)]


def test_frames_that_say_nothing_are_counted_and_told_and_may_be_believed(tmp_path):
    """Two black ones among six, and the picture of the last six stands still."""
    recording, build = Recording(), BagMessages()
    for i in range(18):
        at = START_NS + i * 5 * STEP
        seen = np.zeros((48, 64, 3), np.uint8) if i in (2, 4) else picture(seed=min(i, 12))
        recording.add('/image', build.image(seen, 'rgb8', build.header(at, 'cam')), at)
    bag = recording.write(tmp_path / 'bag')
    metrics = replay(bag, tmp_path / 'out', StandInEngine())
    assert (metrics['frames_out'], metrics['dropped']) == (18, {})
    assert metrics['sanity'] == {'withheld': 4, 'faults': {'black': 2, 'frozen': 2}}
    told = [each for each in metrics['problems'] if 'withheld' in each]
    assert told[0].startswith('2 of 18 frames are withheld (black): the picture is black')
    assert told[1].startswith('2 of 18 frames are withheld (frozen)')
    assert 'withheld (black)' in (tmp_path / 'out' / 'report.html').read_text()
    labels = contents(tmp_path / 'out')['/perception/labels/image']
    silent = [i for i, (_, each) in enumerate(labels) if (np.asarray(each.data) == 255).all()]
    assert silent == [2, 4, 16, 17]
    believed = pipeline_options('none', 0.0, 0.0, ignore=['all'])
    metrics = replay(bag, tmp_path / 'all', StandInEngine(), pipeline=believed)
    assert metrics['sanity'] == {'withheld': 0, 'faults': {}}


def test_of_a_truncated_bag_what_is_whole_is_used_and_said(tmp_path):
    recording = Recording()
    recording.frames('/image', 20)
    bag = recording.write(tmp_path / 'bag')
    file = storage_file(bag)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    metrics = replay(bag, tmp_path / 'out', StandInEngine())
    assert 5 <= metrics['frames_out'] < 20
    assert any('truncated' in p or 'cut' in p for p in metrics['problems'])


def with_truth(tmp_path):
    """Frames whose truth is what the stand-in sees, but for depth twice as far by night."""
    recording, build = Recording(), BagMessages()
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    depth = np.broadcast_to(100 / (1 + rows), (HEIGHT, WIDTH)).copy()
    labels = np.full((HEIGHT, WIDTH), ROAD, np.uint8)
    labels[:, 60:] = CAR
    labels[:8], depth[:8] = SKY, 0
    image = striped(HEIGHT, WIDTH, 100)
    image[:, 60:, 0] = 255
    for i in range(6):
        at = START_NS + i * STEP
        if i in (0, 3):
            text = build.string('day' if i == 0 else 'night')
            recording.add('/ground_truth/condition', text, at)
        header = build.header(at, 'cam')
        recording.add('/image', build.image(image, 'rgb8', header), at)
        # Truth of the night comes late, of the day with the frame.
        late = at + 5_000_000 if i < 3 else at + STEP // 2
        true = build.image(depth * (1 if i < 3 else 2), '32FC1', header)
        recording.add('/ground_truth/depth/image', true, late)
        recording.add('/ground_truth/labels/image', build.image(labels, 'mono8', header), late)
    return recording.write(tmp_path / 'bag')


def test_comparison_by_condition(tmp_path):
    options = ReplayOptions(compare=True)
    metrics = replay(with_truth(tmp_path), tmp_path / 'out', StandInEngine(), options)
    rows = metrics['comparison']
    assert {name: row['frames'] for name, row in rows.items()} == {'all': 6, 'day': 3, 'night': 3}
    assert rows['day']['depth']['abs_rel'] == pytest.approx(0, abs=1e-4)
    assert rows['night']['depth']['abs_rel'] == pytest.approx(0.5, abs=1e-4)
    assert rows['night']['depth_median_scaled']['abs_rel'] == pytest.approx(0, abs=1e-4)
    assert rows['all']['labels']['miou'] == pytest.approx(1)
    assert set(rows['all']['labels']['iou']) == {'road', 'sky', 'car'}


def test_transforms_are_carried_over(tmp_path):
    recording, build = Recording(), BagMessages()
    recording.frames('/image', 2)
    pose = (START_NS, 'base', 'cam', (1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    recording.add('/tf_static', build.tf_message([pose]), START_NS)
    replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', StandInEngine())
    ((_, message),) = contents(tmp_path / 'out')['/tf_static']
    assert message.transforms[0].child_frame_id == 'cam'
    assert message.transforms[0].transform.translation.z == 3.0


def test_what_is_latched_in_the_node_is_latched_in_the_bag(tmp_path):
    recording, build = Recording(), BagMessages()
    recording.frames('/image', 1)
    pose = (START_NS, 'base', 'cam', (1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    recording.add('/tf_static', build.tf_message([pose]), START_NS)
    replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', StandInEngine())
    with AnyReader([tmp_path / 'out' / 'perception.mcap']) as bag:
        qos = {c.topic: c.ext.offered_qos_profiles for c in bag.connections}
    for topic in ('/tf_static', '/perception/labels/label_info'):
        assert [q.durability.name for q in qos[topic]] == ['TRANSIENT_LOCAL']
    assert not qos['/perception/depth/image']


def test_points_on_request(tmp_path):
    recording = Recording()
    recording.frames('/image', 1, info='/camera_info')
    bag = recording.write(tmp_path / 'bag')
    replay(bag, tmp_path / 'without', StandInEngine())
    assert '/perception/points' not in contents(tmp_path / 'without')
    replay(bag, tmp_path / 'with', StandInEngine(), ReplayOptions(points=True))
    ((_, cloud),) = contents(tmp_path / 'with')['/perception/points']
    assert (cloud.height, cloud.width, cloud.point_step) == (HEIGHT, WIDTH, 18)


def test_limit_and_camera_size(tmp_path):
    recording = Recording()
    recording.frames('/image', 9, size=(50, 70))
    metrics = replay(
        recording.write(tmp_path / 'bag'),
        tmp_path / 'out',
        StandInEngine(),
        ReplayOptions(limit=4),
        PipelineOptions('camera'),
    )
    assert metrics['frames_in'] == metrics['frames_out'] == 4
    depth = contents(tmp_path / 'out')['/perception/depth/image'][0][1]
    assert (depth.height, depth.width) == (50, 70)


def test_relative_depth_is_said(tmp_path):
    recording = Recording()
    recording.frames('/image', 1)
    engine = StandInEngine(focal_length=100.0)
    metrics = replay(recording.write(tmp_path / 'bag'), tmp_path / 'out', engine)
    assert metrics['scale']['metric'] is False
    assert any('relative' in p for p in metrics['problems'])


@pytest.mark.parametrize('fault', ['no truth', 'no such truth', 'no frame', 'no out'])
def test_what_cannot_be_done_is_said_and_leaves_nothing(tmp_path, fault):
    recording = Recording()
    if fault == 'no frame':
        _unknown(recording)
    else:
        recording.frames('/image', 2)
    bag, out = recording.write(tmp_path / 'bag'), tmp_path / 'out'
    options = ReplayOptions(
        compare=fault.endswith('truth'),
        depth_truth='/nothing' if fault == 'no such truth' else None,
    )
    if fault == 'no out':
        out.write_text('a file is in the way')
    with pytest.raises(UserError) as caught:
        replay(bag, out, StandInEngine(), options)
    assert '\n' not in str(caught.value)
    assert fault == 'no out' or not list(out.glob('*'))


def _unknown(recording):
    build = BagMessages()
    message = build.image(np.zeros((8, 8, 3), np.uint8), 'rgb8', build.header(START_NS, 'cam'))
    message.encoding = 'holographic'
    recording.add('/image', message, START_NS)


def test_an_earlier_result_stays_when_a_later_run_fails(tmp_path):
    recording = Recording()
    recording.frames('/image', 2)
    bag = recording.write(tmp_path / 'bag')
    replay(bag, tmp_path / 'out', StandInEngine())
    before = {f.name: f.read_bytes() for f in (tmp_path / 'out').iterdir()}
    with pytest.raises(BagError):
        replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(compare=True))
    assert {f.name: f.read_bytes() for f in (tmp_path / 'out').iterdir()} == before


@pytest.mark.parametrize(
    ('name', 'topic', 'frames'),
    [
        ('day_highway', None, 100),
        ('night_rural', None, 157),
        ('day_highway', 'raw', 20),
        ('night_rural', 'raw', 10),
    ],
)
def test_real_bags(shared_data, tmp_path, name, topic, frames):
    from dsn_ros.bags import open_bag

    bag = shared_data / 'bags' / name
    with open_bag(bag) as opened:
        raw = [t.name for t in opened.topics.values() if t.type == 'sensor_msgs/msg/Image']
    options = ReplayOptions(topic=raw[0] if topic else None)
    metrics = replay(bag, tmp_path / 'out', StandInEngine(), options)
    assert metrics['frames_out'] == frames
    out = contents(tmp_path / 'out')
    for kind in ('depth', 'labels'):
        assert len(out[f'/perception/{kind}/image']) == frames


def test_a_transform_that_cannot_be_used_is_not_blamed_on_the_calibration(tmp_path, monkeypatch):
    bag = Recording().frames('/image', 3, info='/camera_info').write(tmp_path / 'bag')

    stamps = []

    def lookup(poses, frame_id, at):
        stamps.append(at)
        if len(stamps) == 2:
            raise MessageError(f'tf of {frame_id} cannot be used')
        return None

    monkeypatch.setattr(BagPoses, 'to_odom', lookup)
    metrics = replay(bag, tmp_path / 'out', StandInEngine())
    assert metrics['dropped'] == {'impossible transform': 1}
    assert metrics['problems'] == ['tf of camera cannot be used']
