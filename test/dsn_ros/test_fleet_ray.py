"""Many bags on a Ray cluster: what one machine makes of them, though a worker is killed."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip('ray', reason='ray is not installed')

from support.bag_factory import Recording
from support.mortal_worker import make_mortal

from dsn_core.errors import UserError
from dsn_core.processes import Processes
from dsn_core.ray_tasks import Share, marked, ray_cluster
from dsn_ros.engines import read_model
from dsn_ros.fleet import expand, replay_fleet, share_of
from dsn_ros.fleet_worker import BagTask, BagWorker, FleetOptions, worker_on_node
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.replay import ReplayOptions
from dsn_ros.replay_command import replay_bags

NAMES = [f'drive_{i}' for i in range(6)]


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    for i, name in enumerate(NAMES):
        recording = Recording()
        recording.frames('/camera/image', 2 + i, info='/camera/camera_info')
        recording.depth('/ground_truth/depth/image', 2 + i)
        recording.write(folder / name)
    return folder


@pytest.fixture(scope='module')
def options(tiny_model):
    return FleetOptions(
        tiny_model,
        read_model(tiny_model).sha256,
        'onnxruntime:cpu',
        'auto',
        1,
        ReplayOptions(compare=True),
        PipelineOptions(),
    )


def without_times(summary):
    return {**summary, 'bags': {n: {**b, 'rate_hz': 0} for n, b in summary['bags'].items()}}


@pytest.mark.slow
def test_six_bags_two_workers_one_killed_in_the_middle(
    bags, options, tiny_model, tmp_path, workers_find_support
):
    here = tmp_path / 'here'
    alone = replay_fleet(expand([bags], here), here, partial(BagWorker, options), Processes(1))
    out, notes = tmp_path / 'out', tmp_path / 'notes'
    notes.mkdir()
    landed = []
    with ray_cluster('local', cpus=2) as cluster, marked(out) as mark:
        summary = replay_fleet(
            expand([bags], out),
            out,
            partial(make_mortal, mark, options, notes),
            cluster.workers(2, Share()),
            lambda name, outcome, done, total: landed.append((name, outcome.reused)),
        )
    assert sorted(landed) == [(name, False) for name in NAMES]
    workers = {name: (notes / name).read_text().split() for name in NAMES}
    assert {name: len(pids) for name, pids in workers.items()} == {
        **dict.fromkeys(NAMES, 1),
        'drive_2': 2,
    }
    killed, other = workers['drive_2']
    assert killed != other
    assert without_times(summary) == without_times(alone)
    assert json.loads((out / 'summary.json').read_text()) == summary
    for name in NAMES:
        assert sorted(f.name for f in (out / name).iterdir()) == sorted(
            f.name for f in (here / name).iterdir()
        )
    assert sorted(f.name for f in out.iterdir()) == sorted(f.name for f in here.iterdir())

    # The command: nothing is left to do, which its own workers find.
    command = [sys.executable, '-m', 'dsn_ros.cli', 'replay', bags, '--out', out, '--compare']
    command += ['--model', tiny_model, '--engine', 'onnxruntime:cpu', '--ray', 'local']
    done = subprocess.run(
        [*map(str, command), '--jobs', '2'], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('as before') == 6
    assert 'ray' not in (done.stdout + done.stderr).lower().replace(str(tmp_path).lower(), '')


@pytest.mark.slow
def test_a_node_that_cannot_take_part_is_named(bags, options, tmp_path):
    with marked(tmp_path) as mark:
        worker = worker_on_node(mark, options)
        outcome = worker(BagTask(bags / 'missing', tmp_path / 'missing'))
        assert 'missing is not there on node' in outcome.error
        assert 'storage that all nodes share' in outcome.error
        other = FleetOptions(**{**vars(options), 'model_sha256': 'another'})
        with pytest.raises(UserError, match='is another model than where the run was started'):
            worker_on_node(mark, other)
    with pytest.raises(UserError, match='storage that all nodes share'):
        worker_on_node(mark, options)


def test_one_bag_is_not_shared_out(bags, tiny_model, tmp_path):
    choice = (tiny_model, 'onnxruntime:cpu', 'auto')
    with pytest.raises(UserError, match='--ray shares out several bags'):
        replay_bags(
            [bags / 'drive_0'], tmp_path, choice, ReplayOptions(), PipelineOptions(), ray='local'
        )
    assert not list(Path(tmp_path).iterdir())


def test_what_a_worker_takes_of_its_node():
    assert share_of('openvino', 2, 8).gpus == share_of('auto', 1, 0).gpus == 0
    assert share_of('auto', 1, 8).gpus == share_of('tensorrt', 1, 1).gpus == 0.25
    assert share_of('onnxruntime:cpu', 3, 8).cpus == 3
