"""What may befall a training: a full disk, damaged frames, losses that are no numbers."""

import hashlib
import logging
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drive_factory import write_drive

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')

import torch
from safetensors.torch import load_file

from dsn_core.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from dsn_core.data.drive_source import DrivesSource
from dsn_core.data.drives import find_drives
from dsn_core.data.picture_source import PicturesSource
from dsn_core.errors import UserError
from dsn_core.models import DepthSegNet
from dsn_core.training.frame_store import FrameStore, Thinning, store_frames
from dsn_core.training.samples import DriveSamples, WholeFrames
from dsn_core.training.supervised import train_supervised
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig

ROOT = Path(__file__).parents[3]
CONFIG = """
recipe: supervised
name: test
data: [{data}]
out: {out}
training_data: boxes
focal_length: 120
precision: fp32
workers: {workers}
validate_frames: 2
label_weight: {label_weight}
phases:
  - {{height: 64, width: 96, batch_size: 2, samples: 6, learning_rate: 1.0e-3, light: false}}
  - {{height: 64, width: 128, batch_size: 2, samples: 4, learning_rate: 1.0e-4, light: false}}
"""

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def drives(tmp_path):
    folder = tmp_path / 'drives'
    for name in ('a', 'b'):
        write_drive(folder, name, 'train', frames=12)
    write_drive(folder, 'v', 'validation', frames=2)
    return folder


def config(drives, out, **changes):
    fields = {
        'name': 'test',
        'data': (drives,),
        'out': out,
        'phases': (PhaseConfig(64, 96, 2, 6, 1e-3, light=False),),
        'training_data': 'boxes',
        'focal_length': 120.0,
        'precision': 'fp32',
        'workers': 0,
        'validate_frames': 2,
    }
    return SupervisedConfig(**{**fields, **changes})


def train(folder, drives, largest_file=None, label_weight=1.0, workers=0):
    """``dsn train``; on a disk that takes files of ``largest_file`` bytes only."""
    path = folder / 'config.yaml'
    fields = {'data': drives, 'out': folder / 'run', 'workers': workers}
    path.write_text(CONFIG.format(**fields, label_weight=f'{label_weight:.1e}'))
    limit = f'resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, -1)); '
    program = (
        f'import resource, sys; {limit if largest_file else ""}'
        f'sys.argv = ["dsn", "train", {str(path)!r}]; from dsn_ros.cli import main; main()'
    )
    paths = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    environment = {**os.environ, 'PYTHONPATH': paths, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, env=environment
    )


def refusal(done):
    """The one line that a run ended with."""
    assert done.returncode == 2, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('dsn: ')]
    assert len(lines) == 1
    return lines[0]


def digests(folder):
    return {
        f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.rglob('*')
        if f.suffix in ('.safetensors', '.ckpt')
    }


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_no_checkpoint(drives, tmp_path):
    # As far as the end of the first phase, by another way to the same files.
    path = train_supervised(config(drives, tmp_path / 'run'))
    before = digests(tmp_path / 'run')
    assert {f.name for f in before} == {'phase-0.safetensors', 'last.ckpt'}
    line = refusal(train(tmp_path, drives, largest_file=2**20))
    assert f'{tmp_path}/run/phase-1/work/last.ckpt cannot be written (File too large)' in line
    assert digests(tmp_path / 'run') == before
    assert not list(tmp_path.rglob('*.partial'))
    assert load_checkpoint(path)
    done = train(tmp_path, drives)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'run' / 'phase-1.safetensors').exists()


@pytest.mark.parametrize('room', [0, 1000, 10**6])
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path, room):
    path, info = tmp_path / 'x.safetensors', CheckpointInfo('x', 64, 96, 'boxes', light=False)
    save_checkpoint(path, info.build(), info)
    before = digests(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(UserError, match=r'x\.safetensors cannot be written .*make room'):
            save_checkpoint(path, DepthSegNet(19, light=False), info)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert digests(tmp_path) == before
    assert [f.name for f in tmp_path.iterdir()] == ['x.safetensors']


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_one_line_and_its_batch_is_kept(drives, tmp_path):
    line = refusal(train(tmp_path, drives, label_weight=3e38))
    found = re.search(r'step 0: their weighted sum is inf; the batch is kept as (\S+):', line)
    assert found, line
    batch = load_file(found[1])
    assert Path(found[1]).is_relative_to(tmp_path / 'run' / 'phase-0')
    assert batch['image'].shape == (2, 3, 64, 96)
    assert 0 <= batch['image'].min() < batch['image'].max() <= 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_to_the_bit(drives, tmp_path):
    made = [train_supervised(config(drives, tmp_path / n)).read_bytes() for n in 'ab']
    other = train_supervised(config(drives, tmp_path / 'c', seed=5)).read_bytes()
    assert made[0] == made[1]
    assert made[0] != other
    figures = [(tmp_path / n / 'metrics.jsonl').read_text().splitlines() for n in 'ab']
    assert len(figures[0]) == len(figures[1])


def cut(path, share=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def write_pictures(folder, count, suffix):
    rng = np.random.default_rng(1)
    folder.mkdir()
    for i in range(count):
        image = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), (96, 64))
        assert cv2.imwrite(str(folder / f'{i:04d}{suffix}'), image)


DAMAGE = {
    'cut short': cut,
    'cut within its last bytes': lambda path: path.write_bytes(path.read_bytes()[:-3]),
    'of no bytes': lambda path: path.write_bytes(b''),
    'something else': lambda path: path.write_bytes(b'not a picture at all' * 99),
    'of another size': lambda path: cv2.imwrite(str(path), np.zeros((32, 48, 3), np.uint8)),
}


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_picture_is_named_and_left_out(tmp_path, caplog, suffix, damage):
    write_pictures(tmp_path / 'drive', 10, suffix)
    DAMAGE[damage](tmp_path / 'drive' / f'0004{suffix}')
    source = PicturesSource(tmp_path / 'drive', fov=70.0)
    with caplog.at_level(logging.WARNING):
        kept = store_frames((source,), tmp_path / 'day', tmp_path, 64, 96, Thinning())
    assert kept == 9
    store = FrameStore(tmp_path / 'day')
    # What was on either side of it are no neighbours.
    assert store.targets.tolist() == [1, 2, 5, 6, 7]
    named, counted = (r.getMessage() for r in caplog.records)
    assert named.startswith(f'left out: {tmp_path}/drive/0004{suffix} is ')
    assert counted == f'{tmp_path}/drive: 1 of 10 frames cannot be read and are left out'


def test_a_whole_jpeg_with_a_thumbnail_or_bytes_behind_it_is_whole(tmp_path):
    write_pictures(tmp_path / 'drive', 4, '.jpg')
    first, second = (tmp_path / 'drive' / f'000{i}.jpg' for i in (1, 2))
    data = first.read_bytes()
    small = (tmp_path / 'drive' / '0003.jpg').read_bytes()
    exif = b'\xff\xe1' + (len(small) + 2).to_bytes(2, 'big') + small
    first.write_bytes(data[:2] + exif + data[2:])
    second.write_bytes(second.read_bytes() + b'\0' * 64)
    source = PicturesSource(tmp_path / 'drive', fov=70.0)
    assert len(list(source.frames(tmp_path))) == 4
    first.write_bytes((data[:2] + exif + data[2:])[:-200])  # the thumbnail's end mark is there
    assert len(list(source.frames(tmp_path))) == 3


def test_too_many_damaged_pictures_are_one_line(tmp_path):
    write_pictures(tmp_path / 'drive', 100, '.png')
    for i in range(10, 16):
        cut(tmp_path / 'drive' / f'{i:04d}.png')
    source = PicturesSource(tmp_path / 'drive', fov=70.0)
    with pytest.raises(UserError) as told:
        list(source.frames(tmp_path))
    assert str(told.value).startswith(
        f'{tmp_path}/drive: 6 of 100 frames cannot be read, too many'
    )
    assert '0015.png' in str(told.value)
    assert '\n' not in str(told.value)


def test_damaged_frames_of_a_drive_are_left_out(drives, tmp_path, caplog):
    cut(drives / 'a' / 'image' / '000005.jpg')
    source = DrivesSource(drives / 'a')
    frames = list(source.frames(tmp_path))
    assert len(frames) == 11
    assert frames[4].sequence != frames[5].sequence
    assert 'a: 1 of 12 frames cannot be read' in caplog.text


@pytest.mark.parametrize('kind', ['image/000003.jpg', 'depth/000003.png', 'labels/000003.png'])
def test_supervised_samples_of_damaged_frames_are_those_of_the_next(
    drives, tmp_path, caplog, kind
):
    whole = WholeFrames(find_drives([drives], 'train'))
    expected = whole.read(4)[1].image
    for name in ('a/' + kind, 'b/' + kind):
        cut(drives / name)
    damaged = WholeFrames(find_drives([drives], 'train'))
    for _ in range(2):
        np.testing.assert_array_equal(damaged.read(3)[1].image, expected)
    assert caplog.text.count('left out') == 1  # once, however often it is asked for
    samples = DriveSamples(damaged.drives, config(drives, tmp_path), 0)
    assert [torch.equal(samples[i]['image'], samples[i]['image']) for i in range(9)] == [True] * 9


def test_drives_without_a_whole_frame_end_it(drives):
    for file in drives.glob('?/labels/*.png'):
        cut(file)
    with pytest.raises(UserError, match=r'4 of 24 frames cannot be read, too many'):
        WholeFrames(find_drives([drives], 'train')).read(0)


@pytest.mark.slow
def test_too_many_damaged_frames_end_dsn_train_in_one_line(drives, tmp_path):
    for file in sorted(drives.glob('?/image/*.jpg')):
        cut(file)
    line = refusal(train(tmp_path, drives, workers=1))
    assert 'of 24 frames cannot be read, too many to leave out' in line


def test_an_error_of_a_process_that_reads_is_told_in_one_line(tmp_path):
    from dsn_core.training.fit import _told_by_worker

    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            raise UserError('/a/b.jpg is no picture: Error: delete it')

    with pytest.raises(UserError) as told:
        next(iter(torch.utils.data.DataLoader(Broken(), num_workers=1)))
    assert 'Traceback' in str(told.value)
    assert str(_told_by_worker(told.value)) == '/a/b.jpg is no picture: Error: delete it'
