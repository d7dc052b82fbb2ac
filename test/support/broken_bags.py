"""Bags that were cut off or damaged, and what may come of reading them."""

import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from dsn_ros.bag_topics import IMAGE, choose_image_topic, find_camera_info_topic
from dsn_ros.bags import open_bag
from dsn_ros.camera import Camera
from dsn_ros.errors import BagError, MessageError
from dsn_ros.messages import bag_converter, camera_info_fields, compressed_to_rgb, image_to_rgb
from support.bag_factory import Recording, storage_file
from support.fuzz_oracle import REPOSITORY, SHARED
from support.one_line import one_line

STORAGES = (('mcap', None), ('mcap', 'storage'), ('sqlite3', None))
Found = dict[tuple[str, int], bytes]


def small_bag(folder: Path, storage: str, compression: str | None = None) -> Path:
    """A bag of 12 small frames, half of them JPEGs, with their camera_info; returns its file."""
    recording = Recording()
    recording.frames('/camera/image_raw', 6, size=(24, 32), info='/camera/camera_info')
    recording.frames('/camera/image_raw/compressed', 6, 'jpeg', size=(24, 32))
    path = folder / f'{storage}-{compression}{".bag" if storage == "ros1" else ""}'
    recording.write(path, storage, compression=compression)
    return path if storage == 'ros1' else storage_file(path)


def read(path: Path, frames: int | None = None) -> Found | None:
    """Read a bag as a replay does, ``frames`` messages at most; None where it is refused.

    Raises whatever else comes through than the one error for bags and the one for messages.
    """
    found: Found = {}
    try:
        with open_bag(path) as bag:
            topic = choose_image_topic(bag)
            info = find_camera_info_topic(bag, topic.name)
            for message in islice(bag.messages(), frames):
                found[message.topic, message.receive_ns] = bytes(message.raw)
                if message.topic not in (topic.name, info):
                    continue
                try:
                    content = bag.deserialize(message)
                    if message.topic == info:
                        Camera.from_info(camera_info_fields(content))
                    elif topic.type == IMAGE:
                        image_to_rgb(content, bag_converter)
                    else:
                        compressed_to_rgb(content)
                except MessageError as error:
                    one_line(error)
            assert all(problem.isprintable() for problem in bag.problems)
    except BagError as error:
        one_line(error)
        return None
    return found


def cut(file: Path, work: Path, percent: int) -> Path:
    """The first ``percent`` of ``file``, as a file of its own."""
    short = work / f'cut{file.suffix}'
    whole = file.read_bytes()
    short.write_bytes(whole[: len(whole) * percent // 100])
    return short


def flipped(file: Path, work: Path, seed: int) -> Path:
    """``file`` with one to four bytes changed, half of the times among the first or last ones."""
    source, broken = random.Random(seed), bytearray(file.read_bytes())
    for _ in range(source.randint(1, 4)):
        near = source.choice((len(broken), len(broken), 200, 2000))
        at = source.randrange(min(near, len(broken)))
        broken[at if source.random() < 0.5 else -1 - at] ^= 1 << source.randrange(8)
    path = work / f'flipped{file.suffix}'
    path.write_bytes(broken)
    return path


def break_bags(folder: Path, seed: int, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Cut each storage, the demo's bag and the real ones at every percent; flip bytes of each."""
    results: Counter[str] = Counter()
    small = [small_bag(folder, *each) for each in (*STORAGES, ('ros1', None))]
    real = [REPOSITORY / 'demo' / 'street' / 'street.mcap']
    real += sorted((SHARED / 'data' / 'bags').glob('*/*.[md][cb]*'))
    slowest = 0.0
    for file in (*small, *real):
        whole = read(file)
        assert whole, file
        for percent in range(100):
            started = time.process_time()
            found = read(cut(file, folder, percent))
            slowest = max(slowest, time.process_time() - started)
            assert found is None or found.items() <= whole.items(), (file, percent)
            results['cut, refused' if found is None else 'cut, read'] += 1
        say(f'\r{file.name}: cut')
    for file in small:
        for number in range(count):
            started = time.process_time()
            found = read(flipped(file, folder, seed + number))
            slowest = max(slowest, time.process_time() - started)
            results['flipped, refused' if found is None else 'flipped, read'] += 1
        say(f'\r{file.name}: flipped')
    return {'bags': len(small) + len(real), 'slowest_s': round(slowest, 1), **results}
