"""Depth Anything as a teacher, with a tiny random model in the place of the real one."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
transformers = pytest.importorskip('transformers', reason='transformers is not installed')

from support.tiny_teachers import (
    enlarged,
    pictures,
    save_depth_anything,
    save_mask2former,
    spy_on,
)

from dsn_core.errors import ConfigError, UserError
from dsn_core.teachers import DepthAnythingTeacher, DepthTeacher

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return save_depth_anything(tmp_path_factory.mktemp('depth_anything') / 'model')


def test_disparity_is_the_models_at_the_pictures_size(folder):
    images = pictures(2, 56, 84)
    found = DepthAnythingTeacher(str(folder), short_side=56).load('cpu')(images, ['a', 'b'])
    network = transformers.DepthAnythingForDepthEstimation.from_pretrained(folder).eval()
    shown = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    with torch.no_grad():
        raw = network(pixel_values=torch.from_numpy(shown).float()).predicted_depth
    assert found.shape == (2, 56, 84)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, enlarged(raw.numpy(), 56, 84), atol=1e-4)
    assert found.std() > 0.01
    assert found.min() >= 0


def test_pictures_are_shown_in_multiples_of_14_and_answered_at_their_own(folder, monkeypatch):
    shown = spy_on(monkeypatch, transformers.DepthAnythingForDepthEstimation)
    found = DepthAnythingTeacher(str(folder)).load('cpu')(pictures(1, 40, 50), ['a'])
    assert shown == [(1, 3, 518, 644)]  # 518 x 647.5
    assert found.shape == (1, 40, 50)
    assert np.isfinite(found).all()


def test_it_is_known_up_to_scale_and_shift_and_fingerprinted(folder, tmp_path):
    teacher = DepthAnythingTeacher(str(folder))
    assert DepthTeacher.kinds['depth_anything'] is DepthAnythingTeacher
    assert teacher.affine
    assert DepthAnythingTeacher().model.endswith('Small-hf')  # the one under Apache-2.0
    copy = tmp_path / 'copy'
    shutil.copytree(folder, copy)
    assert DepthAnythingTeacher(str(copy)).fingerprint() == teacher.fingerprint()
    other = DepthAnythingTeacher(str(folder), short_side=392)
    assert other.fingerprint() != teacher.fingerprint()


def test_mixed_precision_says_nearly_the_same(folder):
    images = pictures(1, 56, 84)
    full, mixed = (
        DepthAnythingTeacher(str(folder), short_side=56, precision=p).load('cpu')(images, ['a'])
        for p in ('fp32', 'bf16')
    )
    assert mixed.dtype == np.float32
    assert np.abs(full - mixed).mean() < 0.2 * full.std()


def test_models_of_metres_or_of_something_else_are_refused(tmp_path):
    metric = save_depth_anything(tmp_path / 'metric', 'metric')
    with pytest.raises(UserError, match=r'^model \S+metric says metres'):
        DepthAnythingTeacher(str(metric)).load('cpu')
    pytest.importorskip('scipy', reason='scipy is not installed: Mask2Former needs it')
    other = save_mask2former(tmp_path / 'other')
    with pytest.raises(UserError, match=r'^model \S+other is mask2former, not depth_anything'):
        DepthAnythingTeacher(str(other)).load('cpu')


def test_fields_are_checked():
    for field, value in {'model': '', 'short_side': 8, 'precision': 'fp64'}.items():
        with pytest.raises(ConfigError, match=rf'^{field} must be'):
            DepthAnythingTeacher(**{field: value})
