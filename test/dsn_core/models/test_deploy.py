"""The deploy network: every rewrite gives what the network as trained gives."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.checkpoint import load_checkpoint
from dsn_core.golden import golden_frame
from dsn_core.models import DepthSegNet
from dsn_core.models.deploy import DeployNet, fold_batch_norms, half_rate_convolution


@pytest.fixture(scope='module')
def network(tiny_checkpoint):
    return load_checkpoint(tiny_checkpoint)[0].eval()


@pytest.mark.parametrize('kernel', [3, 7])
def test_half_rate_convolution_is_exact(kernel):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(5, 3, kernel).double()
    x = torch.randn(2, 5, 12 + kernel - 1, 20 + kernel - 1, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(half_rate_convolution(conv).double()(x), conv(x), atol=1e-12)


def test_half_rate_convolution_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match='stride 1'):
        half_rate_convolution(torch.nn.Conv2d(3, 3, 3, stride=2))


def test_folding_leaves_no_batch_norm_and_the_same_answer():
    torch.manual_seed(0)
    network = DepthSegNet(3).double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    network.eval()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        before = network(image)
        fold_batch_norms(network)
        after = network(image)
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for s in range(4):
        assert torch.allclose(before.logits[s], after.logits[s], atol=1e-9)
    assert torch.allclose(before.light, after.light, atol=1e-9)


def pictures(kind, shared_data):
    if kind == 'golden':
        return golden_frame(64, 96)[None]
    if kind == 'random':
        return np.random.default_rng(3).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    import cv2

    paths = ('night_zimmer/image/000050.jpg', 'camvid/train/0001TP_006690.jpg')
    real = [cv2.imread(str(shared_data() / p)) for p in paths if (shared_data() / p).exists()]
    return np.stack([cv2.resize(p, (96, 64)) for p in real])


@pytest.mark.parametrize('kind', ['golden', 'random', 'real'])
def test_deploy_network_gives_what_the_training_network_gives(network, kind, request):
    image = torch.from_numpy(pictures(kind, lambda: request.getfixturevalue('shared_data')))
    with torch.no_grad():
        depth, labels, confidence = DeployNet(network)(image)
        perceived = network(image.permute(0, 3, 1, 2) / 255)
        expected_depth = network.depth(perceived.disparities[0])[:, 0]
        probability, expected_labels = perceived.logits[0].softmax(1).max(1)
    assert depth.dtype == torch.float32
    assert labels.dtype == confidence.dtype == torch.uint8
    assert torch.allclose(depth, expected_depth, rtol=1e-4)
    assert (labels == expected_labels).float().mean() > 0.999
    assert (confidence.float() - 255 * probability).abs().max() <= 1.0


def test_training_network_is_left_alone(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    DeployNet(network)
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items())
