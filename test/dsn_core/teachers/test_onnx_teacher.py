"""ONNX graphs as teachers: graphs written here by hand, and one of dsn export."""

import shutil

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
pytest.importorskip('torch', reason='torch is not installed: digests are read beside it')

from onnx import TensorProto, helper, numpy_helper
from support.tiny_teachers import enlarged, pictures, softmax

from dsn_core.errors import ConfigError, UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.teachers import LabelTeacher, OnnxLabelTeacher, onnx_teacher, set_default_model

NAMES = ['day/000000', 'day/000001']
WEIGHT = np.random.default_rng(5).normal(0, 3, (19, 3, 2, 2)).astype(np.float32)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def save_graph(path, tail='', shape=(1, 3, 64, 96), weight=WEIGHT, half=False, extra=()):
    """A graph that convolves the picture at stride 2 and ends in softmax, argmax or nothing."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    last = {'': 'scores', 'softmax': 'shares', 'argmax': 'ids', 'argmax with channel': 'ids'}[tail]
    nodes = [helper.make_node('Conv', ['x', 'w'], ['scores'], strides=[2, 2])]
    if tail == 'softmax':
        nodes.append(helper.make_node('Softmax', ['scores'], ['shares'], axis=1))
    elif tail:
        channel = int(tail.endswith('channel'))
        nodes.append(helper.make_node('ArgMax', ['scores'], ['ids'], axis=1, keepdims=channel))
    out = TensorProto.INT64 if last == 'ids' else kind
    inputs = [helper.make_tensor_value_info('x', kind, shape), *extra]
    weight = numpy_helper.from_array(weight.astype(np.float16) if half else weight, 'w')
    graph = helper.make_graph(
        nodes, 'g', inputs, [helper.make_tensor_value_info(last, out, None)], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8)
    onnx.save(model, path)
    return path


def scores_by_numpy(images, mean=MEAN, std=STD):
    x = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    return np.einsum('nchiwj,kcij->nkhw', blocks, WEIGHT.astype(np.float64))


def assert_agree(found, full, shares, tolerance=0.003):
    """Labels are the largest of ``full``, confidence is ``shares`` (N, C, H, W) of it."""
    clear = np.ptp(np.sort(full, axis=1)[:, -2:], axis=1) > tolerance
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found.ids[clear], full.argmax(axis=1)[clear])
    np.testing.assert_allclose(found.confidence / 255, shares.max(axis=1), atol=tolerance)
    assert found.ids.dtype == found.confidence.dtype == np.uint8
    assert len(np.unique(found.ids)) > 5


@pytest.mark.parametrize('shape', [(1, 3, 64, 96), ('n', 3, 64, 96), ('n', 3, 'h', 'w')])
def test_logits(tmp_path, shape):
    size = {} if shape[2] == 64 else {'height': 64, 'width': 96}
    path = save_graph(tmp_path / 'g.onnx', shape=shape)
    images = pictures()
    found = OnnxLabelTeacher(str(path), **size).load('cpu')(images, NAMES)
    full = enlarged(scores_by_numpy(images), 64, 96)
    assert_agree(found, full, softmax(full, axis=1))
    assert LabelTeacher.kinds['onnx'] is OnnxLabelTeacher


def test_probabilities_are_taken_as_they_are(tmp_path):
    path = save_graph(tmp_path / 'g.onnx', 'softmax')
    found = OnnxLabelTeacher(str(path)).load('cpu')(pictures(), NAMES)
    full = enlarged(softmax(scores_by_numpy(pictures()), axis=1), 64, 96)
    assert_agree(found, full, full)


@pytest.mark.parametrize('tail', ['argmax', 'argmax with channel'])
def test_ids_are_sure_and_taken_from_the_nearest(tmp_path, tail):
    path = save_graph(tmp_path / 'g.onnx', tail)
    found = OnnxLabelTeacher(str(path)).load('cpu')(pictures(), NAMES)
    ids = scores_by_numpy(pictures()).argmax(axis=1).repeat(2, axis=1).repeat(2, axis=2)
    assert np.mean(found.ids == ids) > 0.999
    assert (found.confidence == 255).all()


def test_half_precision_and_a_normalisation_of_its_own(tmp_path):
    path = save_graph(tmp_path / 'g.onnx', half=True)
    mean, std = (0.5, 0.4, 0.3), (0.9, 1.1, 0.8)
    teacher = OnnxLabelTeacher(str(path), mean=mean, std=std)
    full = enlarged(scores_by_numpy(pictures(), mean, std), 64, 96)
    found = teacher.load('cpu')(pictures(), NAMES)
    assert_agree(found, full, softmax(full, axis=1), tolerance=0.02)


def test_pictures_of_another_size(tmp_path):
    path = save_graph(tmp_path / 'g.onnx')
    small = pictures()
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    found = OnnxLabelTeacher(str(path)).load('cpu')(large, NAMES)
    full = enlarged(scores_by_numpy(small), 128, 192)
    assert_agree(found, full, softmax(full, axis=1))


def test_classes_go_by_their_names(tmp_path):
    path = save_graph(tmp_path / 'g.onnx')
    images = pictures(1)
    ids = OnnxLabelTeacher(str(path)).load('cpu')(images, NAMES[:1]).ids
    names = (*reversed(CITYSCAPES.names[1:]), 'unlabelled')
    found = OnnxLabelTeacher(str(path), classes=names).load('cpu')(images, NAMES[:1]).ids
    np.testing.assert_array_equal(found, np.where(ids == 18, 255, 18 - ids.astype(int)))
    with pytest.raises(UserError, match=r'^classes of model \S+: 1 of its 19 .* first .moon.'):
        OnnxLabelTeacher(str(path), classes=('moon', *names[1:])).load('cpu')
    few = OnnxLabelTeacher(str(path), classes=names[:5]).load('cpu')
    with pytest.raises(UserError, match=r'output scores is 1 x 19 x 32 x 48 .* \(N, 5, h, w\)'):
        few(images, NAMES[:1])


def test_a_deploy_graph_says_all_of_itself(tiny_model):
    session = pytest.importorskip('onnxruntime').InferenceSession(str(tiny_model))
    images = pictures(2, 64, 96)
    labels, confidence = session.run(['labels', 'confidence'], {'image': images})
    loaded = OnnxLabelTeacher(str(tiny_model)).load('cpu')
    found = loaded(images, NAMES)
    np.testing.assert_array_equal(found.ids, labels)
    np.testing.assert_array_equal(found.confidence, confidence)
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    found = loaded(large, NAMES)
    np.testing.assert_array_equal(found.ids, labels.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(found.confidence, confidence.repeat(2, axis=1).repeat(2, axis=2))


def test_metadata_that_is_not_true_of_the_graph(tiny_model, tmp_path):
    path = save_graph(tmp_path / 'g.onnx')
    model = onnx.load(path)
    model.metadata_props.extend(onnx.load(tiny_model, load_external_data=False).metadata_props)
    onnx.save(model, path)
    with pytest.raises(UserError, match=r'contradicts its .dsn. metadata'):
        OnnxLabelTeacher(str(path)).load('cpu')
    model.metadata_props[0].value = '{}'
    onnx.save(model, path)
    with pytest.raises(UserError, match=r'has bad .dsn. metadata'):
        OnnxLabelTeacher(str(path)).load('cpu')


def test_default_is_what_was_set(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_teacher, '_default_model', [])
    with pytest.raises(UserError, match=r'^model default is not known here: give the path'):
        OnnxLabelTeacher().load('cpu')
    path = save_graph(tmp_path / 'g.onnx')
    set_default_model(lambda: path)
    assert OnnxLabelTeacher().fingerprint() == OnnxLabelTeacher(str(path)).fingerprint()
    assert OnnxLabelTeacher().load('cpu')(pictures(1), NAMES[:1]).ids.shape == (1, 64, 96)


@pytest.mark.parametrize(
    ('options', 'fields', 'says'),
    [
        ({'shape': (1, 3, 'h', 96)}, {}, 'takes any height: set the field height'),
        ({}, {'width': 128}, 'has a width of 96: set width to that or to 0'),
        ({'shape': (4, 3, 64, 96)}, {}, 'takes batches of 4 only'),
        ({'shape': (1, 4, 64, 96)}, {}, r'must have one input, float \(N, 3, H, W\)'),
        ({'shape': (3, 64, 96)}, {}, r'must have one input, float \(N, 3, H, W\)'),
        ({}, {'output': 'logits'}, 'has no output logits: choose from scores'),
        (
            {'extra': [helper.make_tensor_value_info('y', TensorProto.FLOAT, (1,))]},
            {},
            'must have one input',
        ),
    ],
)
def test_graphs_that_do_not_fit_are_named(tmp_path, options, fields, says):
    if options.get('shape') in ((1, 4, 64, 96), (3, 64, 96)):
        # A convolution would not load: any graph of that input does.
        value = helper.make_tensor_value_info('x', TensorProto.FLOAT, options['shape'])
        out = helper.make_tensor_value_info('scores', TensorProto.FLOAT, None)
        graph = helper.make_graph(
            [helper.make_node('Relu', ['x'], ['scores'])], 'g', [value], [out]
        )
        opset = helper.make_opsetid('', 18)
        onnx.save(
            helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / 'g.onnx'
        )
    else:
        save_graph(tmp_path / 'g.onnx', **options)
    with pytest.raises(UserError, match=rf'^model \S+g\.onnx {says}'):
        OnnxLabelTeacher(str(tmp_path / 'g.onnx'), **fields).load('cpu')


def test_files_that_are_no_graphs_are_named(tmp_path):
    with pytest.raises(UserError, match=r'^model \S+nowhere\.onnx: no such file'):
        OnnxLabelTeacher(str(tmp_path / 'nowhere.onnx')).load('cpu')
    path = tmp_path / 'g.onnx'
    for data in (b'', b'nothing of the kind'):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r'^model \S+ is no ONNX file'):
            OnnxLabelTeacher(str(path)).load('cpu')
    save_graph(path)
    model = onnx.load(path)
    model.graph.node[0].op_type = 'NoSuchOperator'
    onnx.save(model, path)
    with pytest.raises(UserError, match=r'^model \S+: ONNX Runtime does not take it: [^\n]*$'):
        OnnxLabelTeacher(str(path)).load('cpu')


def keep_weights_in(path, location, nested=False):
    """Move the weights of the graph ``path`` to ``location``, relative to its folder."""
    model = onnx.load(path)
    (tensor,) = model.graph.initializer
    (path.parent / location).write_bytes(tensor.raw_data)
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)
    if nested:
        # The same tensor, but in a branch of an If.
        const = helper.make_node('Constant', [], ['w'], value=tensor)
        shown = helper.make_tensor_value_info('w', TensorProto.FLOAT, WEIGHT.shape)
        branch = helper.make_graph([const], 'b', [], [shown])
        yes = helper.make_node('Constant', [], ['yes'], value=helper.make_tensor('', 9, [], [1]))
        choice = helper.make_node('If', ['yes'], ['w'], then_branch=branch, else_branch=branch)
        convolution = model.graph.node[0]
        del model.graph.initializer[:], model.graph.node[:]
        model.graph.node.extend([yes, choice, convolution])
    onnx.save(model, path)


def test_weights_beside_the_graph_are_read_and_fingerprinted(tmp_path):
    path = save_graph(tmp_path / 'g.onnx')
    expected = OnnxLabelTeacher(str(path)).load('cpu')(pictures(), NAMES)
    keep_weights_in(path, 'weights.bin')
    teacher = OnnxLabelTeacher(str(path))
    np.testing.assert_array_equal(teacher.load('cpu')(pictures(), NAMES).ids, expected.ids)
    before = teacher.fingerprint()
    data = bytearray((tmp_path / 'weights.bin').read_bytes())
    data[0] ^= 1
    (tmp_path / 'weights.bin').write_bytes(data)
    assert teacher.fingerprint() != before


@pytest.mark.parametrize('nested', [False, True])
@pytest.mark.parametrize('way', ['dots', 'absolute', 'link', 'missing'])
def test_weights_outside_the_graphs_folder_are_refused(tmp_path, way, nested):
    folder = tmp_path / 'model'
    folder.mkdir()
    path = save_graph(folder / 'g.onnx')
    secret = tmp_path / 'secret.bin'
    location = {'dots': '../secret.bin', 'absolute': str(secret)}.get(way, 'weights.bin')
    keep_weights_in(path, location, nested)
    if way == 'link':
        (folder / 'weights.bin').rename(secret)
        (folder / 'weights.bin').symlink_to(secret)
    elif way == 'missing':
        (folder / 'weights.bin').unlink()
    for act in (OnnxLabelTeacher.fingerprint, lambda teacher: teacher.load('cpu')):
        with pytest.raises(UserError, match=rf'keeps weights in {location}, which is no file in'):
            act(OnnxLabelTeacher(str(path)))


def test_fingerprint_follows_content_and_fields(tmp_path):
    path = save_graph(tmp_path / 'g.onnx')
    copy = tmp_path / 'copy'
    copy.mkdir()
    shutil.copy(path, copy)
    first = OnnxLabelTeacher(str(path)).fingerprint()
    assert OnnxLabelTeacher(str(copy / 'g.onnx')).fingerprint() == first
    others = [
        OnnxLabelTeacher(str(path), classes=tuple(reversed(CITYSCAPES.names))),
        OnnxLabelTeacher(str(path), mean=(0.0, 0.0, 0.0)),
        OnnxLabelTeacher(str(path), height=64),
        OnnxLabelTeacher(str(save_graph(tmp_path / 'g.onnx', weight=2 * WEIGHT))),
    ]
    assert len({first, *(t.fingerprint() for t in others)}) == 5


def test_fields_are_checked():
    wrong = {'model': '', 'classes': (), 'mean': (0.5,), 'std': (1.0, 0.0, 1.0), 'height': -1}
    for field, value in wrong.items():
        with pytest.raises(ConfigError, match=rf'^{field} must be'):
            OnnxLabelTeacher(**{field: value})
