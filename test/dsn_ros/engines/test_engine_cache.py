"""The cache folder: found, locked, whole; its absence costs a warning and no more."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from dsn_ros.engines import cache


@pytest.fixture(autouse=True)
def forget_warnings():
    cache._writable.cache_clear()
    yield
    cache._writable.cache_clear()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('DSN_CACHE_DIR', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative/is/ignored')
    assert cache.cache_folder('a') == tmp_path / 'home' / '.cache' / 'dsn_ros' / 'a'
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert cache.cache_folder('a') == tmp_path / 'xdg' / 'dsn_ros' / 'a'
    monkeypatch.setenv('DSN_CACHE_DIR', str(tmp_path / 'own'))
    assert cache.cache_folder('a') == tmp_path / 'own' / 'a'
    assert (tmp_path / 'own' / 'a').is_dir()


def test_unwritable_folder_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / 'file').touch()  # in a folder's place: fails for root too
    monkeypatch.setenv('DSN_CACHE_DIR', str(tmp_path / 'file'))
    with caplog.at_level(logging.WARNING):
        assert cache.cache_folder('a') is None
        assert cache.cache_folder('a') is None
    (record,) = caplog.records
    assert 'set DSN_CACHE_DIR' in record.getMessage()


# What an engine does: look, build if it isn't there, write.
BUILD = """
import sys, time
from pathlib import Path
from dsn_ros.engines import cache

path, number = Path(sys.argv[1]), int(sys.argv[2])
with cache.locked(path):
    if not path.exists():
        with path.with_name('builds').open('a') as log:
            log.write(f'{number}\\n')
        time.sleep(0.5)
        cache.write_atomically(path, bytes([number]) * 100_000)
"""


def test_two_processes_build_once(tmp_path: Path, python_environment: dict[str, str]):
    path = tmp_path / 'engine.plan'
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', BUILD, str(path), str(number)], env=python_environment
        )
        for number in (1, 2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len((tmp_path / 'builds').read_text().split()) == 1
    assert len(set(path.read_bytes())) == 1
    assert path.stat().st_size == 100_000


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / 'engine.plan'
    cache.write_atomically(path, b'old')

    def full(descriptor: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(cache.os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        cache.write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['engine.plan']


def test_a_lock_is_given_back_on_error(tmp_path: Path):
    path = tmp_path / 'engine.plan'
    with pytest.raises(KeyError), cache.locked(path):
        raise KeyError
    with cache.locked(path):
        pass


def test_no_lock_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def no_locks(*args):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(cache.fcntl, 'flock', no_locks)
    with caplog.at_level(logging.WARNING), cache.locked(tmp_path / 'engine.plan'):
        pass
    assert 'No locks available' in caplog.text
