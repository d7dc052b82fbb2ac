"""Annotated pictures as an evaluation set: what is true, in which light, and what is missing."""

import cv2
import numpy as np
import pytest

from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.picture_set import PicturesSet


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ('image', 'depth', 'labels'):
        (tmp_path / kind).mkdir()
    for name in ('a1', 'a2', 'b1'):
        picture = rng.integers(0, 255, (8, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / 'image' / f'{name}.png'), picture)
    depth = np.zeros((8, 12), np.uint16)
    depth[2, 3] = 10 * 256 + 128
    cv2.imwrite(str(tmp_path / 'depth' / 'a1_lidar.png'), depth)
    labels = np.array([[0, 1, 2, 3] * 3] * 8, np.uint8)
    cv2.imwrite(str(tmp_path / 'labels' / 'a1.png'), labels)
    cv2.imwrite(str(tmp_path / 'labels' / 'b1.png'), labels)
    return tmp_path


def pictures(folder, **fields):
    given = {
        'depth': folder / 'depth',
        'depth_suffix': '_lidar',
        'labels': folder / 'labels',
        'classes': ('sky', 'road', 'unlabelled'),
        'fov': 90.0,
        'conditions': ('b=dusk',),
    }
    return PicturesSet(folder / 'image', **{**given, **fields})


def test_what_is_true_of_each(folder):
    first, second = pictures(folder).samples(folder)
    assert (first.name, first.condition) == ('a1', 'day')
    assert (second.name, second.condition) == ('b1', 'dusk')
    assert first.depth[2, 3] == 10.5
    assert np.count_nonzero(first.depth) == 1
    assert not second.depth.any()
    # sky, road, unlabelled, and an id that no class has
    assert first.labels[0, :4].tolist() == [10, 0, 255, 255]
    assert first.intrinsics[0, 0] == pytest.approx(6.0)  # 90 degrees over 12 pixels
    stored = cv2.imread(str(folder / 'image' / 'a1.png'))[..., ::-1]
    assert np.array_equal(first.image, stored)
    assert first.sequence != second.sequence
    assert pictures(folder).count(folder) == 2


def test_another_truth_is_another_set(folder):
    before = pictures(folder).fingerprint(folder)
    assert pictures(folder).fingerprint(folder) == before
    cv2.imwrite(str(folder / 'depth' / 'a1_lidar.png'), np.ones((8, 12), np.uint16))
    assert pictures(folder).fingerprint(folder) != before


def test_what_is_missing_is_named(folder):
    with pytest.raises(UserError, match='no picture has its truth; looked for'):
        pictures(folder, depth_suffix='', labels=folder / 'depth').count(folder)
    with pytest.raises(UserError, match='holds no pictures'):
        PicturesSet(folder / 'nothing', labels=folder, fov=60).count(folder)
    with pytest.raises(ConfigError, match='intrinsics are missing'):
        pictures(folder, fov=0.0)
    with pytest.raises(ConfigError, match='nothing to score'):
        PicturesSet(folder, fov=60)
    with pytest.raises(ConfigError, match='conditions must be PREFIX=CONDITION'):
        pictures(folder, conditions=('dusk',))
    with pytest.raises(UserError, match='not Cityscapes'):
        list(pictures(folder, classes=('sky', 'dragon')).samples(folder))
    cv2.imwrite(str(folder / 'labels' / 'b1.png'), np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match=r'b1\.png is 4x4 uint8, wanted is 8x12 uint8'):
        list(pictures(folder).samples(folder))
