"""Checkpoint → deploy graph: the contract of the graph, and what is refused."""

import json

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')

from dsn_core.checkpoint import CheckpointError, CheckpointInfo, load_checkpoint
from dsn_core.digest import sha256
from dsn_core.errors import UserError
from dsn_core.export import export, export_network
from dsn_core.golden import golden_frame
from dsn_core.metadata import ModelMetadata, nearest_shape
from dsn_core.models.deploy import DeployNet


def described(tensor):
    shape = [d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim]
    return tensor.name, tensor.type.tensor_type.elem_type, shape[1:], isinstance(shape[0], str)


SIDES = ['32*rows', '32*columns']


def metadata_of(path):
    (props,) = (p.value for p in onnx.load(path).metadata_props)
    return ModelMetadata.from_json(props)


def test_graph_is_as_contracted(tiny_model, tiny_checkpoint):
    graph = onnx.load(tiny_model).graph
    uint8, float32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    assert [described(t) for t in graph.input] == [('image', uint8, [*SIDES, 3], True)]
    assert [described(t) for t in graph.output] == [
        ('depth', float32, SIDES, True),
        ('labels', uint8, SIDES, True),
        ('confidence', uint8, SIDES, True),
    ]
    metadata = metadata_of(tiny_model)
    assert metadata.checkpoint_sha256 == sha256(tiny_checkpoint)
    assert (metadata.height, metadata.width) == (64, 96)
    assert len(metadata.class_names) == 19
    assert metadata.golden.depth.shape == (4, 6)


def test_it_can_be_run_at_sizes_of_other_shapes_and_about_as_many_pixels(tiny_model):
    found = metadata_of(tiny_model)
    assert found.sizes[0] == (64, 96)
    assert len(set(found.sizes)) == len(found.sizes) > 1
    for height, width in found.sizes:
        assert 0.8 <= height * width / (64 * 96) <= 1.1
        assert found.at((height, width)).focal_length == found.focal_length


@pytest.mark.slow
def test_shapes_of_usual_cameras_are_hardly_bent(tmp_path):
    info = CheckpointInfo('shapes', 320, 576, 'nothing', light=False, variant='lite')
    found = export_network(info.build(), info, tmp_path / 'm.onnx')
    assert found.size == (320, 576)
    for width, height in ((640, 480), (1280, 720), (1280, 1024), (1920, 1200), (1226, 370)):
        rows, columns = nearest_shape(found.sizes, height, width)
        assert columns / rows == pytest.approx(width / height, rel=0.06), (width, height)


def test_graph_names_no_file_of_the_exporting_machine(tiny_model):
    model = onnx.load(tiny_model)
    assert [p.key for p in model.metadata_props] == ['dsn']
    del model.graph.initializer[:]
    structure = model.SerializeToString()
    assert b'.py' not in structure
    assert b'torch.nn' not in structure


@pytest.mark.slow
def test_half_stored_weights_halve_the_file_and_keep_the_answer(
    tiny_checkpoint, tiny_model, tmp_path
):
    out = tmp_path / 'half.onnx'
    export(tiny_checkpoint, out, half_weights=True)
    assert out.stat().st_size < 0.51 * tiny_model.stat().st_size
    whole, half = DeployNet.from_onnx(tiny_model), DeployNet.from_onnx(out)
    image = torch.from_numpy(golden_frame(64, 96))[None]
    with torch.no_grad():
        a, b = whole(image)[0], half(image)[0]
    assert float(((a - b).abs() / a).median()) < 1e-2


def test_network_comes_back_out_of_the_graph(tiny_checkpoint, tiny_model):
    network, _ = load_checkpoint(tiny_checkpoint)
    image = torch.from_numpy(golden_frame(64, 96))[None]
    with torch.no_grad():
        for a, b in zip(
            DeployNet(network)(image), DeployNet.from_onnx(tiny_model)(image), strict=True
        ):
            assert torch.equal(a, b)


@pytest.mark.slow
def test_another_size_leaves_the_focal_length_in_pixels(tiny_checkpoint, tmp_path):
    metadata = export(tiny_checkpoint, tmp_path / 'm.onnx', height=64, width=192)
    assert (metadata.height, metadata.width) == (64, 192)
    # The network tells distance by how many pixels a thing has, whatever is around it.
    assert metadata.focal_length == pytest.approx(80.0)


@pytest.mark.parametrize('name', ['height', 'width'])
def test_odd_sizes_are_refused(tiny_checkpoint, tmp_path, name):
    with pytest.raises(UserError, match=f'{name} must be a multiple of 32'):
        export(tiny_checkpoint, tmp_path / 'm.onnx', **{name: 50})
    assert not list(tmp_path.iterdir())


def broken(kind, good, path):
    if kind == 'missing':
        return path
    if kind == 'text':
        path.write_text('not a checkpoint')
    elif kind == 'truncated':
        path.write_bytes(good.read_bytes()[:1_000_000])
    elif kind == 'pickle':
        torch.save({'a': torch.zeros(3)}, path)
    else:
        from safetensors.torch import save_file

        header = {'dsn': json.dumps({'name': 'x'})} if kind == 'fields' else None
        save_file({'a': torch.zeros(3)}, path, metadata=header)
    return path


@pytest.mark.parametrize('kind', ['missing', 'text', 'truncated', 'pickle', 'foreign', 'fields'])
def test_what_is_no_checkpoint_is_refused_by_name(tiny_checkpoint, tmp_path, kind):
    path = broken(kind, tiny_checkpoint, tmp_path / 'bad.safetensors')
    with pytest.raises(CheckpointError, match=r'bad\.safetensors') as caught:
        load_checkpoint(path)
    assert '\n' not in str(caught.value)


def test_golden_figures_tell_a_wrong_answer(tiny_model):
    props = {p.key: p.value for p in onnx.load(tiny_model).metadata_props}
    golden = ModelMetadata.from_json(props['dsn']).golden
    with torch.no_grad():
        depth, labels, _ = DeployNet.from_onnx(tiny_model)(
            torch.from_numpy(golden_frame(64, 96))[None]
        )
    depth, labels = depth[0].numpy(), labels[0].numpy()
    assert golden.compare(depth, labels).failure('fp32') is None
    assert 'depth' in golden.compare(depth * 1.05, labels).failure('fp32')
    assert 'depth' in golden.compare(np.full_like(depth, np.nan), labels).failure('int8')
    assert 'labels' in golden.compare(depth, (labels + 1) % 19).failure('int8')
    assert golden.compare(depth[:32], labels[:32]).failure('int8') is not None
