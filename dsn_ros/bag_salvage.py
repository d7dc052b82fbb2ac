"""Reads what is whole in a truncated or damaged bag, which the rosbags library refuses.

An mcap file is walked record by record, into the chunk where it breaks off; of an sqlite3 file
every row is tried whose pages are there. Messages come in the order in which they were recorded.
"""

import struct
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import apsw
from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ['BagMessage', 'Salvage', 'is_cut_off', 'unpacked']

MCAP_MAGIC = b'\x89MCAP0\r\n'
SQLITE_MAGIC = b'SQLite format 3\0'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
MAX_MISSES = 10_000  # rows in a row that a damaged sqlite3 file doesn't give before it is left
MAX_UNPACKED = 2**30  # bytes of one compressed message or chunk; some kB may claim any number
REPAIR = {'.mcap': 'mcap recover FILE', '.db3': 'sqlite3 FILE .recover'}


@dataclass(frozen=True)
class BagMessage:
    """One message as it lies in a bag: ``raw`` is CDR (of a ROS 1 bag: ROS 1's serialization)."""

    topic: str
    type: str
    receive_ns: int
    raw: bytes


@dataclass
class _Findings:
    """What a walk through one file comes across beside its messages."""

    definitions: dict[str, str]  # message type -> its definition, in ROS's .msg format
    damage: str = ''  # 'truncated' or 'damaged' if something was lost


class Salvage:
    """The whole messages of files that can't be read in the ordinary way.

    The files are walked once here, to count, and once more for each call of :meth:`messages`.

    Attributes:
        types: topic -> message type, of topics with whole messages.
        counts: topic -> number of whole messages.
        duration_ns: from the first to the last receive time of them.
        definitions: message type -> definition, as far as the files hold them.
        problems: one line for each file of which something was lost, with a remedy.

    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = [f for f in files if f.suffix in _WALKS]
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.definitions: dict[str, str] = {}
        self.problems: list[str] = []
        first, last = 2**63, 0
        for file in self.files:
            found = _Findings(self.definitions)
            count = 0
            for message in _walk(file, found):
                self.types.setdefault(message.topic, message.type)
                self.counts[message.topic] = self.counts.get(message.topic, 0) + 1
                first, last = min(first, message.receive_ns), max(last, message.receive_ns)
                count += 1
            if found.damage:
                self.problems.append(
                    f'{file.name} is {found.damage}: {count} whole '
                    f'{"message was" if count == 1 else "messages were"} read; '
                    f"recover it with '{REPAIR[file.suffix].replace('FILE', file.name)}'"
                )
        self.duration_ns = max(0, last - first)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the whole messages on ``topics`` in recording order."""
        for file in self.files:
            for message in _walk(file, _Findings({})):
                if message.topic in topics:
                    yield message


def unpacked(raw: bytes) -> bytes:
    """Undo rosbag2's compression by message, whose zstd frames no CDR message looks like.

    A damaged frame, and one of more than a gigabyte, comes back as it is: it won't deserialize.
    """
    if raw[:4] == ZSTD_MAGIC:
        with suppress(zstd.ZstdError):
            unpacker = zstd.ZstdDecompressor()
            message = unpacker.decompress(raw, MAX_UNPACKED)
            if unpacker.eof:
                return message
    return raw


def is_cut_off(file: Path) -> bool:
    """Whether an sqlite3 file is shorter than its header says.

    sqlite3 may open it all the same, and reads zeros in the page where it ends.
    """
    page_size = _page_size(file)
    with file.open('rb') as stream:
        head = stream.read(100)
    # The number of pages holds only if it was written along with the last change.
    pages = int.from_bytes(head[28:32], 'big') if head[24:28] == head[92:96] else 0
    return file.stat().st_size < page_size * pages


def _page_size(file: Path) -> int:
    """Page size of an sqlite3 file in bytes; 0 if it is none."""
    with file.open('rb') as stream:
        head = stream.read(18)
    if not head.startswith(SQLITE_MAGIC):
        return 0
    size = int.from_bytes(head[16:18], 'big')
    return 65536 if size == 1 else size


def _walk(file: Path, found: _Findings) -> Iterator[BagMessage]:
    """Yield the whole messages of ``file``; an unreadable file has none."""
    try:
        yield from _WALKS[file.suffix](file, found)
    except OSError as error:
        found.damage = f'unreadable ({error.strerror or error})'


class _McapWalk:
    """Walks an mcap file, remembering the schemas and channels it meets.

    mcap's own StreamReader loses the chunk in which a file breaks off (for short messages that
    can be all of them) and everything after a damaged chunk, so the records are read here.
    """

    def __init__(self, found: _Findings) -> None:
        self.found = found
        self.schemas: dict[int, str] = {}
        self.channels: dict[int, tuple[str, str]] = {}  # id -> topic, message type

    def messages(self, stream: BinaryIO, *, in_chunk: bool = False) -> Iterator[BagMessage]:
        """Yield the messages in ``stream``, down into its chunks."""
        while len(head := stream.read(9)) == 9:
            code, length = struct.unpack('<BQ', head)
            body = _read(stream, length)
            whole = len(body) == length
            if not whole:
                self.found.damage = 'truncated'
            if code == FOOTER and not in_chunk:
                return
            try:
                if code == CHUNK and not in_chunk:
                    records = BytesIO(self._unpack(body, whole))
                    yield from self.messages(records, in_chunk=True)
                elif whole and code == MESSAGE:
                    channel, _, log_time, _ = struct.unpack_from('<HIQQ', body)
                    if channel in self.channels:
                        topic, type_name = self.channels[channel]
                        yield BagMessage(topic, type_name, log_time, unpacked(body[22:]))
                elif whole and code in (SCHEMA, CHANNEL):
                    self._describe(code, body)
            except (struct.error, UnicodeDecodeError, KeyError):
                self.found.damage = self.found.damage or 'damaged'
        if not in_chunk:  # the file ended before its footer
            self.found.damage = 'truncated'

    def _describe(self, code: int, body: bytes) -> None:
        """Take note of a schema or a channel."""
        if code == SCHEMA:
            (number,) = struct.unpack_from('<H', body)
            name, at = _text(body, 2)
            encoding, at = _text(body, at)
            self.schemas[number] = name
            if encoding == 'ros2msg':
                self.found.definitions[name] = _text(body, at)[0]
            return
        number, schema = struct.unpack_from('<HH', body)
        topic, at = _text(body, 4)
        if _text(body, at)[0] == 'cdr':
            self.channels[number] = (topic, self.schemas[schema])

    def _unpack(self, body: bytes, whole: bool) -> bytes:
        """Return a chunk's records, as far as they go; none if its checksum is wrong."""
        *_, crc = struct.unpack_from('<QQQI', body)
        compression, at = _text(body, 28)
        packed = body[at + 8 :]
        try:
            if compression == 'zstd':
                records = zstd.ZstdDecompressor().decompress(packed, MAX_UNPACKED)
            elif compression == 'lz4':
                records = bytes(LZ4FrameDecompressor().decompress(packed, MAX_UNPACKED))
            else:
                records = packed
        except (zstd.ZstdError, RuntimeError, EOFError):
            records = b''
        if whole and (not records or (crc and crc32(records) != crc)):
            self.found.damage = self.found.damage or 'damaged'
            return b''
        return records


def _walk_mcap(file: Path, found: _Findings) -> Iterator[BagMessage]:
    with file.open('rb') as stream:
        if stream.read(8) != MCAP_MAGIC:
            found.damage = 'no mcap file'
            return
        yield from _McapWalk(found).messages(stream)


def _walk_sqlite3(file: Path, found: _Findings) -> Iterator[BagMessage]:
    page_size = _page_size(file)
    if not page_size:
        found.damage = 'no sqlite3 file'
        return
    damage = 'truncated' if is_cut_off(file) else 'damaged'
    system = _WholePages(page_size)
    try:
        with closing(
            apsw.Connection(
                f'{file.resolve().as_uri()}?immutable=1',
                apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                vfs=system.name,
            )
        ) as database:
            yield from _rows(database, found, damage)
    except apsw.Error:
        found.damage = damage
    finally:
        system.unregister()


def _rows(database: apsw.Connection, found: _Findings, damage: str) -> Iterator[BagMessage]:
    """Yield the messages whose pages are there; raises apsw.Error if the topics are lost."""
    # Without this, a file that is shorter than its header says is refused as a whole.
    database.execute('PRAGMA writable_schema=ON')
    topics: dict[object, tuple[str, str]] = {
        number: (str(name), str(type_name))
        for number, name, type_name in database.execute('SELECT id, name, type FROM topics')
    }
    with suppress(apsw.Error):  # there is no such table before Iron, and it is seldom needed
        for type_name, text in database.execute(
            'SELECT topic_type, encoded_message_definition FROM message_definitions '
            "WHERE encoding = 'ros2msg'"
        ):
            found.definitions[str(type_name)] = str(text)
    last = misses = 0
    while misses < MAX_MISSES:
        try:  # row by row, so that a lost one takes no other along
            rows = database.execute(
                'SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? '
                'ORDER BY id LIMIT 1',
                (last,),
            ).fetchall()
        except apsw.Error:
            found.damage = damage
            last, misses = last + 1, misses + 1
            continue
        if not rows:
            return
        row, topic, receive_ns, data = rows[0]
        last, misses = int(str(row)), 0
        if topic in topics and isinstance(receive_ns, int) and isinstance(data, bytes):
            yield BagMessage(*topics[topic], receive_ns, unpacked(data))


class _WholePages(apsw.VFS):
    """Shows sqlite3 a file without the last page if that is cut: it would read zeros there."""

    def __init__(self, page_size: int) -> None:
        self.name = f'whole-pages-{id(self)}'
        self.page_size = page_size
        super().__init__(self.name, base='')

    def xOpen(  # noqa: N802
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _WholePagesFile(self.page_size, name, flags)


class _WholePagesFile(apsw.VFSFile):
    def __init__(
        self, page_size: int, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self.page_size = page_size
        super().__init__('', name, flags)

    def xFileSize(self) -> int:  # noqa: N802
        size = super().xFileSize()
        return size - size % self.page_size


_WALKS = {'.mcap': _walk_mcap, '.db3': _walk_sqlite3}


def _read(stream: BinaryIO, length: int) -> bytes:
    """Read at most ``length`` bytes; a damaged length may be larger than any memory."""
    at = stream.tell()
    remaining = stream.seek(0, 2) - at
    stream.seek(at)
    return stream.read(min(length, remaining))


def _text(body: bytes, at: int) -> tuple[str, int]:
    """Return the string at ``at`` of a record, and where it ends."""
    (length,) = struct.unpack_from('<I', body, at)
    end = at + 4 + length
    return body[at + 4 : end].decode(), end
