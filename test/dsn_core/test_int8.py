"""fp32 → int8 on a network with depthwise convolutions: what computes in int8, and how well."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from support.int8_graph import CLASSES, depthwise_graph, streets
from support.one_line import one_line

from dsn_core.errors import UserError
from dsn_core.golden import golden_frame
from dsn_core.int8.answers import Loss, answers, loss_of, mean_loss
from dsn_core.int8.quantise import quantise
from dsn_core.metadata import ModelMetadata

LOOSE = Loss(depth=0.05, labels=1.0, sure_labels=0.05)


def metadata(model):
    return ModelMetadata.from_json({p.key: p.value for p in model.metadata_props}['dsn'])


def constants(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def convolved_with(model):
    """Each convolution's weights by name → whether they are unpacked from int8."""
    made_by = {n.output[0]: n for n in model.graph.node}
    found = {}
    for node in model.graph.node:
        if node.op_type == 'Conv':
            source = made_by.get(node.input[1])
            name = node.input[1] if source is None else source.input[0]
            found[name.removeprefix('network.').partition('.weight')[0]] = source is not None
    return found


@pytest.fixture(scope='module')
def plain():
    return depthwise_graph()


@pytest.fixture(scope='module')
def made(plain):
    return quantise(plain, streets(16), limit=LOOSE)


def test_all_but_the_heads_computes_in_int8(made):
    assert made.kept == ()
    found = convolved_with(made.model)
    assert {name for name, int8 in found.items() if not int8} == {
        'depth_decoder.heads.0', 'seg_decoder.heads.0',
    }  # fmt: skip
    assert len(found) == 11


def test_it_is_what_tensorrt_takes(made):
    """int8 with zero point 0, a step for each output channel, biases in float, no other domain."""
    assert [(o.domain, o.version) for o in made.model.opset_import] == [('', 18)]
    weights = constants(made.model)
    for node in made.model.graph.node:
        if node.op_type in ('QuantizeLinear', 'DequantizeLinear'):
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    unpacked = [n for n in made.model.graph.node
                if n.op_type == 'DequantizeLinear' and n.input[0] in weights]  # fmt: skip
    steps = {n.input[0].partition('.weight')[0]: weights[n.input[1]] for n in unpacked}
    assert steps['network.encoder.blocks.0.conv_dw'].shape == (16,)  # depthwise
    assert steps['network.encoder.blocks.1.conv_pw'].shape == (24,)
    stored = {t.name: t.data_type for t in made.model.graph.initializer}
    assert {stored[n.input[0]] for n in unpacked} == {TensorProto.INT8}
    biases = [n.input[2] for n in made.model.graph.node if n.op_type == 'Conv']
    assert {stored[name] for name in biases} == {TensorProto.FLOAT}


def test_a_depthwise_channel_keeps_its_weights_however_small(plain, made):
    name = 'network.encoder.blocks.0.conv_dw.weight'
    before, after = constants(plain)[name], constants(made.model)
    (unpack,) = (n for n in made.model.graph.node if n.input[0].startswith(name))
    steps = after[unpack.input[1]].reshape(-1, 1, 1, 1)
    error = np.abs(after[unpack.input[0]] * steps - before).max(axis=(1, 2, 3))
    assert (error <= 0.51 / 127 * np.abs(before).max(axis=(1, 2, 3))).all()


def test_values_are_moved_as_bytes(made):
    """Padding, doubling and concatenation before int8 convolutions stand between Q/DQ pairs."""
    made_by = {n.output[0]: n.op_type for n in made.model.graph.node}
    read = {}
    for node in made.model.graph.node:
        for tensor in node.input:
            read.setdefault(tensor, set()).add(node.op_type)
    doubled = [n for n in made.model.graph.node
               if n.op_type == 'Resize' and b'nearest' in {a.s for a in n.attribute}]  # fmt: skip
    moving = doubled + [n for n in made.model.graph.node if n.op_type == 'Concat']
    assert len(moving) == 4
    for node in moving:
        assert made_by[node.input[0]] == 'DequantizeLinear'
        assert read[node.output[0]] == {'QuantizeLinear'}


def test_it_answers_as_fp32_on_frames_it_never_saw(plain, made):
    frames = streets(6, seed=99)
    pairs = zip(answers(made.model, frames), answers(plain, frames), strict=True)
    loss = mean_loss([loss_of(*pair) for pair in pairs])
    assert 0 < loss.depth < 0.03
    assert loss.labels < 0.05
    assert loss.sure_labels < 0.03


def test_openvino_answers_the_same(made):
    openvino = pytest.importorskip('openvino', reason='openvino is not installed')
    core = openvino.Core()
    model = core.read_model(made.model.SerializeToString())
    compiled = core.compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    (frame,) = streets(1, seed=7)
    got = compiled({'image': frame[None]})
    (expected,) = answers(made.model, [frame])
    difference = np.abs(got['depth'][0] - expected.depth) / expected.depth
    assert np.median(difference) < 0.01
    assert (got['labels'][0] == expected.labels).mean() > 0.98


def test_the_metadata_says_int8_with_golden_figures_of_its_own(plain, made):
    before, after = metadata(plain), metadata(made.model)
    assert after.precision == 'int8'
    assert after.class_names == before.class_names == CLASSES
    (answer,) = answers(made.model, [golden_frame(after.height, after.width)])
    found = after.golden.compare(answer.depth, answer.labels)
    assert found.depth_error < 1e-4
    assert found.label_agreement == 1
    assert before.golden.compare(answer.depth, answer.labels).depth_error > 1e-4


def fragile(weights):
    """Let one channel into seg_decoder's second convolution be so large that others drown."""
    weights['network.seg_decoder.stages.0.before.weight'][0] *= 3e3
    weights['network.seg_decoder.stages.0.after.weight'][:, 0] /= 3e3


def test_a_part_that_loses_too_much_stays_in_float():
    plain = depthwise_graph(fragile)
    limit = LOOSE._replace(sure_labels=0.02)
    made = quantise(plain, streets(8), limit=limit)
    assert made.kept == ('seg_decoder.stages',)
    found = convolved_with(made.model)
    kept = {name for name, int8 in found.items() if not int8 and 'heads' not in name}
    assert kept == {'seg_decoder.stages.0.before', 'seg_decoder.stages.0.after'}
    frames = streets(4, seed=99)
    pairs = zip(answers(made.model, frames), answers(plain, frames), strict=True)
    assert mean_loss([loss_of(*pair) for pair in pairs]).sure_labels < 0.03


def test_a_network_that_bears_none_of_it_is_refused(plain):
    with pytest.raises(UserError, match='too coarse') as caught:
        quantise(plain, streets(2), limit=Loss(1e-9, 1e-9, 1e-9))
    one_line(caught.value)


def test_an_int8_graph_is_refused(made):
    with pytest.raises(UserError, match='quantised already') as caught:
        quantise(made.model, streets(1))
    one_line(caught.value)


def test_nan_is_no_small_loss():
    assert Loss(float('nan'), 0, 0).excess(LOOSE) == float('inf')
    assert Loss(0.05, 0, 0.1).excess(LOOSE) == pytest.approx(2)


def test_progress_counts_the_frames_once(plain):
    seen = []
    quantise(plain, streets(5), lambda done, total: seen.append((done, total)), LOOSE)
    assert seen == [(i, 5) for i in range(1, 6)]
