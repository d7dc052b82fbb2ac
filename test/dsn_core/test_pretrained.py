"""Weights from elsewhere give the same answers as where they come from."""

import functools
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support import monodepth2_reference as reference
from support.weights_factory import (
    DEPTH,
    ENCODER,
    POSE,
    POSE_ENCODER,
    RESNET,
    networks,
    our_checkpoint,
    same,
    save,
    save_folder,
    torchvision_stand_in,
    values,
)

from dsn_core.checkpoint import POSE_FILE, save_pose
from dsn_core.errors import UserError
from dsn_core.models.pose import PoseNet
from dsn_core.pretrained import initialise


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A folder as Monodepth2 publishes them."""
    return save_folder(tmp_path_factory.mktemp('published') / 'mono_640x192', '.pth')


def pictures(count):
    return torch.rand(count, 1, 3, 64, 64, generator=torch.Generator().manual_seed(9))


@functools.cache
def their_disparities():
    (image,) = pictures(1)
    return reference.disparities(ENCODER, DEPTH, image.double())


@functools.cache
def their_motion():
    first, second = pictures(2)
    return reference.motion(POSE_ENCODER, POSE, first.double(), second.double())


def assert_disparities_are_theirs(network):
    (image,) = pictures(1)
    with torch.no_grad():
        features = network.encoder(image)
        raw = network.depth_decoder(features, (0, 1, 2, 3))
    assert sorted(raw) == sorted(their_disparities()) == [0, 1, 2, 3]
    for scale, disparity in their_disparities().items():
        assert disparity.std() > 0.02  # a constant would hide what is wrong
        found = torch.sigmoid(raw[scale]).double()
        torch.testing.assert_close(found, disparity, rtol=0, atol=1e-5)


def assert_motion_is_theirs(pose):
    first, second = pictures(2)
    with torch.no_grad():
        found = pose(first, second)
    for ours, theirs in zip(found, their_motion(), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-6)


def test_a_folder_of_monodepth2_gives_its_disparities_and_motions(published):
    network, pose = networks()
    classes, light = values(network.seg_decoder), values(network.light)
    lines = initialise(network, pose, str(published))
    assert_disparities_are_theirs(network)
    assert_motion_is_theirs(pose)
    assert same(network.seg_decoder, classes)
    assert same(network.light, light)
    assert lines == [
        f'encoder: from {published / "encoder.pth"}',
        f'depth decoder: from {published / "depth.pth"}',
        f'seg decoder: fresh, {published} has none',
        f'light module: fresh, {published} has none',
        f'PoseNet encoder: from {published / "pose_encoder.pth"}',
        f'PoseNet decoder: from {published / "pose.pth"}',
    ]


def test_the_whole_network_without_light_is_monodepth2(published):
    network, _ = networks(num_classes=0, light=False)
    assert len(initialise(network, None, str(published))) == 2
    (image,) = pictures(1)
    with torch.no_grad():
        found = network(image).disparities
    for scale, disparity in their_disparities().items():
        torch.testing.assert_close(found[scale].double(), disparity, rtol=0, atol=1e-5)


def test_a_folder_of_safetensors_and_one_motion(tmp_path):
    single = {name: t[:6] if name.startswith('net.3') else t for name, t in POSE.items()}
    folder = save_folder(tmp_path / 'f', '.safetensors', pose=single)
    network, pose = networks()
    initialise(network, pose, str(folder))
    assert_disparities_are_theirs(network)
    assert_motion_is_theirs(pose)


def test_a_folder_without_a_posenet_leaves_ours_fresh(tmp_path):
    folder = save_folder(tmp_path / 'stereo', '.pth', ('encoder', 'depth'))
    network, pose = networks()
    before = values(pose)
    lines = initialise(network, pose, str(folder))
    assert same(pose, before)
    assert f'PoseNet decoder: fresh, {folder} has none' in lines


@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.safetensors'])
def test_a_file_with_monodepth2s_names(tmp_path, suffix):
    network, pose = networks()
    before = values(pose)
    both = save(tmp_path / f'both{suffix}', {**ENCODER, **DEPTH})
    initialise(network, pose, str(both))
    assert_disparities_are_theirs(network)
    assert same(pose, before)


def test_a_file_of_monodepth2s_encoder_alone(published):
    network, _ = networks()
    depth = values(network.depth_decoder)
    path = published / 'encoder.pth'
    lines = initialise(network, None, str(path))
    assert lines[:2] == [f'encoder: from {path}', f'depth decoder: fresh, {path} has none']
    assert same(network.depth_decoder, depth)
    assert torch.equal(network.encoder.conv1.weight, ENCODER['encoder.conv1.weight'])


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_resnet_goes_into_both_encoders(tmp_path, suffix):
    imagenet = reference.resnet18(counters=suffix == '.pth')
    path = save(tmp_path / f'resnet18{suffix}', imagenet)
    network, pose = networks()
    decoder = values(pose.decoder)
    lines = initialise(network, pose, str(path))
    first, second = pictures(2)
    with torch.no_grad():
        found = network.encoder(first)
        found_of_two = pose.encoder(torch.cat([first, second], dim=1))
    torch.testing.assert_close(
        [f.double() for f in found],
        reference.features(imagenet, first.double(), ''),
        rtol=1e-4,
        atol=1e-5,
    )
    # Half the weights on each of two pictures are the weights on the pictures' mean.
    torch.testing.assert_close(
        [f.double() for f in found_of_two],
        reference.features(imagenet, (first + second).double() / 2, ''),
        rtol=1e-4,
        atol=1e-5,
    )
    assert same(pose.decoder, decoder)
    assert lines[0] == f'encoder: from {path}'
    assert [line for line in lines if 'PoseNet encoder' in line and 'halved' in line]
    assert f'PoseNet decoder: fresh, {path} has none' in lines


def test_the_encoder_of_a_checkpoint_alone(tmp_path):
    trained = our_checkpoint(tmp_path / 'ours.safetensors', num_classes=3)
    network, pose = networks(num_classes=5)  # the classes need not be the same
    depth, classes, light = map(
        values, (network.depth_decoder, network.seg_decoder, network.light)
    )
    source = f'encoder:{tmp_path / "ours.safetensors"}'
    lines = initialise(network, pose, source)
    assert same(network.encoder, values(trained.encoder))
    assert same(network.depth_decoder, depth)
    assert same(network.seg_decoder, classes)
    assert same(network.light, light)
    half = trained.encoder.conv1.weight / 2
    assert torch.equal(pose.encoder.conv1.weight, torch.cat([half, half], dim=1))
    assert f'seg decoder: fresh, {source} has none' in lines
    with pytest.raises(UserError, match='no such checkpoint'):
        initialise(network, pose, f'encoder:{tmp_path / "absent.safetensors"}')


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """The weights that torchvision names, in a file here."""
    return torchvision_stand_in(tmp_path, monkeypatch)


def test_imagenet_by_name_and_then_from_the_cache(torchvision):
    network, pose = networks()
    lines = initialise(network, pose, 'imagenet')
    weight = RESNET['conv1.weight']
    assert torch.equal(network.encoder.conv1.weight, weight)
    assert torch.equal(pose.encoder.conv1.weight, torch.cat([weight, weight], dim=1) / 2)
    assert lines[0] == 'encoder: from imagenet'
    Path(torchvision.url.removeprefix('file://')).unlink()
    again, _ = networks(6)
    initialise(again, None, 'imagenet')
    assert same(again.encoder, values(network.encoder))


def test_nothing_is_asked_for():
    network, pose = networks()
    before = values(network)
    assert initialise(network, pose, '') == []
    assert same(network, before)


def test_a_checkpoint_of_ours(tmp_path):
    path = tmp_path / 'a.safetensors'
    trained = our_checkpoint(path)
    network, pose = networks()
    before = values(pose)
    lines = initialise(network, pose, str(path))
    assert same(network, values(trained))
    assert same(pose, before)
    assert lines[0] == f'encoder: from {path} (ours)'
    assert f'light module: from {path} (ours)' in lines


def test_the_posenet_beside_a_checkpoint_comes_with_it(tmp_path):
    path = tmp_path / 'network.safetensors'
    our_checkpoint(path)
    trained = PoseNet()
    save_pose(tmp_path / POSE_FILE, trained)
    network, pose = networks()
    lines = initialise(network, pose, str(path))
    assert same(pose, values(trained))
    assert f'PoseNet decoder: from {tmp_path / POSE_FILE}' in lines
    assert initialise(networks()[0], None, str(path))  # who has no PoseNet needs none


def test_a_checkpoint_of_monodepth2_trained_here_leaves_the_rest_fresh(tmp_path):
    path = tmp_path / 'day.safetensors'
    trained = our_checkpoint(path, num_classes=0, light=False, min_depth=0.5)
    network, _ = networks()
    classes = values(network.seg_decoder)
    lines = initialise(network, None, str(path))
    assert same(network.depth_decoder, values(trained.depth_decoder))
    assert same(network.seg_decoder, classes)
    assert f'seg decoder: fresh, {path} has none' in lines
    assert f'light module: fresh, {path} has none' in lines
    assert 'trained for 0.5 to 100, this network is for 0.1 to 100' in lines[-1]


def test_what_this_network_lacks_is_left_out_and_said(tmp_path):
    path = tmp_path / 'a.safetensors'
    trained = our_checkpoint(path)
    network, _ = networks(num_classes=0, light=False)
    lines = initialise(network, None, str(path))
    assert same(network.encoder, values(trained.encoder))
    assert lines[-2:] == [
        'seg decoder: left out, this network has none',
        'light module: left out, this network has none',
    ]


def test_monodepth2s_depths_are_compared_with_the_networks(published):
    network, _ = networks(max_depth=80.0)
    assert '0.1 to 80' in initialise(network, None, str(published))[-1]


def test_files_of_old_torch_are_read(tmp_path):
    parameters = {
        n: torch.nn.Parameter(t, t.is_floating_point())
        for n, t in ENCODER.items()
        if t.is_floating_point()
    }
    torch.save(parameters, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    network, _ = networks()
    initialise(network, None, str(tmp_path / 'old.pth'))
    assert torch.equal(
        network.encoder.layer4[1].bn2.running_var, ENCODER['encoder.layer4.1.bn2.running_var']
    )
