"""Files that are given as a model and are none, or another: refused in one line, nothing run."""

import io
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.one_line import one_line

from dsn_core.checkpoint import CheckpointError, load_checkpoint
from dsn_core.golden import GoldenFigures
from dsn_ros.engines import EngineError, cache, load_engine, read_model
from dsn_ros.engines.tensorrt_engine import read_plan, write_plan

Edit = Callable[[Callable[[Any], None]], Path]
ENGINES = ('openvino', 'onnxruntime:cpu', 'torch:cpu')


def refusal(path: Path, *engines: str) -> str:
    """What is said in refusing ``path``; the same kind of error from every engine."""
    texts = []
    for engine in engines:
        if engine.startswith('torch'):
            pytest.importorskip('torch', reason='torch is not installed')
        with pytest.raises(EngineError) as caught:
            load_engine(path, engine)
        texts.append(one_line(caught.value))
    if not engines:
        with pytest.raises(EngineError) as caught:
            read_model(path)
        texts.append(one_line(caught.value))
    assert all(str(path) in text for text in texts)
    return texts[0]


def weights_of(model: Any) -> list[Any]:
    """The large float tensors of a graph, in its order."""
    return [t for t in model.graph.initializer if len(t.dims) == 4 and t.data_type == 1]


class Malicious:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return Path.touch, (self.victim,)


class TestPickles:
    @pytest.fixture
    def victim(self, tmp_path: Path) -> Path:
        return tmp_path / 'victim'

    @pytest.fixture(params=['pickle', 'torch', 'torch, legacy', 'numpy'])
    def evil(self, request: pytest.FixtureRequest, tmp_path: Path, victim: Path) -> Path:
        path = tmp_path / 'evil.onnx'
        if request.param == 'pickle':
            path.write_bytes(pickle.dumps(Malicious(victim)))
        elif request.param == 'numpy':
            buffer = io.BytesIO()
            np.save(buffer, np.array([Malicious(victim)], dtype=object), allow_pickle=True)
            path.write_bytes(buffer.getvalue())
        else:
            torch = pytest.importorskip('torch', reason='torch is not installed')
            zipped = request.param == 'torch'
            torch.save({'w': Malicious(victim)}, path, _use_new_zipfile_serialization=zipped)
        return path

    def test_as_a_model(self, evil: Path, victim: Path) -> None:
        assert 'is not an ONNX file' in refusal(evil)
        assert not victim.exists()

    @pytest.mark.parametrize('suffix', ['.pt', '.pth', '.safetensors', '.ckpt'])
    def test_as_a_checkpoint(self, evil: Path, victim: Path, suffix: str) -> None:
        path = evil.rename(evil.with_suffix(suffix))
        with pytest.raises(CheckpointError, match=r'cannot be read as safetensors') as caught:
            load_checkpoint(path)
        one_line(caught.value)
        assert not victim.exists()


class TestBombs:
    def test_an_archive_is_no_model(self, tmp_path: Path) -> None:
        path = tmp_path / 'bomb.onnx'
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('weights', bytes(50_000_000))
        assert path.stat().st_size < 100_000
        assert 'is not an ONNX file' in refusal(path)

    def test_an_archive_of_weights_that_unpacks_to_more_than_it_is(self, tmp_path: Path) -> None:
        torch = pytest.importorskip('torch', reason='torch is not installed')
        from dsn_core.models import DepthSegNet
        from dsn_core.pretrained import initialise

        honest, bomb = tmp_path / 'honest.pth', tmp_path / 'bomb.pth'
        torch.save({'conv1.weight': torch.zeros(4_000_000)}, honest)
        with (
            zipfile.ZipFile(honest) as read,
            zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as write,
        ):
            for each in read.infolist():
                write.writestr(each.filename, read.read(each))
        assert bomb.stat().st_size < 100_000
        network = DepthSegNet(3, 0.1, 100.0, light=False)
        with pytest.raises(CheckpointError, match=r'bomb.pth unpacks to 160\d+ bytes, more than'):
            initialise(network, None, str(bomb))
        with pytest.raises(CheckpointError, match=r'honest.pth does not hold the ResNet-18'):
            initialise(network, None, str(honest))

    def test_a_file_beyond_what_onnx_can_be_is_not_read(
        self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size = tiny_model.stat().st_size
        monkeypatch.setattr('dsn_ros.engines.model_file._LARGEST', size)
        assert 'larger than an ONNX file can be' in refusal(tiny_model)
        monkeypatch.setattr('dsn_ros.engines.model_file._LARGEST', size + 1)
        read_model(tiny_model)

    def test_pictures_of_a_size_that_nobody_has_memory_for(self, edited: Edit) -> None:
        """The golden frame is not drawn at it: its figures say how many there must be."""

        def change(model: Any) -> None:
            (prop,) = (p for p in model.metadata_props if p.key == 'dsn')
            prop.value = prop.value.replace('"height":64', '"height":64000000')

        assert 'points, not the (4000000, 6)' in refusal(edited(change))

    def test_a_graph_that_asks_for_terabytes(self, edited: Edit) -> None:
        """No limit of ours: the engine's own allocation fails, and that is one line, too."""

        def change(model: Any) -> None:
            huge = numpy_helper.from_array(np.array([2**42], np.int64), 'huge')
            model.graph.initializer.append(huge)
            last = next(n for n in model.graph.node if 'depth' in n.output)
            last.output[list(last.output).index('depth')] = 'depth.own'
            zeros = helper.make_node('ConstantOfShape', ['huge'], ['zeros'])
            total = helper.make_node('ReduceMax', ['zeros'], ['total'], keepdims=0)
            model.graph.node.extend(
                [zeros, total, helper.make_node('Add', ['depth.own', 'total'], ['depth'])]
            )

        refusal(edited(change), 'onnxruntime:cpu')


class TestOtherFiles:
    def hidden(self, place: str) -> Callable[[Any], None]:
        """A change that hides a tensor with data elsewhere in ``place`` of the graph."""
        tensor = TensorProto(name='away', data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key='location', value='../../../../etc/passwd')
        constant = helper.make_node('Constant', [], ['away'], value=tensor)
        inner = helper.make_graph(
            [constant], 'inner', [], [helper.make_tensor_value_info('away', 1, [1])]
        )

        def change(model: Any) -> None:
            if place == 'constant':
                model.graph.node.append(constant)
            elif place == 'branch':
                truth = numpy_helper.from_array(np.array(True), 'truth')
                model.graph.initializer.append(truth)
                model.graph.node.append(
                    helper.make_node(
                        'If', ['truth'], ['any'], then_branch=inner, else_branch=inner
                    )
                )
            elif place == 'sparse':
                model.graph.sparse_initializer.add().values.CopyFrom(tensor)
            elif place == 'initializer':
                model.graph.initializer.append(tensor)
            else:
                # A location without saying so: some readers go by one, some by the other.
                tensor.data_location = TensorProto.DEFAULT
                model.graph.initializer.append(tensor)

        return change

    @pytest.mark.parametrize('place', ['initializer', 'constant', 'branch', 'sparse', 'unsaid'])
    def test_weights_elsewhere_are_refused_wherever_they_hide(
        self, place: str, edited: Edit
    ) -> None:
        assert 'external data' in refusal(edited(self.hidden(place)))

    def test_operators_of_its_own_are_refused(self, edited: Edit) -> None:
        def change(model: Any) -> None:
            node = helper.make_node('Relu', ['x'], ['y'])
            opset = [helper.make_opsetid('', 18)]
            model.functions.append(helper.make_function('', 'Own', ['x'], ['y'], [node], opset))

        assert 'operators of its own' in refusal(edited(change))

    def test_weights_elsewhere_of_a_teacher(self, tiny_model: Path, tmp_path: Path) -> None:
        from dsn_core.errors import UserError
        from dsn_core.teachers.onnx_teacher import OnnxLabelTeacher

        outside = tmp_path / 'outside.bin'
        folder = tmp_path / 'model'
        folder.mkdir()
        model = onnx.load(tiny_model)
        onnx.save(model, folder / 'm.onnx', save_as_external_data=True, location='weights.bin')
        (folder / 'weights.bin').rename(outside)
        (folder / 'weights.bin').symlink_to(outside)  # out of the folder by a link
        with pytest.raises(UserError, match=r'weights.bin, which is no file in its folder'):
            OnnxLabelTeacher(model=str(folder / 'm.onnx')).load('cpu')


class TestAnotherNetwork:
    """The file keeps the contract and its golden figures, and answers something else."""

    @pytest.mark.parametrize('value', [np.nan, np.inf])
    def test_weights_that_are_no_numbers(self, value: float, edited: Edit) -> None:
        """OpenVINO took these for zeros and passed the golden frame: max(0, NaN) is 0."""

        def change(model: Any) -> None:
            for tensor in weights_of(model)[2:3]:
                values = numpy_helper.to_array(tensor).copy()
                values.flat[0] = value
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

        assert 'have values that are not finite' in refusal(edited(change))

    @pytest.mark.slow
    def test_labels_in_another_order(self, edited: Edit) -> None:
        def change(model: Any) -> None:
            name = next(
                t.name for t in weights_of(model) if 'seg' in t.name and 'heads.0' in t.name
            )
            for tensor in model.graph.initializer:
                if tensor.name in (name, name.replace('weight', 'bias')):
                    values = numpy_helper.to_array(tensor)[::-1].copy()
                    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

        assert 'of labels agree' in refusal(edited(change), *ENGINES)

    def test_names_that_are_there_twice(self, edited: Edit) -> None:
        def change(model: Any) -> None:
            (prop,) = (p for p in model.metadata_props if p.key == 'dsn')
            prop.value = prop.value.replace('"sidewalk"', '"road"', 1)

        assert "'road' is there twice" in refusal(edited(change))

    @pytest.mark.slow
    def test_weights_of_another_training(self, edited: Edit) -> None:
        def change(model: Any) -> None:
            random = np.random.default_rng(1)
            for tensor in weights_of(model)[-6:]:
                values = random.normal(0, 0.3, tuple(tensor.dims)).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

        assert 'gives other answers than the exported' in refusal(edited(change), *ENGINES)


@pytest.mark.slow
def test_flipped_bytes_end_in_one_line_or_in_the_same_answers(
    tiny_model: Path, tmp_path: Path, images: NDArray[np.uint8]
) -> None:
    """Wherever a byte is wrong: the file is refused, or it does not matter on the golden frame."""
    whole, path = tiny_model.read_bytes(), tmp_path / 'flipped.onnx'
    source = np.random.default_rng(2)
    refused = 0
    for number in range(6):
        data = bytearray(whole)
        # Half of the times in the graph before the weights, where each byte has a meaning.
        end = len(whole) if number % 2 else 20_000
        data[source.integers(end)] ^= 1 << int(source.integers(8))
        path.write_bytes(data)
        try:
            with load_engine(path, 'onnxruntime:cpu', threads=1) as engine:
                answer = engine.infer(images[:1])
                assert {a.shape for a in answer} == {(1, 64, 96)}
        except EngineError as error:
            refused += str(path) in one_line(error)
    assert refused


class TestCache:
    @pytest.mark.parametrize(
        'change', [{'gpu': 'Another GPU'}, {'compute_capability': '8.7'}, {'model': 'other'}]
    )
    def test_an_engine_of_another_machine_or_model_is_not_taken(
        self, change: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        facts = {'model': 'a', 'gpu': 'A GPU', 'compute_capability': '8.9', 'driver': 12040}
        write_plan(tmp_path / 'a.plan', facts, b'plan')
        assert read_plan(tmp_path / 'a.plan', facts) == b'plan'
        assert read_plan(tmp_path / 'a.plan', {**facts, **change}) is None
        assert 'another engine: building anew' in caplog.text

    def test_every_corrupted_byte_is_found(self, tmp_path: Path) -> None:
        facts = {'gpu': 'A GPU'}
        path = tmp_path / 'a.plan'
        write_plan(path, facts, bytes(range(256)))
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert read_plan(path, facts) is None, at

    def test_a_folder_that_everybody_can_write_to_is_not_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache._writable.cache_clear()
        monkeypatch.setenv('DSN_CACHE_DIR', str(tmp_path))
        (tmp_path / 'tensorrt').mkdir()
        (tmp_path / 'tensorrt').chmod(0o777)
        assert cache.cache_folder('tensorrt') is None
        assert 'everybody can write there' in caplog.text

    def test_a_read_only_file_system_is_one_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        place = tmp_path / 'disk'
        place.mkdir()
        mount = shutil.which('mount')
        command = [str(mount), '-t', 'tmpfs', '-o', 'ro,size=64k', 'tmpfs', str(place)]
        if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip('a read-only file system cannot be mounted here (needs root)')
        try:
            cache._writable.cache_clear()
            monkeypatch.setenv('DSN_CACHE_DIR', str(place))
            assert cache.cache_folder('tensorrt') is None
            assert cache.cache_folder('tensorrt') is None
        finally:
            subprocess.run(['umount', str(place)], check=True)
        (record,) = caplog.records
        assert 'Read-only file system' in record.getMessage()


def test_golden_figures_of_another_size_are_refused(with_metadata: Callable[..., Path]) -> None:
    def smaller(golden: GoldenFigures) -> GoldenFigures:
        return GoldenFigures(golden.depth[1:], golden.labels[1:], golden.confidence[1:])

    with pytest.raises(ValueError, match=r'a grid of \(3, 6\) points, not the \(4, 6\)'):
        with_metadata(golden=smaller)
