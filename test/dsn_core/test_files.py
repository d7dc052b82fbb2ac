import errno
import os
from pathlib import Path

import pytest

from dsn_core.errors import UserError
from dsn_core.files import has_content, replacing


def break_off(path: Path, error: Exception) -> None:
    with replacing(path) as beside:
        beside.write_text('half')
        raise error


def test_the_new_content_is_there_once_the_block_ends(tmp_path: Path):
    path = tmp_path / 'a' / 'b.json'
    with replacing(path) as beside:
        beside.write_text('new')
        assert not path.exists()
    assert path.read_text() == 'new'
    assert [f.name for f in path.parent.iterdir()] == ['b.json']


def test_the_old_content_stays_if_the_block_raises(tmp_path: Path):
    path = tmp_path / 'b.json'
    path.write_text('old')
    with pytest.raises(ValueError, match='half'):
        break_off(path, ValueError('half'))
    assert path.read_text() == 'old'


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path):
    path = tmp_path / 'b.json'
    with pytest.raises(UserError, match=r'b.json cannot be written \(No space left on device\)'):
        break_off(path, OSError(errno.ENOSPC, 'No space left on device'))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / 'file').write_text('')
    with (
        pytest.raises(UserError, match='cannot be written'),
        replacing(tmp_path / 'file' / 'x' / 'y'),
    ):
        pass


def test_the_disk_has_the_file_before_its_name_and_then_the_name(tmp_path: Path, monkeypatch):
    done = []
    fsync, rename = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        done.append(Path(os.readlink(f'/proc/self/fd/{handle}')).name)
        fsync(handle)

    def note_rename(source: Path, target: Path) -> None:
        done.append('renamed')
        rename(source, target)

    monkeypatch.setattr(os, 'fsync', note_sync)
    monkeypatch.setattr(os, 'replace', note_rename)
    with replacing(tmp_path / 'b.json') as beside:
        beside.write_text('new')
    assert done == ['b.json.partial', 'renamed', tmp_path.name]
    done.clear()
    with replacing(tmp_path / 'b.jpg', durable=False) as beside:
        beside.write_text('new')
    assert done == ['renamed']


def test_a_disk_that_fails_when_it_is_waited_for_leaves_the_old_content(
    tmp_path: Path, monkeypatch
):
    def fail(handle: int) -> None:
        raise OSError(errno.EIO, 'Input/output error')

    path = tmp_path / 'b.json'
    path.write_text('old')
    monkeypatch.setattr(os, 'fsync', fail)
    with (
        pytest.raises(UserError, match=r'cannot be written \(Input/output error\)'),
        replacing(path) as beside,
    ):
        beside.write_text('new')
    assert path.read_text() == 'old'


def test_a_file_that_a_power_cut_left_empty_is_none(tmp_path: Path):
    path = tmp_path / 'a.jpg'
    assert not has_content(path)
    path.write_bytes(b'')
    assert not has_content(path)
    path.write_bytes(b'x')
    assert has_content(path)
