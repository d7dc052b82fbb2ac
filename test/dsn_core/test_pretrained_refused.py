"""Weights from elsewhere that cannot be used: one line says why, and nothing is changed."""

import pickle
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.weights_factory import (
    ENCODER,
    FILES,
    RESNET,
    our_checkpoint,
    save,
    save_folder,
    shared_networks,
    torchvision_stand_in,
)

from dsn_core.checkpoint import save_pose
from dsn_core.errors import UserError
from dsn_core.models.pose import PoseNet
from dsn_core.pretrained import initialise


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A folder as Monodepth2 publishes them."""
    return save_folder(tmp_path_factory.mktemp('published') / 'mono_640x192', '.pth')


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """The weights that torchvision names, in a file here."""
    return torchvision_stand_in(tmp_path, monkeypatch)


def refusal(source):
    """What ``initialise`` says in refusing; one line, and nothing is changed."""
    network, pose = shared_networks(5, 3, True, 100.0)
    state = {**network.state_dict(), **pose.state_dict(prefix='pose.')}
    before = {name: tensor._version for name, tensor in state.items()}
    with pytest.raises(UserError) as caught:
        initialise(network, pose, str(source))
    assert {name: tensor._version for name, tensor in state.items()} == before
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_imagenet_without_internet_or_with_a_damaged_download(torchvision, tmp_path):
    good = torchvision.url
    torchvision.url = (tmp_path / 'absent-00000000.pth').as_uri()
    said = refusal('imagenet')
    assert said.startswith('init imagenet could not be downloaded')
    assert 'give the path of a resnet18-*.pth' in said
    path = Path(good.removeprefix('file://'))
    path.write_bytes(path.read_bytes()[:-1])
    torchvision.url = good
    assert 'hash' in refusal('imagenet')


def test_imagenet_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    monkeypatch.setitem(sys.modules, 'torchvision.models', None)
    said = refusal('imagenet')
    assert said.startswith('init imagenet needs torchvision')
    assert 'give the path of a resnet18-*.pth or .safetensors' in said


def test_another_number_of_classes_is_refused(tmp_path):
    our_checkpoint(tmp_path / 'a.safetensors', num_classes=4)
    said = refusal(tmp_path / 'a.safetensors')
    assert 'a.safetensors has 4 classes and this network 3' in said


def test_a_posenet_alone_is_refused(tmp_path):
    save_pose(tmp_path / 'pose.safetensors', PoseNet())
    assert 'pose.safetensors holds a PoseNet' in refusal(tmp_path / 'pose.safetensors')


class Malicious:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_a_pickle_runs_no_code(tmp_path):
    victim = tmp_path / 'victim'
    path = tmp_path / 'evil.pth'
    for legacy in (False, True):
        evil = {**RESNET, 'evil': Malicious(victim)}
        torch.save(evil, path, _use_new_zipfile_serialization=not legacy)
        said = refusal(path)
        assert 'evil.pth' in said
        assert 'refused' in said
    path.write_bytes(pickle.dumps(Malicious(victim), protocol=2))
    refusal(path)
    folder = tmp_path / 'folder'
    save_folder(folder, '.pth', ('encoder', 'depth'))
    path.rename(folder / 'depth.pth')
    assert 'depth.pth' in refusal(folder)
    assert not victim.exists()
    pickle.loads((folder / 'depth.pth').read_bytes())
    assert victim.exists()  # it does bite


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_file_cut_short_is_refused(tmp_path, suffix):
    path = save(tmp_path / f'r{suffix}', RESNET)
    whole = path.read_bytes()
    for length in (0, 5, 1000, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        assert f'r{suffix}' in refusal(path)


LAST = 'layer4.1.conv2.weight'


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ({LAST: None}, f'tensor {LAST} is missing'),
        ({'conv1.weight': None}, 'tensor conv1.weight is missing'),
        ({'bn1.bias': torch.zeros(65)}, 'tensor bn1.bias is (65,), must be (64,)'),
        ({'conv1.weight': torch.zeros(64, 6, 7, 7)}, '(64, 6, 7, 7), must be (64, 3, 7, 7)'),
        ({'layer1.2.conv1.weight': torch.zeros(1)}, 'tensor layer1.2.conv1.weight has no place'),
        ({'bn1.bias': torch.zeros(64, dtype=torch.uint8)}, 'tensor bn1.bias is torch.uint8'),
        ({'bn1.bias': torch.full((64,), torch.nan)}, 'tensor bn1.bias has values that are not'),
    ],
    ids=lambda v: v if isinstance(v, str) else '',
)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, changed, said):
    tensors = {n: t for n, t in {**RESNET, **changed}.items() if t is not None}
    path = save(tmp_path / 'r.pth', tensors)
    message = refusal(path)
    assert said in message
    assert 'r.pth' in message


@pytest.mark.parametrize(
    ('file', 'name', 'tensor'),
    [
        ('depth', 'decoder.9.conv.conv.bias', None),
        ('depth', 'decoder.13.conv.weight', torch.zeros(1, 128, 3, 2)),
        ('depth', 'decoder.14.conv.weight', torch.zeros(1)),
        ('encoder', 'encoder.layer4.0.downsample.1.bias', None),
        ('pose', 'net.0.bias', None),
        ('pose', 'net.3.weight', torch.zeros(18, 256, 1, 1)),
        ('pose_encoder', 'encoder.conv1.weight', torch.zeros(64, 9, 7, 7)),
    ],
)
def test_in_a_folder_the_file_and_the_tensor_are_named(published, tmp_path, file, name, tensor):
    folder = tmp_path / 'f'
    folder.mkdir()
    for other in set(FILES) - {file}:
        (folder / f'{other}.pth').symlink_to(published / f'{other}.pth')
    tensors = {n: t for n, t in {**FILES[file], name: tensor}.items() if t is not None}
    save(folder / f'{file}.pth', tensors)
    said = refusal(folder)
    assert f'{file}.pth' in said
    assert f'tensor {name} ' in said


@pytest.mark.parametrize('absent', ['encoder', 'depth', 'pose_encoder', 'pose'])
def test_a_folder_that_lacks_a_file(tmp_path, absent):
    folder = save_folder(tmp_path / 'f', '.pth', [name for name in FILES if name != absent])
    assert f'{folder} has no {absent}.pth' in refusal(folder)


def test_what_is_none_of_these_is_refused(tmp_path):
    (tmp_path / 'r.onnx').touch()
    assert 'must be a folder or end in' in refusal(tmp_path / 'r.onnx')
    assert 'init is' in refusal(tmp_path / 'absent')
    assert 'no such file' in refusal(tmp_path / 'absent.pth')
    assert 'no such' in refusal(tmp_path / 'absent.safetensors')
    others = {
        'a list': [torch.zeros(2)],
        'state_dict': {'state_dict': dict(RESNET)},
        'neither': {'backbone.conv1.weight': torch.zeros(1)},
        'head.*': {**ENCODER, 'head.weight': torch.zeros(1)},
    }
    for said, content in others.items():
        torch.save(content, tmp_path / 'other.pth')
        message = refusal(tmp_path / 'other.pth')
        assert 'other.pth' in message
        assert said in message
