"""Frames labelled and translated by a Ray cluster: the bytes that one process writes."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip('ray', reason='ray is not installed')
torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from support.frame_store_factory import smooth_pictures, write_store
from torch import nn

from dsn_core.errors import UserError
from dsn_core.models.cyclegan import Generator
from dsn_core.processes import Died
from dsn_core.ray_tasks import Share, ray_cluster
from dsn_core.teachers import CheckpointDepthTeacher, CheckpointLabelTeacher
from dsn_core.training import chunks
from dsn_core.training.pseudo_labels import write_pseudo_depth, write_pseudo_labels
from dsn_core.training.run_log import RunLog
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translation import Generators, TranslateConfig, translate

HEIGHT, WIDTH = 64, 96


# As the workers have: sums in the same order.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread')]


@pytest.fixture(scope='module')
def runner(workers_find_support):
    with ray_cluster('local', cpus=2) as cluster:
        yield cluster.workers(2, Share())


@pytest.fixture(scope='module')
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp('frames')
    levels = {'day': (9, 180), 'night': (6, 60)}
    return {
        name: write_store(folder / name, smooth_pictures(count, level, HEIGHT, WIDTH, count))
        for name, (count, level) in levels.items()
    }


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Of one batch."""
    monkeypatch.setattr(chunks, '_FRAMES', 1)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*.*g'))}


@pytest.mark.slow
def test_labels_and_depth_are_the_same_bytes(stores, runner, tiny_checkpoint, tmp_path):
    labels, depth = (
        CheckpointLabelTeacher(tiny_checkpoint),
        CheckpointDepthTeacher(tiny_checkpoint),
    )
    here, there = tmp_path / 'here', tmp_path / 'there'
    figures = [
        write_pseudo_labels(stores, labels, out / 'labels', 2, 'cpu', how)
        for out, how in ((here, None), (there, runner))
    ]
    write_pseudo_depth(stores['day'], depth, here / 'depth', 2, 'cpu')
    write_pseudo_depth(stores['day'], depth, there / 'depth', 2, 'cpu', runner)
    assert figures[0] == figures[1]
    before = contents(here)
    assert len(set(before.values())) == len(before) == 9 + 6 + 9
    assert contents(there) == before

    # What is missing is made again, and nothing else.
    (there / 'labels' / 'day' / '000003.png').unlink()
    stamps = {p: p.stat().st_mtime_ns for p in there.rglob('*.png')}
    write_pseudo_labels(stores, labels, there / 'labels', 2, 'cpu', runner)
    assert contents(there) == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


@pytest.mark.slow
def test_translated_frames_are_the_same_bytes(stores, runner, tmp_path):
    torch.manual_seed(4)
    networks = nn.ModuleDict({d: Generator(4, 1) for d in ('day', 'night')})
    with torch.no_grad():
        for values in networks.parameters():
            values *= 10
    path = tmp_path / 'generators.safetensors'
    Generators(networks, 4, 1, {'gan_day': 0.25}).save(path)
    config = TranslateConfig(generators=path)
    settings = TrainerConfig(precision='fp32', workers=0)
    run = partial(translate, stores['day'], stores['night'])
    for name, how in (('here', None), ('there', runner)):
        run(tmp_path / name, config, settings, 7, RunLog(tmp_path), how)
    before = contents(tmp_path / 'here')
    assert len(set(before.values())) == len(before) == 9 + 6
    assert contents(tmp_path / 'there') == before


@pytest.mark.slow
def test_frames_that_cannot_be_made_are_named(stores, tiny_checkpoint, tmp_path, runner):
    teacher = CheckpointDepthTeacher(tiny_checkpoint)

    def always_dies(make, tasks):
        yield 1, Died('two workers died at it')

    with pytest.raises(
        UserError, match=r'depth, frames 2 to 3: two workers died at it; run again'
    ):
        write_pseudo_depth(stores['day'], teacher, tmp_path / 'depth', 2, 'cpu', always_dies)

    folder = tmp_path / 'broken'
    broken = write_store(folder, [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 3)
    (folder / '000001.jpg').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'000001\.jpg is no picture'):
        write_pseudo_depth(broken, teacher, tmp_path / 'depth', 3, 'cpu', runner)
