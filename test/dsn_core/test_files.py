import errno
from pathlib import Path

import pytest

from dsn_core.errors import UserError
from dsn_core.files import replacing


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
