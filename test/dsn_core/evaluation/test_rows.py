"""Rows: folders of predictions, checkpoints, and the baselines without a picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drive_factory import write_drive

from dsn_core.data.drive_source import DrivesSource
from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.baselines import ConstantRow, MedianMapRow, TrainingDepth
from dsn_core.evaluation.folder_row import FolderRow
from dsn_core.evaluation.model_row import ModelRow
from dsn_core.evaluation.rows import Row
from dsn_core.evaluation.samples import DrivesSet


@pytest.fixture
def street(tmp_path):
    folder = tmp_path / 'drives'
    write_drive(folder, 'town0_day', 'test', frames=2, height=64, width=96)
    return DrivesSet(DrivesSource(folder, split='test'))


@pytest.fixture
def samples(street, tmp_path):
    return list(street.samples(tmp_path))


def predictions(folder, name='town0_day/000000'):
    stem = folder / name
    stem.parent.mkdir(parents=True, exist_ok=True)
    return stem


def test_samples_of_drives(samples, street, tmp_path):
    assert [s.name for s in samples] == ['town0_day/000000', 'town0_day/000001']
    assert street.count(tmp_path) == 2
    assert samples[0].pose is None
    assert samples[0].condition == 'day'
    assert samples[0].depth.shape == samples[0].labels.shape == samples[0].image.shape[:2]


def test_a_folder_as_dsn_infer_writes_it(tmp_path, samples):
    stem = predictions(tmp_path / 'p')
    depth = np.array([[1.5, np.inf], [np.nan, 3.0]], np.float32)
    np.save(f'{stem}.depth.npy', depth)
    cv2.imwrite(f'{stem}.labels.png', np.array([[0, 255]], np.uint8))
    row = FolderRow(tmp_path / 'p')
    found = row.load()(samples[0])
    np.testing.assert_array_equal(found.depth, depth)
    assert found.labels.tolist() == [[0, 255]]
    assert found.confidence is None
    cv2.imwrite(f'{stem}.confidence.png', np.array([[255, 51]], np.uint8))
    assert row.load()(samples[0]).confidence[0] == pytest.approx([1, 0.2])
    assert row.name == 'p'


def test_millimetres_disparity_and_plain_names(tmp_path, samples):
    stem = predictions(tmp_path / 'mm')
    cv2.imwrite(f'{stem}.depth.png', np.array([[1500, 0]], np.uint16))
    cv2.imwrite(f'{stem}.png', np.array([[13, 2]], np.uint8))
    found = FolderRow(tmp_path / 'mm').load()(samples[0])
    assert found.depth.tolist() == [[1.5, np.inf]]
    assert found.labels.tolist() == [[13, 2]]
    stem = predictions(tmp_path / 'disparity')
    np.save(f'{stem}.npy', np.array([[[0.5, 0.0]]], np.float32))
    found = FolderRow(tmp_path / 'disparity', holds='disparity', metric=False).load()(samples[0])
    assert found.depth.tolist() == [[2.0, np.inf]]


def test_folders_that_cannot_be_used(tmp_path, samples):
    with pytest.raises(UserError, match='is no folder'):
        FolderRow(tmp_path / 'none').load()
    stem = predictions(tmp_path / 'p')
    with pytest.raises(UserError, match=r'no prediction for town0_day/000000'):
        FolderRow(tmp_path / 'p').load()(samples[0])
    np.save(f'{stem}.npy', np.ones((2, 2, 2)))
    with pytest.raises(UserError, match=r'000000\.npy must hold one array'):
        FolderRow(tmp_path / 'p').load()(samples[0])
    Path(f'{stem}.npy').write_bytes(b'nothing')
    with pytest.raises(UserError, match='cannot be read'):
        FolderRow(tmp_path / 'p').load()(samples[0])
    Path(f'{stem}.npy').unlink()
    cv2.imwrite(f'{stem}.png', np.array([[33]], np.uint8))
    with pytest.raises(UserError, match='id 33'):
        FolderRow(tmp_path / 'p').load()(samples[0])


def test_what_the_first_sample_has_all_must_have(tmp_path, samples):
    reader = FolderRow(predictions(tmp_path / 'p').parents[1]).load()
    for i, name in enumerate(s.name for s in samples):
        stem = predictions(tmp_path / 'p', name)
        np.save(f'{stem}.npy', np.ones((2, 2), np.float32))
        if i == 0:
            cv2.imwrite(f'{stem}.png', np.zeros((2, 2), np.uint8))
    reader(samples[0])
    with pytest.raises(UserError, match=r'has depth for .*000001 and depth and labels for'):
        reader(samples[1])


def test_fingerprints_follow_the_content(tmp_path):
    stem = predictions(tmp_path / 'p')
    np.save(f'{stem}.npy', np.ones((2, 2), np.float32))
    row = FolderRow(tmp_path / 'p')
    before = row.fingerprint()
    assert FolderRow(tmp_path / 'p', name='other name').fingerprint() == before
    assert FolderRow(tmp_path / 'p', metric=False).fingerprint() != before
    np.save(f'{stem}.npy', np.full((2, 2), 2, np.float32))
    assert row.fingerprint() != before


def test_a_checkpoint(tiny_checkpoint, samples):
    pytest.importorskip('torch', reason='torch is not installed')
    row = ModelRow(str(tiny_checkpoint))
    predictor = row.load()
    found = predictor(samples[0])
    assert predictor.metric
    assert found.depth.shape == found.labels.shape == found.confidence.shape == (64, 96)
    assert (found.depth > 0).all()
    assert 0 < found.confidence.min() <= found.confidence.max() <= 1
    assert row.name == 'tiny'


def test_depth_follows_the_lens(tiny_checkpoint, samples):
    pytest.importorskip('torch', reason='torch is not installed')
    from dataclasses import replace

    predictor = ModelRow(str(tiny_checkpoint)).load()
    longer = replace(samples[0], intrinsics=np.diag([2.0, 2.0, 1]) @ samples[0].intrinsics)
    ratio = predictor(longer).depth / predictor(samples[0]).depth
    assert ratio == pytest.approx(2, rel=1e-5)


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match='no such model'):
        ModelRow(str(tmp_path / 'none.safetensors')).fingerprint()
    with pytest.raises(ConfigError, match='path must be'):
        ModelRow('weights.pth')


def test_what_a_text_alone_stands_for(tmp_path):
    assert Row.parse('default') == {'kind': 'model', 'path': 'default'}
    assert Row.parse('lite2') == {'kind': 'model', 'path': 'lite2'}
    assert Row.parse('a.onnx')['kind'] == 'model'
    assert Row.parse(str(tmp_path)) == {'kind': 'folder', 'path': str(tmp_path)}
    with pytest.raises(ConfigError, match='a row must be'):
        Row.parse('nothing.txt')


def test_baselines_against_numpy(tmp_path, samples):
    folder = tmp_path / 'training'
    height, width = 160, 288  # the median map's own size
    for name in ('town1_day', 'town2_day'):
        write_drive(folder, name, 'train', frames=3, height=height, width=width)
    sets = [DrivesSet(DrivesSource(folder, split='train'))]
    everything = np.stack([s.depth for s in sets[0].samples(tmp_path)]).astype(np.float64)
    measured = np.where(everything > 0, everything, np.nan)
    training = TrainingDepth(sets, 100, tmp_path)
    constant = ConstantRow(training).load()(samples[0]).depth
    assert constant == pytest.approx(np.nanmedian(measured))
    with np.errstate(invalid='ignore'), pytest.warns(RuntimeWarning, match='All-NaN'):
        expected = np.nanmedian(measured, axis=0)
    found = MedianMapRow(training).load()(samples[0]).depth
    np.testing.assert_allclose(found[np.isfinite(expected)], expected[np.isfinite(expected)])
    assert np.isposinf(found[np.isnan(expected)]).all()
    assert np.isnan(expected).any()
    assert MedianMapRow(training).fingerprint() != ConstantRow(training).fingerprint()


def test_training_frames_are_spread_evenly(tmp_path):
    folder = tmp_path / 'training'
    write_drive(folder, 'town1_day', 'train', frames=5, height=160, width=288)
    sets = [DrivesSet(DrivesSource(folder, split='train'))]
    depths = [s.depth for s in sets[0].samples(tmp_path)]
    chosen = np.stack([depths[i] for i in (0, 2, 4)])
    found = TrainingDepth(sets, 3, tmp_path).constant()
    assert found == pytest.approx(np.median(chosen[chosen > 0]))
