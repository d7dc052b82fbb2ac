"""Networks of our own as teachers."""

import dataclasses
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.tiny_teachers import enlarged, pictures, softmax

from dsn_core.checkpoint import load_checkpoint, save_checkpoint
from dsn_core.errors import UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.teachers import (
    CheckpointDepthTeacher,
    CheckpointLabelTeacher,
    DepthTeacher,
    LabelTeacher,
)

NAMES = ['day/000000', 'day/000001']


def perceived(checkpoint, images):
    network, _ = load_checkpoint(checkpoint)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(images / 255).permute(0, 3, 1, 2).float())


def test_labels_at_the_networks_own_size(tiny_checkpoint):
    images = pictures(2, 64, 96)
    found = CheckpointLabelTeacher(tiny_checkpoint).load('cpu')(images, NAMES)
    shares = softmax(perceived(tiny_checkpoint, images).logits[0].double().numpy(), axis=1)
    clear = np.ptp(np.sort(shares, axis=1)[:, -2:], axis=1) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found.ids[clear], shares.argmax(axis=1)[clear])
    np.testing.assert_allclose(found.confidence / 255, shares.max(axis=1), atol=0.003)
    assert len(np.unique(found.ids)) > 2
    assert LabelTeacher.kinds['checkpoint'] is CheckpointLabelTeacher


def test_probabilities_are_enlarged_before_a_class_is_chosen(tiny_checkpoint):
    small = pictures(1, 64, 96)
    large = small.repeat(2, axis=1).repeat(2, axis=2)  # by area, it is the small one again
    found = CheckpointLabelTeacher(tiny_checkpoint).load('cpu')(large, NAMES[:1])
    shares = softmax(perceived(tiny_checkpoint, small).logits[0].double().numpy(), axis=1)
    shares = enlarged(shares, 128, 192)
    assert found.ids.shape == (1, 128, 192)
    clear = np.ptp(np.sort(shares, axis=1)[:, -2:], axis=1) > 1e-3
    np.testing.assert_array_equal(found.ids[clear], shares.argmax(axis=1)[clear])
    np.testing.assert_allclose(found.confidence / 255, shares.max(axis=1), atol=0.003)


def test_inverse_depth(tiny_checkpoint):
    small = pictures(2, 64, 96)
    teacher = CheckpointDepthTeacher(tiny_checkpoint)
    loaded = teacher.load('cpu')
    sigmoid = perceived(tiny_checkpoint, small).disparities[0].double().numpy()[:, 0]
    expected = 1 / 100 + (1 / 0.1 - 1 / 100) * sigmoid
    found = loaded(small, NAMES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(loaded(large, NAMES), enlarged(expected, 128, 192), rtol=1e-3)
    assert found.std() > 0.01
    assert not teacher.affine
    assert DepthTeacher.kinds['checkpoint'] is CheckpointDepthTeacher


def test_classes_go_by_their_names(tiny_checkpoint, tmp_path):
    network, info = load_checkpoint(tiny_checkpoint)
    turned = tmp_path / 'turned.safetensors'
    names = tuple(reversed(CITYSCAPES.names))
    save_checkpoint(turned, network, dataclasses.replace(info, class_names=names))
    images = pictures(1, 64, 96)
    ids, other = (
        CheckpointLabelTeacher(path).load('cpu')(images, NAMES[:1]).ids
        for path in (tiny_checkpoint, turned)
    )
    np.testing.assert_array_equal(other, 18 - ids)
    foreign = ('moon', *names[1:])
    save_checkpoint(turned, network, dataclasses.replace(info, class_names=foreign))
    with pytest.raises(UserError, match=r'^checkpoint \S+turned.* first .moon.'):
        CheckpointLabelTeacher(turned).load('cpu')


@pytest.mark.parametrize('kind', [CheckpointLabelTeacher, CheckpointDepthTeacher])
def test_fingerprint_and_files_that_are_missing(tiny_checkpoint, tmp_path, kind):
    folder = tmp_path / 'elsewhere'
    folder.mkdir()
    copy = shutil.copy(tiny_checkpoint, folder)
    assert kind(tiny_checkpoint).fingerprint() == kind(folder / copy).fingerprint()
    network, info = load_checkpoint(tiny_checkpoint)
    with torch.no_grad():
        network.encoder.conv1.weight[0, 0, 0, 0] += 1
    save_checkpoint(folder / copy, network, info)
    assert kind(tiny_checkpoint).fingerprint() != kind(folder / copy).fingerprint()
    for act in (kind.fingerprint, lambda teacher: teacher.load('cpu')):
        with pytest.raises(UserError, match=r'nothing\.safetensors: no such checkpoint'):
            act(kind(tmp_path / 'nothing.safetensors'))
