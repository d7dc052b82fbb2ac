"""The pipeline from frames to a deploy graph: whole, not done twice, unharmed by SIGKILL."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')

from support.forked_train import ForkedTrain
from support.put_back import put_back
from support.train_scene import CONFIG

from dsn_core.training.plan import STAGES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
# Seconds for one run; DSN_TEST_PATIENCE=120 on a machine that is busy.
PATIENCE = 15 * float(os.environ.get('DSN_TEST_PATIENCE', '40'))
LAST = {'frames': 'night', 'translate': 'synthetic_day', 'label': 'night'}


def write_config(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / 'scene.yaml'
    path.write_text(CONFIG.format(out=folder / 'run'))
    return path


def train(config: Path, *arguments: str) -> str:
    process = ForkedTrain([str(config), *arguments], config.with_suffix('.log'))
    process.wait(PATIENCE)
    assert process.code == 0, process.said[-3000:]
    return process.said


def train_in_two_processes(config: Path) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / 'test'), os.environ.get('PYTHONPATH', '')])
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += ['--nproc-per-node', '2', '-m', 'support.train_scene', 'train', str(config)]
    # One thread: sums in the same order every time.
    environment = {**os.environ, 'PYTHONPATH': paths, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def record(run: Path, stage: str) -> dict:
    return json.loads((run / stage / 'stage.json').read_text())


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp('unbroken')
    config = write_config(folder)
    train(config)
    return config


def test_every_stage_is_whole_and_learns(unbroken):
    run = unbroken.parent / 'run'
    assert [s for s in STAGES if record(run, s)['state'] == 'done'] == list(STAGES)
    day = record(run, 'day-depth')['metrics']
    assert day['self_supervision'] < day['first self_supervision']
    joint = record(run, 'distil')['metrics']
    for name in ('total', 'segmentation/night', 'self_supervision/day/photometric'):
        assert joint[name] < joint[f'first {name}']
    for stage, folder in LAST.items():
        assert len(list((run / stage / folder).glob('*.*g'))) == 18
    history = [json.loads(line) for line in (run / 'history.jsonl').read_text().splitlines()]
    assert history[0]['seed'] == 1
    assert 'torch' in history[0]['versions']
    assert (run / 'tensorboard' / 'distil').is_dir()


def test_the_story_can_be_trained_from_again(unbroken):
    from dsn_core.training.config import load_config

    assert load_config(unbroken.parent / 'run' / 'config.yaml') == load_config(unbroken)


def test_the_graph_sees(unbroken):
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    import numpy as np
    from support.moving_scene import MovingScene, draw

    from dsn_ros.engines import load_engine

    engine = load_engine(unbroken.parent / 'run' / 'export' / 'model.onnx', 'onnxruntime')
    image, _, _ = draw(MovingScene(seed=9, night=True), 0, 1.0)
    seen = engine.infer(image[None])
    assert np.isfinite(seen.depth).all()
    assert set(np.unique(seen.labels)) <= set(range(19))


def test_monodepth2_by_day_knows_depth_only(tmp_path):
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    import numpy as np
    from support.moving_scene import MovingScene, draw

    from dsn_ros.engines import load_engine

    config = write_config(tmp_path / 'day')
    overlay = ROOT / 'config' / 'train' / 'overlays' / 'monodepth2_day.yaml'
    run = tmp_path / 'day' / 'run'
    train(config, str(overlay), f'out={run}', 'night=[]', 'weights.speed=0.1')
    assert sorted(p.name for p in run.iterdir() if p.is_dir()) == [
        'distil',
        'export',
        'frames',
        'tensorboard',
    ]
    engine = load_engine(run / 'export' / 'model.onnx', 'onnxruntime')
    assert engine.metadata.class_names == ()
    assert engine.metadata.scale == 'metric'
    assert engine.metadata.focal_length == pytest.approx(0.8 * 96)
    image, _, _ = draw(MovingScene(seed=9), 0, 1.0)
    seen = engine.infer(image[None])
    assert set(np.unique(seen.labels)) == {255}
    assert not seen.confidence.any()
    assert np.ptp(seen.depth) > 0


WAYS_TO_DIE = {
    'frames': lambda run: len(list((run / 'frames' / 'day').glob('*.jpg'))) >= 4,
    'translate': lambda run: lines(run, 'translate') >= 4,
    'translate, writing': lambda run: (
        len(list((run / 'translate' / 'synthetic_night').glob('*.jpg'))) >= 3
    ),
    'day-depth': lambda run: lines(run, 'day-depth') >= 3,
    'label': lambda run: len(list((run / 'label' / 'day').glob('*.png'))) >= 3,
    'distil': lambda run: lines(run, 'distil') >= 3,
    'export': lambda run: (run / 'export' / 'stage.json').exists(),
}


def lines(run: Path, stage: str) -> int:
    log = run / 'metrics.jsonl'
    return log.read_text().count(f'"stage": "{stage}"') if log.exists() else 0


def kill_when(config: Path, is_time) -> None:
    process = ForkedTrain([str(config)], config.with_suffix('.log'))
    deadline = time.monotonic() + PATIENCE
    while not is_time(config.parent / 'run'):
        assert process.code is None, process.said[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()


def test_killed_in_the_middle_of_every_stage(unbroken, tmp_path):
    config = write_config(tmp_path / 'killed')
    run, whole = config.parent / 'run', unbroken.parent / 'run'
    for stage, is_time in WAYS_TO_DIE.items():
        kill_when(config, is_time)
        name = stage.split(',')[0]
        assert record(run, name)['state'] == 'begun', stage
    train(config)
    assert len((run / 'history.jsonl').read_text().splitlines()) == len(WAYS_TO_DIE) + 1
    for stage in STAGES:
        ours, theirs = record(run, stage), record(whole, stage)
        assert ours['state'] == 'done'
        assert not list(run.glob('*.old-*'))
        if stage in ('translate', 'distil', 'day-depth'):
            names = {k for k in theirs['metrics'] if not k.startswith('first ')}
            for name in names:
                assert ours['metrics'][name] == pytest.approx(
                    theirs['metrics'][name], rel=1e-4, abs=1e-6
                ), (stage, name)
        if stage == 'frames':
            assert ours['digest'] == theirs['digest']


def test_two_processes_see_what_one_sees(unbroken, tmp_path):
    config = write_config(tmp_path / 'two')
    train_in_two_processes(config)
    run, whole = config.parent / 'run', unbroken.parent / 'run'
    for stage in ('frames', 'label'):
        assert record(run, stage)['digest'] == record(whole, stage)['digest']
    for stage in ('day-depth', 'distil'):
        ours, theirs = (
            [
                json.loads(line)
                for line in (r / 'metrics.jsonl').read_text().splitlines()
                if f'"stage": "{stage}"' in line
            ]
            for r in (run, whole)
        )
        assert len(ours) == len(theirs) == 6
        assert ours[0]['total'] == pytest.approx(theirs[0]['total'], rel=2e-2)
        assert ours[-1]['total'] == pytest.approx(theirs[-1]['total'], rel=5e-2)


def test_nothing_is_done_twice_and_a_weight_redoes_what_it_changes(unbroken, tmp_path):
    run = unbroken.parent / 'run'
    stamps = {s: (run / s / 'stage.json').stat().st_mtime_ns for s in STAGES}
    with put_back(unbroken.parent, tmp_path / 'kept'):
        assert train(unbroken).count('up to date') == len(STAGES)
        assert stamps == {s: (run / s / 'stage.json').stat().st_mtime_ns for s in STAGES}
        output = train(unbroken, 'weights.smoothness=0.002', '--stage', 'label')
        # Smoothness is in the day teacher's loss, too; the frames and their translation stay.
        assert (run / 'day-depth.old-1' / 'network.safetensors').exists()
        assert 'weights changed' in output
        assert output.count('up to date') == 3
        assert not (run / 'distil.old-1').exists()
