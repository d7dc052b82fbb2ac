"""Variants with random weights: what they are, and that they are measured beside a model."""

import contextlib
import logging

import onnx
import pytest

pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.models.variants import VARIANTS
from dsn_ros.bench import BenchOptions, bench
from dsn_ros.bench import untrained as module
from dsn_ros.bench.untrained import untrained
from dsn_ros.engines import load_engine, read_model
from dsn_ros.errors import UserError

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = (64, 96)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """The deploy graph of each variant."""
    folder = tmp_path_factory.mktemp('untrained')
    return {variant: untrained(variant, SIZE, folder) for variant in VARIANTS}


@contextlib.contextmanager
def silent(_title):
    yield lambda done, total: None


@pytest.mark.slow
def test_a_variant_is_what_its_name_says_at_the_size_that_is_asked_for(made, caplog):
    for variant, path in made.items():
        about = read_model(path).metadata
        assert path.name == f'{variant}.onnx'
        assert (about.name, about.variant, about.size) == (variant, variant, SIZE)
        # The lighter ones are trained without the light module, which is half of the paper's work.
        names = [each.name for each in onnx.load(path).graph.initializer]
        assert any(name.startswith('network.light') for name in names) == (variant == 'paper')
        for engine in ('onnxruntime:cpu', 'torch:cpu'):
            load_engine(path, engine)  # which holds it against its golden frame
    # Sure enough of their labels to be held against them.
    told = [*caplog.get_records('setup'), *caplog.records]
    assert not [each for each in told if each.levelno >= logging.WARNING]


@pytest.mark.slow
def test_the_same_weights_at_every_call_and_nobody_else_s_numbers_are_moved(made, tmp_path):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = untrained('lite', SIZE, tmp_path).read_bytes()
    assert torch.equal(torch.rand(3), expected)
    assert again == made['lite'].read_bytes()


@pytest.mark.slow
def test_variants_are_measured_after_the_models_at_their_size(tiny_model):
    options = BenchOptions(
        (tiny_model,),
        variants=('lite',),
        parts=('engines',),
        engine='onnxruntime',
        batches=(1,),
        rounds=1,
        turn=0.0,
        threads=1,
    )
    report = bench(options, silent)
    groups = report.as_json()['engines']['groups']
    assert [each['model'] for each in groups] == ['tiny.onnx', 'lite.onnx']
    assert (groups[1]['height'], groups[1]['width']) == (groups[0]['height'], groups[0]['width'])


def test_what_is_no_variant_or_cannot_be_made_is_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match='--variant huge: choose from paper, lite, lite2'):
        untrained('huge', SIZE, tmp_path)
    monkeypatch.setattr(module, 'find_spec', lambda _: None)
    with pytest.raises(UserError, match='--variant lite: torch is not installed'):
        untrained('lite', SIZE, tmp_path)
