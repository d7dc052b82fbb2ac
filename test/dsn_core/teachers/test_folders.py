"""Folders of label images and of depth maps as teachers."""

import cv2
import numpy as np
import pytest

pytest.importorskip('safetensors', reason='safetensors is not installed')
pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.errors import ConfigError, UserError
from dsn_core.teachers import DepthTeacher, FolderDepthTeacher, FolderLabelTeacher, LabelTeacher

NAMES = ['day/000003', 'night/000004']
IMAGES = np.zeros((2, 6, 8, 3), np.uint8)


def write(folder, name, array):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == '.png':
        assert cv2.imwrite(str(path), array)
    elif path.suffix == '.npy':
        np.save(path, array)
    else:
        np.savez(path, depth=array)


def train_ids(seed):
    ids = np.random.default_rng(seed).integers(0, 19, (6, 8)).astype(np.uint8)
    ids[0] = 255
    return ids


def test_train_ids_and_confidence(tmp_path):
    sure = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for seed, name in enumerate(NAMES):
        write(tmp_path, f'{name}.png', train_ids(seed))
    write(tmp_path, f'{NAMES[1]}.confidence.png', sure)
    found = FolderLabelTeacher(tmp_path).load('cpu')(IMAGES, NAMES)
    np.testing.assert_array_equal(found.ids, [train_ids(0), train_ids(1)])
    np.testing.assert_array_equal(found.confidence, [np.full((6, 8), 255), sure])
    assert LabelTeacher.kinds['folder'] is FolderLabelTeacher


def test_label_ids_become_train_ids(tmp_path):
    # Cityscapes' own table: label id → train id
    table = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10}
    table |= {24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    ids = np.append(np.arange(34), 255).astype(np.uint8)[None]
    write(tmp_path, 'day/000003.png', ids)
    loaded = FolderLabelTeacher(tmp_path, ids='label').load('cpu')
    found = loaded(np.zeros((1, 1, 35, 3), np.uint8), NAMES[:1])
    np.testing.assert_array_equal(found.ids[0, 0], [table.get(int(i), 255) for i in ids[0]])


def test_labels_of_another_size_are_taken_from_the_nearest(tmp_path):
    ids = train_ids(2)[1:]
    write(tmp_path, 'day/000003.png', ids.repeat(2, axis=0).repeat(3, axis=1))
    image = np.zeros((1, 5, 8, 3), np.uint8)
    found = FolderLabelTeacher(tmp_path).load('cpu')(image, NAMES[:1])
    np.testing.assert_array_equal(found.ids[0], ids)


def test_label_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(UserError, match=r'nowhere is no folder'):
        FolderLabelTeacher(tmp_path / 'nowhere').load('cpu')
    loaded = FolderLabelTeacher(tmp_path).load('cpu')
    with pytest.raises(UserError, match=r'day/000003\.png is missing.* day/000003$'):
        loaded(IMAGES[:1], NAMES[:1])
    write(tmp_path, 'day/000003.png', np.full((6, 8), 33, np.uint8))
    with pytest.raises(UserError, match=r'day/000003\.png holds id 33.*set ids: label'):
        loaded(IMAGES[:1], NAMES[:1])
    write(tmp_path, 'day/000003.png', np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r'day/000003\.png is 6x8x3 uint8.*one channel'):
        loaded(IMAGES[:1], NAMES[:1])
    (tmp_path / 'day/000003.png').write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'day/000003\.png is no picture'):
        loaded(IMAGES[:1], NAMES[:1])


def depths(seed):
    depth = np.random.default_rng(seed).uniform(2, 80, (6, 8)).astype(np.float32)
    depth[0] = 0
    return depth


def inverse(depth):
    return np.array([[1 / d if d > 0 else 0 for d in row] for row in depth.astype(np.float64)])


@pytest.mark.parametrize('suffix', ['.png', '.npy', '.npz'])
def test_depth_becomes_inverse_and_zero_is_infinitely_far(tmp_path, suffix):
    for seed, name in enumerate(NAMES):
        depth = depths(seed)
        stored = np.round(depth * 256).astype(np.uint16) if suffix == '.png' else depth
        write(tmp_path, f'{name}{suffix}', stored)
    teacher = FolderDepthTeacher(tmp_path)
    found = teacher.load('cpu')(IMAGES, NAMES)
    assert found.dtype == np.float32
    expected = [inverse(depths(0)), inverse(depths(1))]
    np.testing.assert_allclose(found, expected, rtol=1e-3 if suffix == '.png' else 1e-6)
    assert not found[:, 0].any()
    assert not teacher.affine
    assert DepthTeacher.kinds['folder'] is FolderDepthTeacher


@pytest.mark.parametrize('holds', ['depth', 'disparity'])
@pytest.mark.parametrize('affine', [False, True])
def test_what_is_said_is_always_finite_and_not_negative(tmp_path, holds, affine):
    if affine and holds == 'depth':
        with pytest.raises(ConfigError, match=r'^holds must be disparity where affine'):
            FolderDepthTeacher(tmp_path, holds, affine)
        return
    strange = np.array([[0, -3, np.nan, np.inf, -np.inf, 1e-42, 1e-9, 5]])
    write(tmp_path, 'day/000003.npy', strange)
    loaded = FolderDepthTeacher(tmp_path, holds, affine).load('cpu')
    found = loaded(np.zeros((1, 1, 8, 3), np.uint8), NAMES[:1])
    expected = {
        'depth': [0, 0, 0, 0, 0, 0, 0, 0.2],
        'disparity': [3, 0, 0, 0, 0, 3, 3, 8] if affine else [0, 0, 0, 0, 0, 0, 1e-9, 5],
    }
    np.testing.assert_allclose(found[0, 0], expected[holds], atol=1e-8)


@pytest.mark.parametrize('dtype', [np.float64, np.float16, np.int32])
def test_disparity_of_any_number_type(tmp_path, dtype):
    disparity = np.arange(48).reshape(6, 8).astype(dtype)
    write(tmp_path, 'day/000003.npz', disparity)
    found = FolderDepthTeacher(tmp_path, 'disparity').load('cpu')(IMAGES[:1], NAMES[:1])
    np.testing.assert_array_equal(found[0], disparity)


def test_maps_of_another_size_are_resized_as_inverse_depth(tmp_path):
    write(tmp_path, 'day/000003.npy', np.tile([[2.0, 8.0]], (2, 8)))
    image = np.zeros((1, 1, 8, 3), np.uint8)
    found = FolderDepthTeacher(tmp_path).load('cpu')(image, NAMES[:1])
    np.testing.assert_allclose(found, (1 / 2 + 1 / 8) / 2)


def test_depth_files_that_cannot_be_used_are_named(tmp_path):
    loaded = FolderDepthTeacher(tmp_path).load('cpu')
    with pytest.raises(UserError, match=r'day/000003\.png is missing'):
        loaded(IMAGES[:1], NAMES[:1])
    write(tmp_path, 'day/000003.npz', np.zeros((2, 6, 8)))
    with pytest.raises(UserError, match=r'day/000003\.npz is 2x6x8 float64'):
        loaded(IMAGES[:1], NAMES[:1])
    np.savez(tmp_path / 'day/000003.npz', a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(UserError, match=r'day/000003\.npz holds a, b: it must be one array'):
        loaded(IMAGES[:1], NAMES[:1])
    np.save(tmp_path / 'day/000003.npy', np.array([{'a': 1}]), allow_pickle=True)
    with pytest.raises(UserError, match=r'day/000003\.npy cannot be read'):
        loaded(IMAGES[:1], NAMES[:1])
    write(tmp_path, 'day/000003.png', np.zeros((6, 8), np.uint8))
    with pytest.raises(UserError, match=r'day/000003\.png is 6x8 uint8: depth must be 16-bit'):
        loaded(IMAGES[:1], NAMES[:1])


@pytest.mark.parametrize('kind', [FolderLabelTeacher, FolderDepthTeacher])
def test_fingerprint_follows_every_file_and_not_the_place(tmp_path, kind):
    for place in ('one', 'two'):
        (tmp_path / place).mkdir()
        for seed, name in enumerate(NAMES):
            write(tmp_path / place, f'{name}.png', train_ids(seed))
    first = kind(tmp_path / 'one').fingerprint()
    assert kind(tmp_path / 'two').fingerprint() == first
    write(tmp_path / 'two', f'{NAMES[1]}.png', train_ids(7))
    assert kind(tmp_path / 'two').fingerprint() != first
    (tmp_path / 'two' / f'{NAMES[1]}.png').rename(tmp_path / 'two/night/000005.png')
    assert kind(tmp_path / 'two').fingerprint() != first
    with pytest.raises(UserError, match=r'nowhere is no folder'):
        kind(tmp_path / 'nowhere').fingerprint()


def test_fields_are_part_of_the_fingerprint_and_are_checked(tmp_path):
    write(tmp_path, 'day/000003.png', train_ids(0))
    labels = {FolderLabelTeacher(tmp_path, ids=i).fingerprint() for i in ('train', 'label')}
    depth = {FolderDepthTeacher(tmp_path, holds=h).fingerprint() for h in ('depth', 'disparity')}
    assert len(labels) == len(depth) == 2
    with pytest.raises(ConfigError, match=r'^ids must be train or label'):
        FolderLabelTeacher(tmp_path, ids='colours')
    with pytest.raises(ConfigError, match=r'^holds must be depth or disparity'):
        FolderDepthTeacher(tmp_path, holds='metres')
