"""PoseNet: shapes, the order of time, and the small motions that it starts from."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.models.pose import POSE_SCALE, PoseNet


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return PoseNet().eval()


@pytest.fixture(scope='module')
def frames():
    return torch.rand(3, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_six_numbers_a_pair_and_nearly_no_motion_at_first(network, frames):
    with torch.no_grad():
        pose = network(frames[0], frames[1])
    assert pose.axis_angle.shape == pose.translation.shape == (2, 3)
    assert 0 < pose.axis_angle.abs().max() < 0.1
    assert 0 < pose.translation.abs().max() < 0.1


def test_output_is_the_decoders_mean_times_a_hundredth(network, frames):
    with torch.no_grad():
        features = network.encoder(torch.cat([frames[0], frames[1]], dim=1))[-1]
        raw = network.decoder(features).mean(dim=(2, 3))
        found = torch.cat(network(frames[0], frames[1]), dim=1)
    assert POSE_SCALE == 0.01
    torch.testing.assert_close(found, 0.01 * raw)


def test_neighbours_are_seen_in_the_order_of_time(network, frames):
    previous, target, following = frames
    with torch.no_grad():
        backwards, forwards = network.neighbours(previous, target, following)
        there = network.transform(previous, target)
        torch.testing.assert_close(forwards, network.transform(target, following))
    eye = torch.eye(4).expand(2, 4, 4)
    torch.testing.assert_close(backwards @ there, eye, rtol=0, atol=1e-6)


def test_every_parameter_is_trained(frames):
    network = PoseNet()
    transforms = network.neighbours(*frames)
    (transforms[0][:, :3].square().sum() + transforms[1][:, :3].square().sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_the_encoder_has_torchvisions_names_and_six_input_channels(network):
    assert network.encoder.conv1.weight.shape == (64, 6, 7, 7)


def test_pose_is_full_precision_under_autocast(network, frames):
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        assert network.transform(frames[0], frames[1]).dtype == torch.float32


def test_frames_of_two_sizes_are_refused(network, frames):
    with pytest.raises(ValueError, match=r'^second must be'):
        network(frames[0], frames[1][..., 32:])
