"""The supervised stage: learns, leaves whole checkpoints, goes on where it was stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.drive_factory import write_drive

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

import numpy as np
import torch
from safetensors.torch import load_file

from dsn_core.checkpoint import load_checkpoint
from dsn_core.data.drives import DriveError, find_drives
from dsn_core.errors import ConfigError
from dsn_core.training.not_finite import NotFiniteError
from dsn_core.training.samples import DriveSamples
from dsn_core.training.supervised import SupervisedStage, train_supervised
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig


@pytest.fixture(scope='module')
def drives(tmp_path_factory):
    folder = tmp_path_factory.mktemp('drives')
    for name in ('a', 'b', 'c'):
        write_drive(folder, f'{name}_day', 'train')
        write_drive(folder, f'{name}_night', 'train', 'night')
    write_drive(folder, 'v_day', 'validation')
    write_drive(folder, 'v_night', 'validation', 'night')
    return folder


def config(drives: Path, out: Path, samples: int = 48) -> SupervisedConfig:
    return SupervisedConfig(
        name='test',
        data=(drives,),
        out=out,
        phases=(
            PhaseConfig(64, 96, 4, samples, 1e-3),
            PhaseConfig(64, 128, 4, 8, 1e-4),
        ),
        training_data='boxes',
        focal_length=120.0,
        precision='fp32',
        workers=0,
        validate_frames=4,
        ema_decay=0.9,
    )


def test_sample_is_the_same_whenever_it_is_asked_for(drives, tmp_path):
    found = find_drives([drives], 'train')
    first = DriveSamples(found, config(drives, tmp_path), 0)
    second = DriveSamples(found, config(drives, tmp_path), 0)
    first[22]
    for key in ('image', 'depth', 'labels'):
        assert torch.equal(first[23][key], second[23][key])
        assert not torch.equal(first[23][key], second[24][key])


def test_sample_depth_is_that_of_the_config_focal_length(drives, tmp_path):
    # The wall stands 15 m from a camera of 120 px at 160 px width. Seen through any window,
    # depth x (config focal length / focal length of the window) must come out.
    samples = DriveSamples(find_drives([drives], 'train'), config(drives, tmp_path), 0)
    for i in range(12):
        sample = samples[i]
        walls = sample['depth'][sample['labels'] == 2]
        if len(walls):
            focal_of_window = 15.0 / float(walls.median()) * samples.focal_length
            # 96 px of a window of at most 160 px and at least 160 / 1.8 / 1.15 px
            assert 120 * 96 / 160 * 0.9 <= focal_of_window <= 120 * 96 / 160 * 1.8 * 1.3


@pytest.mark.slow
def test_training_learns_and_is_not_run_twice(drives, tmp_path):
    checkpoint = train_supervised(config(drives, tmp_path / 'run', samples=160))
    _, info = load_checkpoint(checkpoint)
    assert (info.height, info.width, info.scale) == (64, 128, 'metric')
    assert checkpoint.name == 'phase-1.safetensors'
    rows = json.loads((tmp_path / 'run' / 'phase-0.json').read_text())
    assert set(rows) == {'day', 'night'}
    # A network that says one depth everywhere scores above 0.5 here, one class 0.13.
    assert rows['day']['metric']['abs_rel'] < 0.45
    assert rows['day']['mean_iou'] > 0.35
    stamp = checkpoint.stat().st_mtime_ns
    assert train_supervised(config(drives, tmp_path / 'run', samples=160)) == checkpoint
    assert checkpoint.stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_stopped_training_goes_on_with_the_samples_it_has_not_seen(drives, tmp_path, monkeypatch):
    seen = []
    original, getitem = SupervisedStage.training_step, DriveSamples.__getitem__

    def stop_at_seven(stage, batch, index):
        if stage.global_step == 7 and len(seen) <= 8 * 4:
            raise InterruptedError('pulled the plug')
        return original(stage, batch, index)

    def note(samples, index):
        seen.append((samples.phase_index, index))
        return getitem(samples, index)

    monkeypatch.setattr(SupervisedStage, 'training_step', stop_at_seven)
    monkeypatch.setattr(DriveSamples, '__getitem__', note)
    conf = replace(config(drives, tmp_path / 'run'), save_minutes=1e-6)
    with pytest.raises(InterruptedError):
        train_supervised(conf)
    assert not list((tmp_path / 'run').glob('*.safetensors'))
    before = len(seen)
    train_supervised(conf)
    # Seven steps of four samples were done and saved: it goes on with sample 28.
    assert seen[before] == (0, 28)
    assert seen[before:] == [(0, i) for i in range(28, 48)] + [(1, i) for i in range(8)]


@pytest.mark.slow
def test_light_joins_in_a_later_phase_as_no_change_of_the_picture(drives, tmp_path):
    conf = config(drives, tmp_path / 'run', samples=4)
    first, second = conf.phases
    conf = replace(conf, phases=(replace(first, light=False), replace(second, samples=4)))
    train_supervised(conf)
    before, info = load_checkpoint(tmp_path / 'run' / 'phase-0.safetensors')
    assert before.light is None
    assert not info.light
    after, info = load_checkpoint(tmp_path / 'run' / 'phase-1.safetensors')
    assert info.light
    # It began with nothing: what there is now is what one step at 1e-4 can make of it.
    light = after.eval().light(torch.rand(1, 3, 64, 128))
    assert 0 < float(light.abs().max()) < 0.2


def test_light_may_not_leave_again(drives, tmp_path):
    conf = config(drives, tmp_path)
    with pytest.raises(ConfigError, match='phases must be with light from one phase on'):
        replace(conf, phases=(conf.phases[0], replace(conf.phases[1], light=False)))


def test_no_drives_is_said(tmp_path):
    with pytest.raises(DriveError, match='dsn simulate'):
        train_supervised(config(tmp_path, tmp_path / 'run'))


def test_non_finite_loss_names_the_terms(drives, tmp_path):
    conf = config(drives, tmp_path)
    from dsn_core.models import DepthSegNet

    network = DepthSegNet(19)
    with torch.no_grad():
        network.seg_decoder.heads[0].bias.fill_(np.nan)
    stage = SupervisedStage(network, conf, 0, torch.ones(19))
    sample = DriveSamples(find_drives([drives], 'train'), conf, 0)[0]
    batch = {k: v[None].repeat(2, *[1] * v.ndim) for k, v in sample.items()}
    with pytest.raises(
        NotFiniteError, match='step 0: label_loss is nan; the batch is kept'
    ) as told:
        stage.training_step(batch, 0)
    (kept,) = tmp_path.glob('phase-0/work/not-finite-0.safetensors')
    assert str(kept) in str(told.value)
    for key, tensor in load_file(kept).items():
        assert torch.equal(tensor, batch[key])
