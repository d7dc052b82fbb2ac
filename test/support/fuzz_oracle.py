"""What must hold for whatever message comes: one named error, or outputs that are its own.

``Oracle`` takes messages the way that the replay and the node take them, up to the messages that
would be written or published.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_ros.bags import BagMessage, choose_image_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.cloud import organised_cloud
from dsn_ros.errors import MessageError
from dsn_ros.message_builders import BagMessages, Messages
from dsn_ros.messages import (
    bag_converter,
    camera_info_fields,
    compressed_to_rgb,
    image_to_rgb,
    stamp_ns,
)
from dsn_ros.pipeline import Frame, Perception, Pipeline, PipelineOptions
from dsn_ros.point_clouds import read_points
from support.bag_factory import Recording
from support.message_fuzzer import CLOUD, COMPRESSED, IMAGE, INFO, MessageFuzzer, wire
from support.one_line import one_line
from support.stand_in_engine import StandInEngine

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / 'shared'
SLOWEST = 20.0  # seconds of CPU time for one message; a hang is beyond that
OPTIONS = (
    PipelineOptions(),
    PipelineOptions('camera', min_confidence=0.4),
    PipelineOptions(fit='crop', rectify=False),
    PipelineOptions('camera', fov_degrees=60.0, fit='crop'),
)


class Oracle:
    """Feeds messages to pipelines with a stand-in engine and counts what came of them.

    ``verdicts``: (type, 'accepted' or the beginning of the error's text) -> how many.
    ``slowest``: seconds of CPU time of the message that took longest.
    """

    def __init__(self, folder: Path) -> None:
        self.build = BagMessages()
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.slowest = 0.0
        self._pipelines = [Pipeline(StandInEngine(), each) for each in OPTIONS]
        bag = Recording().frames('/image', 1).write(folder / 'fuzz')
        self._bag = open_bag(bag)  # what deserializes, as in a replay

    def take(self, kind: str, message: Any, info: Any = None, which: int = 0) -> None:
        """Take one message of a type; raises AssertionError, or whatever came through.

        ``info``: the camera_info of an image, or None; ``which`` of OPTIONS it is seen with.
        """
        started = time.process_time()
        try:
            self._take(kind, message, info, which)
            self.verdicts[kind, 'accepted'] += 1
        except MessageError as error:
            self.verdicts[kind, _without_values(one_line(error))] += 1
        took = time.process_time() - started
        self.slowest = max(self.slowest, took)
        assert took < SLOWEST, f'{kind} took {took:.1f} s'

    def take_bytes(self, kind: str, raw: bytes, which: int = 0) -> None:
        """Take what a bag or the network holds of a message."""
        try:
            message = self._bag.deserialize(BagMessage('/image', kind, 0, raw))
        except MessageError as error:
            one_line(error)
            self.verdicts[kind, 'does not deserialize'] += 1
            return
        self.take(kind, message, None, which)

    def _take(self, kind: str, message: Any, info: Any, which: int) -> None:
        if kind == INFO:
            Camera.from_info(camera_info_fields(message), '/camera/image_raw')
        elif kind == CLOUD:
            self._check_points(read_points(message), message)
        else:
            raw = kind == IMAGE
            rgb = image_to_rgb(message, bag_converter) if raw else compressed_to_rgb(message)
            assert rgb.dtype == np.uint8
            assert rgb.flags.c_contiguous
            if raw:
                assert rgb.shape == (message.height, message.width, 3)
            stamp, frame_id = stamp_ns(message.header), message.header.frame_id
            camera = None
            if info is not None:
                camera = Camera.from_info(camera_info_fields(info), '/camera/image_raw')
            pipeline = self._pipelines[which % len(OPTIONS)]
            seen = pipeline.process(Frame(rgb, stamp, frame_id, camera))
            self._check_outputs(seen, message)

    def _check_points(self, points: Any, message: Any) -> None:
        assert points.xyz.shape[1:] == (3,)
        assert np.isfinite(points.xyz).all()
        assert points.stamp_ns == _stamp(message)
        assert points.times_ns is None or points.times_ns.shape == points.xyz.shape[:1]

    def _check_outputs(self, seen: Perception, message: Any) -> None:
        """What would be published of ``message``: its stamp, one shape, nothing half valid."""
        assert seen.stamp_ns == _stamp(message)
        assert seen.frame_id == message.header.frame_id
        shape = seen.image.shape[:2]
        assert {seen.depth.shape, seen.labels.shape, seen.confidence.shape} == {shape}
        types = [each.dtype for each in (seen.image, seen.depth, seen.labels, seen.confidence)]
        assert types == [np.uint8, np.float32, np.uint8, np.uint8]
        known = seen.labels[seen.labels != UNLABELLED]
        assert known.size == 0 or known.max() < len(CITYSCAPES.names)
        assert not (seen.depth <= 0).any()
        build = self.build
        header = build.header(seen.stamp_ns, seen.frame_id)
        out = [
            build.image(seen.depth, '32FC1', header),
            build.image(seen.labels, 'mono8', header),
            build.image(seen.confidence, 'mono8', header),
        ]
        if seen.camera is not None:
            assert (seen.camera.height, seen.camera.width) == shape
            out.append(build.camera_info(seen.camera.to_info(), header))
            cloud = organised_cloud(seen)
            unknown = np.isnan(cloud['z'])
            for axis in 'xy':
                assert not np.isinf(cloud[axis]).any()
                assert np.isnan(cloud[axis][unknown]).all()
            out.append(build.point_cloud(cloud, header))
        for each in out:
            written = build.store.deserialize_cdr(build.serialize(each), each.__msgtype__)
            stamp = written.header.stamp
            assert (stamp.sec, stamp.nanosec) == (
                message.header.stamp.sec,
                message.header.stamp.nanosec,
            )


def fuzz(
    oracle: Oracle, seed: int, count: int, worlds: Sequence[Messages], pictures: Sequence[bytes]
) -> Iterator[int]:
    """Feed ``count`` bent messages to ``oracle``; yields how many there were, one by one.

    The messages of a number do not depend on those before it: ``seed + number`` makes it again.
    """
    for number in range(count):
        make = worlds[number % len(worlds)]
        fuzzer = MessageFuzzer(seed + number, make, pictures)
        makers = {
            IMAGE: fuzzer.image,
            COMPRESSED: fuzzer.compressed_image,
            INFO: fuzzer.camera_info,
            CLOUD: fuzzer.point_cloud,
        }
        kind = fuzzer.random.choice((IMAGE, IMAGE, COMPRESSED, INFO, CLOUD))
        message = makers[kind]()
        info, which = None, fuzzer.random.randrange(len(OPTIONS))
        if kind == IMAGE and fuzzer.random.random() < 0.7:
            # Of the image's size, and bent in other ways: only then is it looked at.
            info = fuzzer.camera_info(message.height, message.width)
        try:
            if isinstance(make, BagMessages) and fuzzer.random.random() < 0.3:
                oracle.take_bytes(kind, fuzzer.bytes_bent(wire(make, message)), which)
            else:
                oracle.take(kind, message, info, which)
        except Exception as error:
            raise AssertionError(f'message {seed + number}: {type(error).__name__}') from error
        yield number + 1


def _without_values(text: str) -> str:
    """The first words of an error, which tell its kind."""
    return ' '.join(re.sub(r"'[^']*'|[\d.()-]+|\S*e[+-]\d+", '_', text).split()[:5])


@cache
def real_pictures(most: int = 4) -> tuple[bytes, ...]:
    """Pictures as they lie in the demo's bag, and in the real drives where they are."""
    data = []
    bags = [REPOSITORY / 'demo' / 'street', *sorted((SHARED / 'data' / 'bags').glob('*'))]
    for path in bags:
        with open_bag(path) as bag:
            topic = choose_image_topic(bag)
            messages = (bag.deserialize(m) for m in bag.messages([topic.name]))
            if topic.type == COMPRESSED:
                data += [bytes(m.data) for m in islice(messages, most)]
    return tuple(data)


def _stamp(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
