"""Multiply-adds of a deploy graph, against the count of the network that it was made of."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.export import export
from dsn_core.models.decoder import CHANNELS
from dsn_core.profile import profile
from dsn_ros.bench.macs import graph_macs
from dsn_ros.bench.peers import DEPTH_ONLY, TWO_NETWORKS, peer_macs
from dsn_ros.engines import read_model

HEIGHT, WIDTH, CLASSES = 64, 96, 19


def at_its_size(path):
    file = read_model(path)
    return file.at(file.metadata.size).data


def test_a_graph_costs_what_its_network_does_but_for_what_was_rewritten(tiny_model):
    costs = profile(HEIGHT, WIDTH, CLASSES)
    expected = costs['total'].true_macs
    # Heads of scales 1 to 3 are left out: 3 x 3 convolutions to one channel and to the classes.
    for scale in (1, 2, 3):
        pixels = (HEIGHT >> scale) * (WIDTH >> scale)
        expected -= pixels * 9 * CHANNELS[scale] * (1 + CLASSES)
    # The light module's last convolution, 7 x 7 and 64 to 3, is an 8 x 8 of stride 2 to 12.
    expected += HEIGHT * WIDTH * 64 * (8 * 8 * 12 // 4 - 7 * 7 * 3)
    assert graph_macs(at_its_size(tiny_model)) == expected


@pytest.mark.slow
def test_weights_that_are_stored_as_half_cost_the_same(tiny_checkpoint, tiny_model, tmp_path):
    half = tmp_path / 'half.onnx'
    export(tiny_checkpoint, half, half_weights=True)
    assert graph_macs(at_its_size(half)) == graph_macs(at_its_size(tiny_model)) > 0


def test_peers_cost_what_table_4_says_of_their_parts():
    macs = peer_macs(320, 576, 19)
    # facts of the paper's Table 4, true counts: encoder 6.662, decoders 5.358 and 6.254 GMACs.
    assert macs[DEPTH_ONLY] / 1e9 == pytest.approx(6.662 + 5.358, abs=2e-3)
    assert macs[TWO_NETWORKS] / 1e9 == pytest.approx(2 * 6.662 + 5.358 + 6.254, abs=2e-3)
