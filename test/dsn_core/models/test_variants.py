"""The lite variant: the same outputs as the paper's, for a fraction of its work."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.checkpoint import CheckpointError, CheckpointInfo, load_checkpoint, save_checkpoint
from dsn_core.export import export_network
from dsn_core.models import DepthSegNet
from dsn_core.models.context import Context
from dsn_core.models.deploy import DeployNet
from dsn_core.models.variants import VARIANTS
from dsn_core.profile import profile


def lite(**arguments):
    """A network whose batch norms are anything but the identity."""
    torch.manual_seed(2)
    network = DepthSegNet(5, variant='lite', **arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    assert network.context is not None
    for parameter in network.context.parameters():  # fresh, it changes nothing
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


def test_outputs_at_four_scales_as_the_papers():
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        perceived = lite()(image)
    for s in range(4):
        assert perceived.disparities[s].shape == (2, 1, 64 >> s, 96 >> s)
        assert perceived.logits[s].shape == (2, 5, 64 >> s, 96 >> s)
    assert perceived.light.shape == image.shape
    assert torch.equal(perceived.enhanced, image + perceived.light)


def test_scale_0_is_scale_1_doubled():
    with torch.no_grad():
        perceived = lite()(torch.rand(1, 3, 64, 96))
    fine, coarse = perceived.logits[0], perceived.logits[1]
    for a in (0, 1):
        for b in (0, 1):
            assert torch.equal(fine[..., a::2, b::2], coarse)
    # Bilinear, of what the sigmoid is taken of; within, each pixel is 9/16 of its own and so on.
    raw = torch.logit(perceived.disparities[1].double())
    found = torch.logit(perceived.disparities[0].double())
    own, below, right, both = raw[..., :-1, :-1], raw[..., 1:, :-1], raw[..., :-1, 1:], None
    both = raw[..., 1:, 1:]
    expected = (9 * own + 3 * below + 3 * right + both) / 16
    torch.testing.assert_close(found[..., 1:-1:2, 1:-1:2], expected, rtol=0, atol=1e-4)


def test_light_map_is_made_at_half_the_size():
    network = lite()
    assert network.light is not None
    image = torch.rand(1, 3, 32, 64)
    means = image.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(-1, -2))
    with torch.no_grad():
        light, half = network.light(image), network.light.layers(means)
    own, below, right = half[..., :-1, :-1], half[..., 1:, :-1], half[..., :-1, 1:]
    expected = (9 * own + 3 * below + 3 * right + half[..., 1:, 1:]) / 16
    torch.testing.assert_close(light[..., 1:-1:2, 1:-1:2], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('light', [True, False])
def test_deploy_network_gives_what_the_training_network_gives(light):
    network = lite(light=light).double()
    picture = np.random.default_rng(5).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    image = torch.from_numpy(picture)
    with torch.no_grad():
        depth, labels, confidence = DeployNet(network)(image)
        perceived = network(image.permute(0, 3, 1, 2).double() / 255)
        expected_depth = network.depth(perceived.disparities[0])[:, 0]
        probability, expected_labels = perceived.logits[0].softmax(1).max(1)
    torch.testing.assert_close(depth, expected_depth.float(), rtol=1e-6, atol=0)
    assert torch.equal(labels, expected_labels.to(torch.uint8))
    assert (confidence.double() - 255 * probability).abs().max() <= 0.5 + 1e-4


def test_it_does_a_sixth_of_the_papers_work():
    paper, light = profile(), profile(variant='lite')
    assert light['total'].true_macs < paper['total'].true_macs / 6
    network = DepthSegNet(variant='lite')
    assert light['total'].params == sum(p.numel() for p in network.parameters())
    # By hand: half of 320x576; 7x7 3→16 and 16→3, 3x3 16→32 at a quarter and back.
    pixels = 160 * 288
    by_hand = pixels * 49 * 3 * 16 * 2 + (pixels // 4) * 9 * 16 * 32 * 2
    assert light['light'].true_macs == by_hand


@pytest.mark.slow
def test_the_exported_graph_gives_the_same_and_is_read_back(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    network = lite()
    info = CheckpointInfo('v', 64, 96, 'nothing', tuple('abcde'), variant='lite')
    export_network(network, info, tmp_path / 'v.onnx')
    image = np.random.default_rng(6).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / 'v.onnx')
    depth, labels, confidence = session.run(None, {'image': image})
    with torch.no_grad():
        expected = DeployNet.from_onnx(tmp_path / 'v.onnx')(torch.from_numpy(image))
        ours = DeployNet(network)(torch.from_numpy(image))
    for theirs in (expected, ours):
        np.testing.assert_allclose(depth, theirs[0], rtol=1e-4)
        assert np.mean(labels == theirs[1].numpy()) > 0.999
        assert np.abs(confidence.astype(int) - theirs[2].numpy().astype(int)).max() <= 1


@pytest.mark.parametrize('variant', list(VARIANTS))
def test_a_checkpoint_says_its_variant(tmp_path, variant):
    info = CheckpointInfo('v', 64, 96, 'nothing', ('a', 'b'), variant=variant)
    network = info.build()
    save_checkpoint(tmp_path / 'v.safetensors', network, info)
    loaded, read = load_checkpoint(tmp_path / 'v.safetensors')
    assert read.variant == loaded.variant == variant
    assert all(torch.equal(network.state_dict()[n], v) for n, v in loaded.state_dict().items())


def test_a_checkpoint_of_an_unknown_variant_is_refused(tmp_path):
    info = CheckpointInfo('v', 64, 96, 'nothing', ('a', 'b'))
    object.__setattr__(info, 'variant', 'huge')
    save_checkpoint(tmp_path / 'v.safetensors', DepthSegNet(2), info)
    with pytest.raises(
        CheckpointError, match="variant must be one of paper, lite, lite2, got 'huge'"
    ):
        load_checkpoint(tmp_path / 'v.safetensors')


def test_context_begins_as_no_change_and_reaches_far():
    torch.manual_seed(4)
    context = Context(6, width=8).double()
    x = torch.randn(1, 6, 17, 17, dtype=torch.float64)
    assert torch.equal(context(x), x)
    for module in context.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.3)
    x.requires_grad_(True)
    context(x)[0, :, 8, 8].sum().backward()
    reached = x.grad.abs().sum(dim=(0, 1)) > 0
    # Dilations of 1, 2 and 4: seven cells to each side, no more.
    assert reached[1, 1]
    assert reached[15, 15]
    assert not reached[0].any()
    assert not reached[:, 16].any()
