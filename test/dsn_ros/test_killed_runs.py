"""Runs that are killed, or whose disk is full: the old results or the new ones, never half.

``python test/long_runs.py kills`` is the long run of the same.
"""

import os
import resource
import shutil
import signal
import subprocess

import pytest
from support.killed_runs import FRAMES, OURS, frames_in, kill_runs, run, small_drive

from dsn_ros import results_folder
from dsn_ros.errors import UserError
from dsn_ros.results_folder import staged


def in_a_child(work):
    """Do ``work`` in a process of its own; its exit status, negative: the signal it died of."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except UserError:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    results = kill_runs(tmp_path, seed=3, count=5)
    assert results['killed'] == 5


@pytest.mark.parametrize('moved', [0, 1, 2, 3])
def test_killed_while_its_files_are_moved(tmp_path, monkeypatch, moved):
    """The next run finishes what the dead one began, whatever it does itself."""
    bag, out = small_drive(tmp_path), tmp_path / 'out'
    run(bag, out, FRAMES[0])
    (out / 'notes.txt').write_text('mine')
    replace, calls = os.replace, []

    def dying(source, target, **_):
        if '.complete-' in str(source):
            if len(calls) == moved:
                os.kill(os.getpid(), signal.SIGKILL)
            calls.append(target)
        replace(source, target)

    def die():
        monkeypatch.setattr(results_folder.os, 'replace', dying)
        monkeypatch.setattr(
            results_folder.shutil, 'rmtree', lambda *_, **__: os.kill(os.getpid(), 9)
        )
        run(bag, out, FRAMES[1])

    assert in_a_child(die) == -signal.SIGKILL
    (left,) = out.glob('.complete-*')
    assert {f.name for f in left.iterdir()} == set(sorted(OURS)[moved:])
    with pytest.raises(KeyError), staged(out):
        raise KeyError
    assert frames_in(out) == FRAMES[1]
    assert sorted(f.name for f in out.iterdir()) == sorted([*OURS, 'notes.txt'])


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    def die():
        with staged(tmp_path) as folder:
            (folder / 'a').write_text('half')
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(die) == -signal.SIGKILL
    assert len(list(tmp_path.glob('.partial-*'))) == 1
    with staged(tmp_path) as living:
        (living / 'a').write_text('first')
        assert list(tmp_path.glob('.partial-*')) == [living]

        def second():
            with staged(tmp_path) as other:
                (other / 'b').write_text('second')

        assert in_a_child(second) == 0
        assert (living / 'a').read_text() == 'first'
    assert {f.name: f.read_text() for f in tmp_path.iterdir()} == {'a': 'first', 'b': 'second'}


def test_a_folder_in_a_file_s_place_is_found_before_anything_is_moved(tmp_path):
    (tmp_path / 'b').mkdir()
    (tmp_path / 'a').write_text('old')

    def write():
        with staged(tmp_path) as folder:
            (folder / 'a').write_text('new')
            (folder / 'b').write_text('new')

    with pytest.raises(UserError, match='b is a folder'):
        write()
    assert (tmp_path / 'a').read_text() == 'old'
    assert sorted(f.name for f in tmp_path.iterdir()) == ['a', 'b']


@pytest.mark.parametrize('limit', [0, 100, 20_000, 100_000])
def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path, limit):
    """RLIMIT_FSIZE: what a quota does, or a file system of small files."""
    bag, out = small_drive(tmp_path), tmp_path / 'out'
    run(bag, out, FRAMES[0])

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        run(bag, out, FRAMES[1])

    assert in_a_child(full) == 2  # a UserError, not a traceback
    assert frames_in(out) == FRAMES[0]
    assert sorted(f.name for f in out.iterdir()) == sorted(OURS)
    run(bag, out, FRAMES[1])
    assert frames_in(out) == FRAMES[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 kB."""
    place = tmp_path / 'disk'
    place.mkdir()
    mount = shutil.which('mount')
    done = mount and subprocess.run(
        [mount, '-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', place], capture_output=True, check=False
    )
    if not done or done.returncode:
        pytest.skip('a small file system cannot be mounted here (needs root)')
    yield place
    subprocess.run(['umount', '--lazy', place], check=True)


def test_a_full_disk_is_one_line_and_the_old_results_stand(tmp_path, small_disk):
    bag, out = small_drive(tmp_path), small_disk / 'out'
    run(bag, out, 1)
    filler = small_disk / 'filler'
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(max(0, free - 40_000)))
    with pytest.raises(UserError, match=r'out cannot be written.*No space left on device'):
        run(bag, out, FRAMES[1])
    assert frames_in(out) == 1
    assert sorted(f.name for f in out.iterdir()) == sorted(OURS)
    filler.unlink()
    run(bag, out, FRAMES[0])
    assert frames_in(out) == FRAMES[0]
