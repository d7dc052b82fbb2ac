"""Reads ROS bags (sqlite3, mcap, ROS 1) without ROS, and what is whole of broken ones.

with open_bag('drive.mcap') as bag:
topic = choose_image_topic(bag, None)
for message in bag.messages([topic.name]):
image = bag.deserialize(message)
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dsn_core.errors import printable
from dsn_ros.bag_salvage import BagMessage, Salvage, is_cut_off, unpacked
from dsn_ros.bag_topics import TopicInfo, choose_image_topic, find_camera_info_topic
from dsn_ros.bag_types import unlike
from dsn_ros.errors import BagError, MessageError
from dsn_ros.message_builders import BagMessages

__all__ = [
    'Bag',
    'BagMessage',
    'TopicInfo',
    'choose_image_topic',
    'find_camera_info_topic',
    'open_bag',
]

SUFFIXES = ('.mcap', '.db3', '.bag')


class Bag:
    """An open bag; made by :func:`open_bag`, closed by ``with`` or :meth:`close`.

    Attributes:
        path: what was opened.
        topics: topic name -> TopicInfo.
        duration_ns: from the first to the last receive time, in nanoseconds.
        problems: what was lost or odd, one line each; reading may add to it.

    """

    def __init__(self, path: Path, source: '_Source', files: Sequence[Path]) -> None:
        self.path = path
        self.topics = source.topics
        self.duration_ns = source.duration_ns
        self.problems: list[str] = []
        self._source = source
        self._files = files
        self._closed = False

    def __enter__(self) -> 'Bag':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._closed = True
        self._source.close()

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
        """Yield the messages on ``topics`` (all by default) in the order of the bag.

        That is the order of receive times; of recording where the bag had to be salvaged. Where
        the reader breaks down midway, the rest is salvaged and ``problems`` says so.
        """
        if self._closed:
            raise ValueError(f'{self.path} is closed: read it within its with block')
        wanted = set(self.topics) if topics is None else set(topics)
        seen: Counter[str] = Counter()
        try:
            for message in self._source.messages(wanted):
                seen[message.topic] += 1
                yield message
            return
        except Exception as error:  # readers let apsw, zstd, struct and other errors through
            reason = _one_line(error)
        rest = Salvage(self._files)
        self._note(
            f'{self.path.name}: the reader gave up after {seen.total()} messages ({reason}); '
            f'the rest {"was salvaged" if rest.counts else "is lost"}',
            *rest.problems,
        )
        for message in rest.messages(wanted):
            if seen[message.topic]:
                seen[message.topic] -= 1  # came before the reader broke down
            else:
                yield message

    def deserialize(self, message: BagMessage) -> Any:
        """Make the message object (the bag library's dataclass) of a stored message.

        Raises:
            MessageError: this message is damaged, of an unknown type or from before 1970; others
                may be fine.

        """
        if message.receive_ns < 0:  # no bag that is written could hold it
            raise MessageError(
                f'{message.topic}: a message received at {message.receive_ns} ns, before 1970: it '
                'is left out'
            )
        try:
            return self._source.deserialize(message)
        except Exception as error:  # damaged bytes make whatever error the parser stumbles into
            raise MessageError(
                f'{message.topic}: the message received at {message.receive_ns} ns does not '
                f'deserialize as {message.type} ({_one_line(error)}): it is left out'
            ) from error

    def _note(self, *problems: str) -> None:
        self.problems.extend(p for p in map(printable, problems) if p not in self.problems)


class _Source(Protocol):
    """Where a bag's messages come from."""

    topics: dict[str, TopicInfo]
    duration_ns: int

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]: ...

    def deserialize(self, message: BagMessage) -> Any: ...

    def close(self) -> None: ...


class _ReaderSource:
    """A bag that the rosbags library reads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._fallback = BagMessages.typestore()
        self._reader = AnyReader(paths, default_typestore=self._fallback)
        self._reader.open()
        ros_1 = not self._reader.is2
        self._known = get_typestore(Stores.ROS1_NOETIC) if ros_1 else self._fallback
        self._unlike: dict[str, str] = {}  # message type -> the field that is not as we know it
        self.topics = {
            name: TopicInfo(name, info.msgtype or info.connections[0].msgtype, info.msgcount)
            for name, info in self._reader.topics.items()
        }
        # The library's end lies a nanosecond after the last message.
        self.duration_ns = max(0, self._reader.duration - 1)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:  # the library takes an empty list for all of them
            return
        for connection, receive_ns, raw in self._reader.messages(connections):
            if self._reader.is2:  # a bare file doesn't say that its messages are compressed
                raw = unpacked(raw)
            yield BagMessage(connection.topic, connection.msgtype, receive_ns, raw)

    def deserialize(self, message: BagMessage) -> Any:
        # A bag may hold definitions for some of its types only.
        defined = message.type in self._reader.typestore.fielddefs
        if defined and message.type not in self._unlike:
            self._unlike[message.type] = unlike(self._reader.typestore, self._known, message.type)
        if field := self._unlike.get(message.type):
            raise ValueError(f'the bag defines {field} otherwise')
        if not self._reader.is2:
            return self._reader.deserialize(message.raw, message.type)
        store = self._reader.typestore if defined else self._fallback
        return store.deserialize_cdr(message.raw, message.type)

    def close(self) -> None:
        if self._reader.stack:
            self._reader.close()


class _SalvageSource:
    """A bag that the rosbags library refuses."""

    def __init__(self, salvage: Salvage) -> None:
        self._salvage = salvage
        self._store: Typestore = BagMessages.typestore()
        self.topics = {
            name: TopicInfo(name, type_name, salvage.counts[name])
            for name, type_name in salvage.types.items()
        }
        self.duration_ns = salvage.duration_ns

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        return self._salvage.messages(topics)

    def deserialize(self, message: BagMessage) -> Any:
        if message.type not in self._store.fielddefs:
            text = self._salvage.definitions[message.type]
            known = self._store.fielddefs
            types = get_types_from_msg(text, message.type)
            self._store.register({k: v for k, v in types.items() if k not in known})
        return self._store.deserialize_cdr(message.raw, message.type)

    def close(self) -> None:
        pass


def open_bag(path: str | Path) -> Bag:
    """Open a bag: its folder, or a bare .mcap, .db3 or ROS 1 .bag file.

    A folder without (or with a wrong) metadata.yaml is read if its files belong to one
    recording. What is whole of a truncated or damaged mcap or sqlite3 bag is read, and
    ``problems`` of the result says what was lost.

    Raises:
        BagError: there is no bag, more than one, or nothing readable in it.

    """
    path = Path(path)
    files = _storage_files(path)
    attempts: list[Sequence[Path]] = [files] if files else []
    if (path / 'metadata.yaml').is_file():
        attempts.insert(0, [path])
    reasons: list[str] = []
    for paths in attempts:
        try:
            if cut := [f for f in files if is_cut_off(f)]:  # the library may not notice
                raise BagError(f'{cut[0].name} is truncated')
            source = _ReaderSource(paths)
        except Exception as error:  # a damaged file makes apsw, zstd, struct and other errors
            reasons.append(_one_line(error))
            continue
        bag = Bag(path, source, files)
        if reasons:
            bag._note(
                f'metadata.yaml is of no use ({reasons[0]}): {_names(files)} read without it'
            )
        break
    else:
        bag = _salvaged(path, files, reasons)
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        bag._note(f'{path.name} has no metadata.yaml: {_names(files)} read without it')
    for file in files:
        log = file.with_name(f'{file.name}-wal')
        if log.is_file() and log.stat().st_size:
            bag._note(
                f'{log.name} holds messages that are not in the bag yet: '
                f"fold them in with 'sqlite3 {file.name} .tables'"
            )
    return bag


def _storage_files(path: Path) -> list[Path]:
    """List the files that make up the bag at ``path``; raises BagError if it is no bag."""
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise BagError(f'{path} is no bag: give a bag folder, or a .mcap, .db3 or .bag file')
        return [path]
    if not path.exists():
        raise BagError(f'there is no bag {path}: check the path')
    files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES and f.is_file())
    if (path / 'metadata.yaml').is_file():
        return files
    inside = sorted(f.parent for f in path.glob('*/metadata.yaml'))
    # rosbag2 splits a recording into NAME_0.mcap, NAME_1.mcap, ...
    recordings = {(re.sub(r'_\d+$', '', f.stem), f.suffix) for f in files}
    if not files:
        hint = f'it holds the bags {_names(inside)}: name one' if inside else 'name a bag'
        raise BagError(f'{path} is no bag folder (no metadata.yaml, .mcap, .db3 or .bag): {hint}')
    if len(recordings) > 1:
        raise BagError(f'{path} holds several bags: name one of {_names(files)}')
    return files


def _salvaged(path: Path, files: Sequence[Path], reasons: Sequence[str]) -> Bag:
    """Open what is whole of a bag that the library refused for ``reasons``."""
    reason = reasons[-1] if reasons else 'its files are missing'
    salvage = Salvage(files)
    if not salvage.counts:
        remedy = 'copy or record it again'
        if any(f.suffix == '.bag' for f in files):
            remedy = "repair it with 'rosbag reindex', or copy it again"
        raise BagError(f'{path} holds no whole message ({reason}): {remedy}')
    bag = Bag(path, _SalvageSource(salvage), files)
    bag._note(*salvage.problems or [f'{path.name} was read record by record ({reason})'])
    return bag


def _names(files: Iterable[Path]) -> str:
    return ', '.join(f.name for f in files)


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
