"""The stage translate: trains, translates every frame once, goes on from what is there."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.frame_store_factory import smooth_pictures, write_store

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from dsn_core.checkpoint import CheckpointError
from dsn_core.errors import ConfigError
from dsn_core.models.cyclegan import Generator
from dsn_core.training import translation, world
from dsn_core.training.frame_store import FrameStore
from dsn_core.training.run_log import RunLog
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translation import Generators, TranslateConfig, translate

REPOSITORY = Path(__file__).resolve().parents[3]
SETTINGS = TrainerConfig(precision='fp32', workers=0, save_minutes=60)
TINY = TranslateConfig(
    epochs=1, decay_epochs=1, width=4, blocks=1, load_height=32, crop=(32,), batch_size=2
)
DAYS, NIGHTS = 11, 6
HEIGHT, WIDTH = 34, 51  # no multiples of 4


# So small are these networks that threads only wait for each other.
pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp('frames')
    write_store(folder / 'day', smooth_pictures(DAYS, 200, HEIGHT, WIDTH, 1))
    write_store(folder / 'night', smooth_pictures(NIGHTS, 60, HEIGHT, WIDTH, 2))
    return folder


@pytest.fixture(scope='module')
def generators(tmp_path_factory):
    """Of random weights, large enough that pictures differ."""
    torch.manual_seed(4)
    networks = nn.ModuleDict({d: Generator(4, 1) for d in ('day', 'night')})
    with torch.no_grad():
        for values in networks.parameters():
            values *= 10
    path = tmp_path_factory.mktemp('generators') / 'generators.safetensors'
    Generators(networks, 4, 1, {'gan_day': 0.25}).save(path)
    return path


def run(frames, out, config=TINY, settings=SETTINGS):
    out.mkdir(parents=True, exist_ok=True)
    stores = (FrameStore(frames / 'day'), FrameStore(frames / 'night'))
    folder = out / 'translate'
    return translate(*stores, folder, config, settings, 7, RunLog(out))


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob('synthetic_*/*'))
    }


def names(days=DAYS, nights=NIGHTS):
    synthetic = {'synthetic_day': nights, 'synthetic_night': days}
    return [f'{d}/{i:06d}.jpg' for d, count in synthetic.items() for i in range(count)]


def picture(path):
    return cv2.imread(str(path))[..., ::-1]


@pytest.mark.slow
def test_trains_then_translates_every_frame(frames, tmp_path):
    losses = run(frames, tmp_path)
    terms = ('gan', 'cycle', 'identity', 'discriminator')
    assert set(losses) == {f'{t}_{d}' for t in terms for d in ('day', 'night')}
    folder = tmp_path / 'translate'
    assert sorted(contents(folder)) == names()
    for name in names():
        assert picture(folder / name).shape == (HEIGHT, WIDTH, 3)
    # 11 day frames, two a step: 6 steps an epoch, two epochs.
    assert torch.load(folder / 'work' / 'last.ckpt', weights_only=True)['global_step'] == 12 * 2
    with safe_open(folder / 'generators.safetensors', framework='pt') as file:
        header = json.loads(file.metadata()['dsn'])
    assert header == {'kind': 'cyclegan', 'width': 4, 'blocks': 1, 'losses': losses}


def test_what_is_there_is_not_made_again(frames, tmp_path, monkeypatch):
    losses = run(frames, tmp_path)
    folder = tmp_path / 'translate'
    before = {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()}
    monkeypatch.setattr(translation, 'fit', None)
    assert run(frames, tmp_path) == losses
    assert {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()} == before


@pytest.mark.slow
def test_stopped_training_leaves_no_generators_and_goes_on(frames, tmp_path, monkeypatch):
    step = translation.CycleGanStage.training_step

    def stop(stage, batch, index):
        if stage.step == 3:
            raise InterruptedError('pulled the plug')
        step(stage, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(translation.CycleGanStage, 'training_step', stop)
        often = replace(SETTINGS, save_minutes=0)
        with pytest.raises(InterruptedError):
            run(frames, tmp_path / 'stopped', settings=often)
    folder = tmp_path / 'stopped' / 'translate'
    assert (folder / 'work' / 'last.ckpt').exists()
    assert not list(folder.rglob('*.safetensors')) + list(folder.rglob('*.jpg'))
    run(frames, tmp_path / 'stopped')
    run(frames, tmp_path / 'unbroken')
    assert contents(folder) == contents(tmp_path / 'unbroken' / 'translate')


def test_missing_and_truncated_frames_come_back_the_same(frames, generators, tmp_path):
    config = TranslateConfig(generators=generators)
    assert run(frames, tmp_path, config) == {'gan_day': 0.25}
    folder = tmp_path / 'translate'
    before = contents(folder)
    assert sorted(before) == names()
    assert len(set(before.values())) == len(before)
    assert not (folder / 'generators.safetensors').exists()
    untouched = folder / 'synthetic_day/000000.jpg'
    stamp = untouched.stat().st_mtime_ns

    (folder / 'synthetic_night/000002.jpg').unlink()
    (folder / 'synthetic_night/000010.jpg').unlink()
    cut = folder / 'synthetic_day/000001.jpg'
    cut.write_bytes(before['synthetic_day/000001.jpg'][:-40])
    (folder / 'synthetic_day/000005.jpg').write_bytes(b'')
    run(frames, tmp_path, config)
    assert contents(folder) == before
    assert untouched.stat().st_mtime_ns == stamp


@pytest.mark.parametrize('size', [2, 3, 7])
def test_processes_share_the_frames(frames, generators, tmp_path, monkeypatch, size):
    config = TranslateConfig(generators=generators)
    run(frames, tmp_path / 'alone', config)
    made = []
    write = translation.write_picture

    def note(path, *rest):
        made.append(str(path.relative_to(tmp_path / 'shared' / 'translate')))
        write(path, *rest)

    monkeypatch.setattr(translation, 'write_picture', note)
    monkeypatch.setattr(world, 'size', lambda: size)
    monkeypatch.setattr(world, 'barrier', lambda: None)
    for rank in range(size):
        monkeypatch.setattr(world, 'rank', lambda rank=rank: rank)
        run(frames, tmp_path / 'shared', config)
    assert sorted(made) == names()
    alone = contents(tmp_path / 'alone' / 'translate')
    assert contents(tmp_path / 'shared' / 'translate') == alone


@pytest.fixture
def written(monkeypatch):
    """What is written, by name, before JPEG changes it."""
    pictures = {}
    monkeypatch.setattr(
        translation,
        'write_picture',
        lambda path, picture, quality: pictures.update(
            {f'{path.parent.name}/{path.name}': picture}
        ),
    )
    return pictures


def test_pictures_are_the_generators(frames, generators, tmp_path, written):
    """Of any size: padded by reflection to multiples of 4 and cropped back."""
    run(frames, tmp_path, TranslateConfig(generators=generators))
    networks = Generators.load(generators).networks
    frame = FrameStore(frames / 'day').image(3)
    padded = np.pad(frame, ((0, 2), (0, 1), (0, 0)), mode='reflect').transpose(2, 0, 1)
    with torch.no_grad():
        made = networks['night'](torch.from_numpy(padded)[None].float() / 127.5 - 1)[0]
    expected = (made[:, :HEIGHT, :WIDTH].permute(1, 2, 0).numpy() + 1) * 127.5
    assert expected.std() > 20
    assert abs(written['synthetic_night/000003.jpg'] - expected).max() < 0.6


def test_half_precision_is_nearly_the_same(frames, generators, tmp_path, written):
    config = TranslateConfig(generators=generators)
    run(frames, tmp_path, config)
    full = dict(written)
    run(frames, tmp_path, config, TrainerConfig())
    for name in names():
        error = abs(full[name].astype(int) - written[name]).mean()
        assert 0 < error < 0.05 * full[name].std()


@pytest.mark.slow
def test_learns_which_domain_is_bright(tmp_path):
    frames = tmp_path / 'frames'
    write_store(frames / 'day', smooth_pictures(8, 190, 32, 48, 1))
    write_store(frames / 'night', smooth_pictures(8, 60, 32, 48, 2))
    config = replace(
        TINY, epochs=8, decay_epochs=4, width=8, blocks=1, learning_rate=2e-3, batch_size=1
    )
    losses = run(frames, tmp_path, config)
    assert losses['cycle_day'] < 0.3
    folder = tmp_path / 'translate'
    for domain, level, other in (('day', 190, 'night'), ('night', 60, 'day')):
        means = [picture(folder / f'synthetic_{domain}/{i:06d}.jpg').mean() for i in range(8)]
        was = FrameStore(frames / other).image(0).mean()
        assert abs(np.mean(means) - level) < 40 < abs(np.mean(means) - was)


@pytest.mark.slow
def test_two_processes_train_what_one_does(frames, tmp_path):
    config = replace(TINY, samples_per_epoch=6, decay_epochs=0)
    settings = replace(SETTINGS, log_steps=1)
    program = (
        'import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n'
        f'sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / "test")!r}]\n'
        'from dsn_core.training import world; world.join()\n'
        'from dsn_core.training.frame_store import FrameStore\n'
        'from dsn_core.training.run_log import RunLog\n'
        'from dsn_core.training.trainer_config import TrainerConfig\n'
        'from dsn_core.training.translation import TranslateConfig, translate\n'
        f'frames, out = Path({str(frames)!r}), Path({str(tmp_path / "two")!r})\n'
        'out.mkdir(exist_ok=True)\n'
        f'config, settings = {config!r}, {settings!r}\n'
        "stores = [FrameStore(frames / d) for d in ('day', 'night')]\n"
        "translate(*stores, out / 'translate', config, settings, 7, RunLog(out))\n"
    )
    (tmp_path / 'program.py').write_text(program)
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    done = subprocess.run(
        [*launch, str(tmp_path / 'program.py')],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run(frames, tmp_path / 'one', config, settings)
    assert sorted(contents(tmp_path / 'two' / 'translate')) == names()
    one, two = (
        torch.load(tmp_path / n / 'translate' / 'work' / 'last.ckpt', weights_only=True)
        for n in ('one', 'two')
    )
    assert two['pools']['day'].shape == (2, 3, 3, 32, 32)  # 3 steps, one picture each
    # Adam's mean gradients: those of the whole batches, whoever worked them out.
    for mine, theirs in zip(two['optimizer_states'], one['optimizer_states'], strict=True):
        a, b = (
            torch.cat([s['exp_avg'].flatten() for s in each['state'].values()])
            for each in (mine, theirs)
        )
        assert float((a - b).norm() / b.norm()) < 0.02
    rows = [RunLog(tmp_path / n).rows('translate') for n in ('one', 'two')]
    assert len(rows[0]) == 3
    for mine, theirs in zip(*rows, strict=True):
        assert mine == pytest.approx(theirs, rel=0.01)


def test_files_that_are_no_generators_are_refused(tmp_path):
    path = tmp_path / 'generators.safetensors'
    with pytest.raises(CheckpointError, match=r'generators\.safetensors: no such'):
        Generators.load(path)
    good = {'kind': 'cyclegan', 'width': 4, 'blocks': 1, 'losses': {}}
    for fields, said in (
        (None, 'holds no generators'),
        ({**good, 'kind': 'pose'}, 'holds no generators'),
        ({**good, 'width': None}, 'holds no generators'),
        ({**good, 'losses': []}, 'holds no generators'),
        (good, 'does not hold generators: tensor day.layers.1.weight is missing'),
    ):
        header = None if fields is None else {'dsn': json.dumps(fields)}
        save_file({'x': torch.zeros(1)}, path, metadata=header)
        with pytest.raises(CheckpointError, match=said) as caught:
            Generators.load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('epochs', -1),
        ('decay_epochs', -1),
        ('samples_per_epoch', -1),
        ('batch_size', 0),
        ('learning_rate', 0.0),
        ('learning_rate', 1.0),
        ('width', 0),
        ('blocks', 0),
        ('load_height', 255),
        ('crop', (30,)),
        ('crop', (16, 64)),
        ('crop', ()),
        ('crop', (64, 64, 64)),
        ('cycle_weight', 0.0),
        ('identity_weight', -1.0),
        ('pool', -1),
        ('jpeg_quality', 0),
        ('jpeg_quality', 101),
    ],
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ConfigError, match=f'^{field} must be'):
        TranslateConfig(**{field: value})


def test_defaults_and_crops():
    config = TranslateConfig()
    assert (config.epochs, config.decay_epochs, config.batch_size) == (100, 100, 1)
    assert (config.cycle_weight, config.identity_weight, config.pool) == (10, 5, 50)
    assert config.crop_size == (256, 256)
    assert TranslateConfig(crop=(256, 512)).crop_size == (256, 512)
    with pytest.raises(ConfigError, match=r'^epochs must be'):
        TranslateConfig(epochs=0, decay_epochs=0)
