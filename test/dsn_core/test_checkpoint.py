"""Checkpoints: what is written comes back, and what does not fit is named."""

import json

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dsn_core import checkpoint
from dsn_core.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    load_checkpoint,
    load_pose,
    save_checkpoint,
    save_pose,
)
from dsn_core.errors import UserError
from dsn_core.models.pose import PoseNet


@pytest.fixture(scope='module')
def pose():
    torch.manual_seed(0)
    return PoseNet()


@pytest.fixture(scope='module')
def info():
    return CheckpointInfo('n', 64, 96, 'nothing', ('road', 'sky'), 0.5, 50.0, light=False)


def assert_same(module, other):
    ours, theirs = module.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def header(path):
    with safe_open(path, framework='pt') as file:
        return json.loads(file.metadata()['dsn'])


def test_a_network_comes_back(tmp_path, info):
    network = info.build().to(memory_format=torch.channels_last)
    path = tmp_path / 'new' / 'n.safetensors'
    save_checkpoint(path, network, info)
    again, about = load_checkpoint(path)
    assert about == info
    assert_same(again, network)
    assert list(path.parent.iterdir()) == [path]
    assert 'kind' not in header(path)  # so that older releases read it


def test_a_posenet_comes_back(tmp_path, pose):
    path = tmp_path / 'new' / 'pose.safetensors'
    save_pose(path, pose)
    assert_same(load_pose(path), pose)
    assert list(path.parent.iterdir()) == [path]
    assert header(path) == {'kind': 'pose'}


@pytest.mark.parametrize('save', ['network', 'pose'])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, pose, info, save):
    path = tmp_path / 'a.safetensors'
    path.write_text('old')

    def full(state, file, metadata):
        file.write_bytes(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(checkpoint, 'save_file', full)
    with pytest.raises(UserError, match=r'a.safetensors cannot be written \(No space'):
        save_pose(path, pose) if save == 'pose' else save_checkpoint(path, info.build(), info)
    assert path.read_text() == 'old'


def test_one_kind_is_not_taken_for_the_other(tmp_path, pose, tiny_checkpoint):
    save_pose(tmp_path / 'pose.safetensors', pose)
    with pytest.raises(CheckpointError, match=r'pose\.safetensors holds a PoseNet'):
        load_checkpoint(tmp_path / 'pose.safetensors')
    with pytest.raises(CheckpointError, match=r'tiny\.safetensors holds no PoseNet'):
        load_pose(tiny_checkpoint)


@pytest.mark.parametrize(
    ('name', 'tensor', 'said'),
    [
        ('decoder.2.bias', None, 'tensor decoder.2.bias is missing'),
        ('decoder.2.bias', torch.zeros(2), r'decoder.2.bias is \(2,\), must be \(256,\)'),
        ('decoder.2.bias', torch.zeros(256, dtype=torch.int8), 'decoder.2.bias is torch.int8'),
        ('decoder.2.bias', torch.full((256,), torch.inf), 'decoder.2.bias has values that are'),
        ('decoder.8.bias', torch.zeros(2), 'tensor decoder.8.bias has no place'),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, pose, name, tensor, said):
    path = tmp_path / 'pose.safetensors'
    state = {**pose.state_dict(), name: tensor}
    state = {n: t for n, t in state.items() if t is not None}
    save_file(state, path, metadata={'dsn': json.dumps({'kind': 'pose'})})
    with pytest.raises(CheckpointError, match=said) as caught:
        load_pose(path)
    assert 'pose.safetensors' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_header_that_is_not_true_of_the_weights(tmp_path, tiny_checkpoint):
    path = tmp_path / 'a.safetensors'
    fields = {**header(tiny_checkpoint), 'class_names': ['road']}
    save_file(load_file(tiny_checkpoint), path, metadata={'dsn': json.dumps(fields)})
    with pytest.raises(CheckpointError, match=r'seg_decoder\.heads\.0\.weight is \(19, 16'):
        load_checkpoint(path)


@pytest.mark.parametrize('text', ['[1]', 'nothing', '{}', '{"class_names": 3}', '{"new": 1}'])
def test_a_header_of_something_else(tmp_path, text):
    path = tmp_path / 'a.safetensors'
    save_file({'a': torch.zeros(1)}, path, metadata={'dsn': text})
    for load in (load_checkpoint, load_pose):
        with pytest.raises(CheckpointError, match=r'a\.safetensors') as caught:
            load(path)
        assert '\n' not in str(caught.value)
