"""Tasks on a real Ray cluster of this machine: done once each, whoever dies on the way."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip('ray', reason='ray is not installed')

from support.mortal_worker import make_noting, make_refusing

from dsn_core.errors import UserError
from dsn_core.processes import Died, Processes
from dsn_core.ray_tasks import Share, check_shared, marked, ray_cluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def cluster(workers_find_support):
    with ray_cluster('local', cpus=2) as cluster:
        yield cluster


@pytest.fixture(params=['processes', 'ray'])
def runner(request):
    """Two workers of either kind."""
    if request.param == 'processes':
        return Processes(2)
    return request.getfixturevalue('cluster').workers(2, Share())


def test_every_task_is_done_once_by_workers_made_once(runner, tmp_path):
    tasks = [f'task{i}' for i in range(8)]
    found = list(runner(partial(make_noting, tmp_path), tasks))
    assert sorted(found) == [(i, f'TASK{i}') for i in range(8)]
    for name in tasks:
        assert len((tmp_path / name).read_text().split()) == 1
    workers = {p for name in tasks for p in (tmp_path / name).read_text().split()}
    assert {f.name for f in tmp_path.glob('made-*')} == {f'made-{p}' for p in workers}
    assert 1 <= len(workers) <= 2


def test_no_tasks_no_results(runner, tmp_path):
    assert list(runner(partial(make_noting, tmp_path), [])) == []


def test_an_error_of_the_user_s_ends_the_run(runner, tmp_path):
    with pytest.raises(UserError, match='b is nothing: give another'):
        list(runner(partial(make_noting, tmp_path), ['a', 'b errs']))
    with pytest.raises(UserError, match='nothing can be made here'):
        list(runner(make_refusing, ['a', 'b']))


def test_who_always_dies_is_the_only_one_lost(runner, tmp_path):
    found = dict(runner(partial(make_noting, tmp_path), ['a', 'b dies', 'c', 'd']))
    assert isinstance(found.pop(1), Died)
    assert found == {0: 'A', 2: 'C', 3: 'D'}


def test_a_lost_worker_s_task_is_given_out_once_more(cluster, tmp_path):
    tasks = ['a', 'b dies_once', 'c', 'd dies', 'e raises']
    runner = cluster.workers(2, Share())
    found = dict(runner(partial(make_noting, tmp_path), tasks))
    assert [found[i] for i in (0, 1, 2)] == ['A', 'B', 'C']
    assert 'two workers died at it' in str(found[3])
    assert str(found[4]) == 'ValueError: not this'
    tries = {name: (tmp_path / name).read_text().split() for name in 'abcde'}
    assert {name: len(set(pids)) for name, pids in tries.items()} == {
        'a': 1,
        'b': 2,
        'c': 1,
        'd': 2,
        'e': 1,
    }


def test_more_workers_than_there_is_room_for_are_no_hindrance(cluster, tmp_path):
    runner = cluster.workers(5, Share(cpus=2))
    found = dict(runner(partial(make_noting, tmp_path), ['a', 'b dies_once', 'c', 'd']))
    assert found == dict(enumerate('ABCD'))


def test_the_room_that_there_is(cluster):
    assert (cluster.cpus, cluster.gpus) == (2, 0)
    assert cluster.room(Share()) == 2
    assert cluster.room(Share(cpus=2)) == 1
    assert cluster.room(Share(gpus=0.25)) == 0
    assert cluster.room(Share(memory=1e15)) == 0
    cluster.nodes = [{'CPU': 8.0, 'GPU': 2.0, 'memory': 9e9}, {'CPU': 64.0, 'memory': 64e9}]
    assert cluster.room(Share(cpus=1, gpus=0.25, memory=1.5e9)) == 6
    assert cluster.room(Share(cpus=3)) == 2 + 21


def test_storage_that_is_not_shared_is_named(tmp_path):
    with marked(tmp_path / 'out') as mark:
        check_shared(mark)
        with pytest.raises(UserError, match='storage that all nodes share'):
            check_shared(tmp_path / 'elsewhere' / mark.name)
    assert not list((tmp_path / 'out').iterdir())
    (tmp_path / 'file').touch()
    with (
        pytest.raises(UserError, match='file cannot be written'),
        marked(tmp_path / 'file'),
    ):
        pass


def processes_with(variable):
    """Processes of this user whose environment has ``variable``."""
    found = set()
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if variable.encode() in (folder / 'environ').read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


@pytest.fixture
def short_folder():
    """Names of sockets must be short."""
    folder = tempfile.mkdtemp(dir='/tmp')
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='processes are not in /proc')
@pytest.mark.parametrize('way', [signal.SIGINT, signal.SIGKILL])
def test_nobody_works_on_after_a_run_that_is_ended(short_folder, way):
    program = (
        'import signal; from functools import partial; from pathlib import Path\n'
        'from support.mortal_worker import make_noting\n'
        'from dsn_core.ray_tasks import Share, ray_cluster\n'
        # A job in the background, as a CI run may be, is born deaf to it.
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        "with ray_cluster('local', cpus=2) as cluster:\n"
        '    run = cluster.workers(2, Share())\n'
        f'    make = partial(make_noting, Path({str(short_folder)!r}))\n'
        "    list(run(make, ['a waits', 'b waits']))\n"
    )
    environment = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'test')]),
        'TMPDIR': str(short_folder),
    }
    # A group of its own: Ctrl-C reaches all processes of a terminal's.
    process = subprocess.Popen(
        [sys.executable, '-c', program],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while len(list(short_folder.glob('[ab]'))) < 2 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    mine = f'TMPDIR={short_folder}'
    workers = {int((short_folder / name).read_text()) for name in 'ab'}
    assert {process.pid, *workers} < processes_with(mine)
    if way == signal.SIGINT:
        os.killpg(process.pid, way)
    else:
        process.kill()
    assert process.wait(60) == -way
    until = time.monotonic() + 20

    def left():
        found = processes_with(mine)
        # Two agents of Ray wait a minute for a killed cluster.
        return found if way == signal.SIGINT else found & workers

    while left() and time.monotonic() < until:
        time.sleep(0.1)
    assert not left()
    if way == signal.SIGINT:
        assert not list(short_folder.glob('dsn-ray-*'))


def test_no_cluster_no_ray(monkeypatch):
    with (
        pytest.raises(UserError, match=r'no Ray cluster at --ray 127\.0\.0\.1:1:'),
        ray_cluster('127.0.0.1:1'),
    ):
        pass
    monkeypatch.setitem(sys.modules, 'ray', None)
    with (
        pytest.raises(UserError, match=r"ray is not installed: pip install 'dsn_ros\[cluster\]'"),
        ray_cluster('local'),
    ):
        pass
