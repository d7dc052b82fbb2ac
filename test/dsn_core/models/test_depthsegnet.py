"""The network: the shapes that callers rely on, and the cost that Table 4 states."""

import math

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.models import DepthSegNet
from dsn_core.models.decoder import disparity_to_depth
from dsn_core.profile import PAPER, as_json, profile


@pytest.fixture(scope='module')
def costs():
    return profile()


@pytest.mark.parametrize('part', list(PAPER))
def test_table_4_is_matched_to_three_decimals(costs, part):
    gmacs, params = PAPER[part]
    # 5.35818 is printed as 5.358; the paper's total is the rounded sum.
    assert round(costs[part].thop_macs / 1e9, 3) == gmacs
    assert costs[part].params / 1e6 == pytest.approx(params, abs=1e-3)


def test_true_cost_counts_a_transposed_convolution_once(costs):
    # By hand: 7x7 3→64 and 64→3 at full size, 3x3 64→128 at half, 128→64 from half to full.
    pixels = 320 * 576
    by_hand = pixels * 49 * 3 * 64 * 2 + (pixels // 4) * 9 * 64 * 128 * 2
    assert costs['light'].true_macs == by_hand
    assert costs['total'].true_macs == sum(
        costs[p].true_macs for p in ('light', 'encoder', 'depth_decoder', 'seg_decoder')
    )


def test_profile_json_has_the_contracted_names(costs):
    parts = as_json(costs)['parts']
    assert set(parts) == {'light', 'encoder', 'depth_decoder', 'seg_decoder', 'total'}
    for part in parts.values():
        assert set(part) == {'paper_gmacs', 'thop_gmacs', 'true_gmacs', 'params'}
    assert parts['total']['params'] == 17_687_699


def test_outputs_at_four_scales():
    network = DepthSegNet(num_classes=5).eval()
    image = torch.rand(2, 3, 64, 96)
    perceived = network(image)
    assert set(perceived.disparities) == set(perceived.logits) == {0, 1, 2, 3}
    for s in range(4):
        assert perceived.disparities[s].shape == (2, 1, 64 >> s, 96 >> s)
        assert perceived.logits[s].shape == (2, 5, 64 >> s, 96 >> s)
        assert 0 < perceived.disparities[s].min() <= perceived.disparities[s].max() < 1
    assert perceived.light.shape == perceived.enhanced.shape == image.shape
    assert torch.equal(perceived.enhanced, image + perceived.light)


def test_without_light_module_the_image_stays_as_it_is():
    network = DepthSegNet(light=False).eval()
    image = torch.rand(1, 3, 64, 64)
    perceived = network(image)
    assert torch.equal(perceived.enhanced, image)
    assert not perceived.light.any()
    assert not [name for name in network.state_dict() if name.startswith('light')]


def test_disparity_spans_the_depth_range():
    disparity = torch.tensor([0.0, 1.0], dtype=torch.float64)
    depth = disparity_to_depth(disparity, 0.1, 100.0)
    assert depth.tolist() == pytest.approx([100.0, 0.1])


def test_encoder_has_torchvision_names():
    names = {n for n in DepthSegNet().encoder.state_dict() if 'num_batches' not in n}
    expected = {'conv1.weight', 'bn1.running_mean', 'layer1.0.conv1.weight'}
    expected |= {'layer2.0.downsample.0.weight', 'layer2.0.downsample.1.bias'}
    assert expected <= names
    # torchvision's resnet18 has 122 entries; less 20 counters and the classifier's two: 100.
    assert len(names) == 100


def test_a_fresh_network_starts_where_it_is_told():
    network = DepthSegNet(0, light=False).eval()
    network.start_at(-2.0)
    with torch.no_grad():
        disparities = network(torch.rand(1, 3, 64, 96)).disparities
    expected = 1 / (1 + math.exp(2.0))
    for scale, disparity in disparities.items():
        # Random features add their noise; told nothing it is about 0.5.
        assert expected / 2 < float(disparity.mean()) < 2 * expected, scale


def test_without_light_and_classes_it_is_monodepth2():
    network = DepthSegNet(0, light=False)
    # Table 4: encoder 11.177 M and depth decoder 3.153 M.
    assert sum(p.numel() for p in network.parameters()) == 11_176_512 + 3_152_724
    assert network(torch.rand(1, 3, 64, 96)).logits == {}
