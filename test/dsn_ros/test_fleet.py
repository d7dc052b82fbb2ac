"""Many bags: their folders and names, what is done again and what not, and what may die."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from functools import partial
from pathlib import Path

import pytest
from support.bag_factory import Recording
from support.doubler import make_doubler

from dsn_core.processes import Died, Processes
from dsn_ros.engines import read_model
from dsn_ros.errors import UserError
from dsn_ros.fleet import expand, names_of, replay_fleet
from dsn_ros.fleet_worker import BagTask, BagWorker, FleetOptions
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.replay import ReplayOptions
from dsn_ros.thresholds import Limit

RESULTS = {'perception.mcap', 'metrics.json', 'report.html', 'run.json'}


def test_a_process_that_dies_takes_only_its_task_along():
    found = dict(Processes(2)(partial(make_doubler, 3), [1, 2, 3, 4, 5]))
    assert {i: found[i] for i in (0, 1, 3, 4)} == {0: 2, 1: 4, 3: 8, 4: 10}
    assert isinstance(found[2], Died)
    assert 'SIGKILL' in str(found[2])


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_of_bags_is_its_bags_but_not_the_results(tmp_path):
    touch(
        tmp_path / 'a' / 'metadata.yaml',
        tmp_path / 'a' / 'a_0.mcap',
        tmp_path / 'deep' / 'b' / 'b_0.db3',
        tmp_path / 'deep' / 'b' / 'b_1.db3',
        tmp_path / 'deep' / 'c.bag',
        tmp_path / 'deep' / 'notes.txt',
        tmp_path / 'out' / 'a' / 'perception.mcap',
    )
    bags = expand([tmp_path], tmp_path / 'out')
    wanted = [tmp_path / 'a', tmp_path / 'deep' / 'c.bag', tmp_path / 'deep' / 'b']
    assert bags == wanted
    assert expand([tmp_path / 'a', tmp_path], tmp_path / 'out') == wanted
    missing = tmp_path / 'missing'
    assert expand([missing], tmp_path) == [missing]


def test_names_are_unique_and_short(tmp_path):
    paths = [tmp_path / p for p in ('one/drive', 'two/drive', 'two/night.mcap', 'two/night.db3')]
    touch(*paths)
    names = names_of(paths)
    assert names[:2] == ['one-drive', 'two-drive']
    assert len(set(names)) == 4


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    """Six small bags, the fourth of which is none."""
    folder = tmp_path_factory.mktemp('fleet')
    for i in range(6):
        recording = Recording()
        recording.frames('/camera/image', 2 + i, info='/camera/camera_info')
        recording.depth('/ground_truth/depth/image', 2 + i)
        recording.write(folder / f'drive_{i}')
    broken = folder / 'drive_3'
    shutil.rmtree(broken)
    broken.mkdir()
    (broken / 'drive_3.mcap').write_bytes(b'no bag at all' * 10)
    return folder


def options(model, **changes):
    fields = {
        'model': model,
        'model_sha256': read_model(model).sha256,
        'engine': 'onnxruntime:cpu',
        'precision': 'auto',
        'threads': 1,
        'replay': ReplayOptions(compare=True),
        'pipeline': PipelineOptions(),
    }
    return FleetOptions(**{**fields, **changes})


def run(bags, out, model, **changes):
    """(summary, names of the bags that were computed)."""
    done = []

    def landed(name, outcome, count, total):
        assert (out / 'summary.json').is_file()
        if outcome.metrics is not None and not outcome.reused:
            done.append(name)

    make = partial(BagWorker, options(model, **changes))
    summary = replay_fleet(expand([bags], out), out, make, Processes(2), landed)
    return summary, sorted(done)


def times(out):
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob('*/perception.mcap')}


@pytest.mark.slow
def test_six_bags_one_broken_and_what_a_rerun_does(bags, tiny_model, tmp_path):
    bags, out = shutil.copytree(bags, tmp_path / 'bags'), tmp_path / 'out'
    good = [f'drive_{i}' for i in (0, 1, 2, 4, 5)]
    summary, done = run(bags, out, tiny_model)
    assert done == good
    assert summary['failed'] == ['drive_3']
    assert 'drive_3' in summary['bags']['drive_3']['error']
    assert json.loads((out / 'summary.json').read_text()) == summary
    for i in (0, 1, 2, 4, 5):
        assert {f.name for f in (out / f'drive_{i}').iterdir()} == RESULTS
        assert summary['bags'][f'drive_{i}']['comparison']['all']['frames'] == 2 + i
    # Over all bags: the mean over frames, by hand.
    pairs = [
        (json.loads((out / name / 'metrics.json').read_text())['comparison']['all'])
        for name in good
    ]
    mean = sum(p['frames'] * p['depth']['abs_rel'] for p in pairs) / sum(
        p['frames'] for p in pairs
    )
    whole = summary['comparison']['all']
    assert whole['frames'] == 22
    assert whole['depth']['abs_rel'] == pytest.approx(mean, abs=1e-4)
    text = (out / 'summary.md').read_text()
    assert '| all bags | all | 22 |' in text
    assert '- drive_3: ' in text

    first = times(out)
    (out / 'drive_2' / 'report.html').unlink()
    summary, done = run(bags, out, tiny_model)
    assert done == ['drive_2']
    assert {name for name, at in times(out).items() if at != first[name]} == {'drive_2'}

    # Limits are judged without computing anything anew.
    limits = (Limit('abs_rel', 0.0, at_most=True),)
    summary, done = run(bags, out, tiny_model, limits=limits)
    assert done == []
    assert sorted(summary['crossed']) == good
    assert json.loads((out / 'drive_0' / 'metrics.json').read_text())['thresholds'][0]['crossed']

    # Another content under the same name, a touched one, and the broken one repaired.
    shutil.rmtree(bags / 'drive_0')
    shutil.copytree(bags / 'drive_1', bags / 'drive_0')
    shutil.rmtree(bags / 'drive_3')
    Recording().frames('/camera/image', 2).depth('/ground_truth/depth/image').write(
        bags / 'drive_3'
    )
    for file in (bags / 'drive_5').iterdir():
        os.utime(file)
    summary, done = run(bags, out, tiny_model)
    assert done == ['drive_0', 'drive_3']
    assert summary['failed'] == []

    # Other options: all of them; a result that fails now stays as it was.
    before = (out / 'drive_1' / 'metrics.json').read_bytes()
    summary, done = run(bags, out, tiny_model, replay=ReplayOptions(topic='/nothing'))
    assert done == []
    assert len(summary['failed']) == 6
    assert (out / 'drive_1' / 'metrics.json').read_bytes() == before


def test_two_workers_are_never_at_one_bag(bags, tiny_model, tmp_path):
    task = BagTask(bags / 'drive_0', tmp_path / 'drive_0')
    first, second = (BagWorker(options(tiny_model)) for _ in range(2))
    infer, inside = first._loaded().infer, []

    def infer_slowly(frames):
        if not inside:
            inside.append(pool.submit(second, task))
            with pytest.raises(TimeoutError):
                inside[0].result(timeout=1)
            assert len(list(task.folder.glob('.partial-*'))) == 1
        return infer(frames)

    first._engine.infer = infer_slowly
    with ThreadPoolExecutor(1) as pool:
        outcome = first(task)
        assert not outcome.reused
        again = inside[0].result(timeout=60)
    assert again.reused
    assert again.metrics == outcome.metrics


def dsn(*args):
    return [sys.executable, '-m', 'dsn_ros.cli', *map(str, args)]


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_with_what_is_missing(tiny_model, tmp_path):
    for i, frames in enumerate((2, 100, 100)):
        Recording().frames('/camera/image', frames).write(tmp_path / 'bags' / f'drive_{i}')
    out = tmp_path / 'out'
    command = dsn('replay', tmp_path / 'bags', '--out', out, '--model', tiny_model, '--jobs', 1)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not (out / 'drive_0' / 'run.json').exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = times(out)
    assert 'drive_0' in kept
    assert 'drive_2' not in kept
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'drive_0: 2 of 2 frames, as before' in done.stdout
    assert 'drive_2: 100 of 100 frames\n' in done.stdout
    assert times(out)['drive_0'] == kept['drive_0']
    assert {f.name for f in (out / 'drive_1').iterdir()} == RESULTS  # no rest of the killed one


@pytest.mark.slow
def test_the_command_s_exit_codes(bags, tiny_model, tmp_path):
    common = ('--model', tiny_model, '--engine', 'onnxruntime:cpu', '--jobs', 1)
    two = (bags / 'drive_0', bags / 'drive_1')
    out = tmp_path / 'out'

    def code(*args):
        done = subprocess.run(dsn(*args), capture_output=True, text=True, timeout=120)
        assert 'Traceback' not in done.stderr
        return done.returncode, done.stdout + done.stderr

    assert code('replay', *two, '--out', out, *common)[0] == 0
    status, text = code('replay', *two, bags / 'drive_3', '--out', out, *common)
    assert status == 1
    assert 'failed: drive_3' in text
    assert text.count('as before') == 2
    assert code('replay', *two, '--out', out, *common, '--min-fps', '1e9')[0] == 1
    status, text = code('replay', *two, '--out', out, '--engine', 'abacus', '--jobs', 1)
    assert status == 2
    assert 'abacus' in text


def test_a_result_never_lies_in_its_bag(bags, tiny_model):
    make = partial(BagWorker, options(tiny_model))
    with pytest.raises(UserError, match='would lie in the bag'):
        replay_fleet([bags / 'drive_0', bags / 'drive_1'], bags, make, Processes(1))
    assert not (Path(bags) / 'drive_0' / 'run.json').exists()
