"""Every engine that this machine can use gives the network's answers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dsn_core.golden import golden_frame
from dsn_ros.engines import Engine, EngineError, list_engines, load_engine, read_model, self_test
from dsn_ros.engines.select import engine_class

# (median relative depth error, share of agreeing labels, confidence levels of 255) per precision.
TOLERANCES = {
    'fp32': (1e-3, 0.995, 2),
    'fp16': (1e-2, 0.98, 8),
    'bf16': (3e-2, 0.95, 24),
    'int8': (8e-2, 0.90, 64),
}
USABLE = [f'{s.name}:{s.device.split(":")[0].lower()}' for s in list_engines() if s.usable]


def combinations() -> list[tuple[str, str]]:
    native = {'openvino:cpu': ('fp32', 'bf16'), 'torch:cpu': ('fp32', 'bf16')}
    return [(engine, p) for engine in USABLE for p in native.get(engine, ('auto',))]


@pytest.fixture(scope='module', params=combinations(), ids='-'.join)
def engine(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[Engine]:
    name, precision = request.param
    place = 'CPU' if name.endswith('cpu') else 'cuda:0'
    offered = engine_class(name.split(':')[0]).precisions(read_model(tiny_model), place)
    if precision not in ('auto', *offered):
        pytest.skip(f'this processor has no {precision}')
    with load_engine(tiny_model, name, precision) as loaded:
        yield loaded


@pytest.fixture(scope='module')
def expected(tiny_model: Path, images: NDArray[np.uint8]) -> tuple[NDArray, NDArray, NDArray]:
    """The network's own answers: the deploy graph in the ONNX reference engine of this project."""
    with load_engine(tiny_model, 'onnxruntime:cpu') as reference:
        return reference.infer(images)


def test_answers_agree(engine: Engine, images, expected):
    answer = engine.infer(images)
    depth_limit, label_limit, confidence_limit = TOLERANCES[engine.precision]
    for i in range(len(images)):
        error = np.abs(answer.depth[i] - expected[0][i]) / expected[0][i]
        assert np.median(error) <= depth_limit
        assert np.mean(answer.labels[i] == expected[1][i]) >= label_limit
        off = np.abs(answer.confidence[i].astype(int) - expected[2][i])
        assert np.median(off) <= confidence_limit


def test_shapes_and_types(engine: Engine, images):
    answer = engine.infer(images[:2])
    assert [a.dtype for a in answer] == [np.float32, np.uint8, np.uint8]
    assert {a.shape for a in answer} == {(2, 64, 96)}
    assert np.isfinite(answer.depth).all()
    assert (answer.depth > 0).all()


def test_batch_gives_the_answers_of_its_pictures(engine: Engine, images):
    together = engine.infer(images)
    for i, image in enumerate(images):
        alone = engine.infer(image[None])
        # Other batch sizes may add up in another order.
        assert np.median(np.abs(alone.depth[0] / together.depth[i] - 1)) < 1e-2
        assert np.mean(alone.labels[0] == together.labels[i]) > 0.99


def test_results_do_not_share_memory(engine: Engine, images):
    first = engine.infer(images[:1])
    kept = [a.copy() for a in first]
    second = engine.infer(images[1:2])
    for before, after, later in zip(first, kept, second, strict=True):
        assert not np.shares_memory(before, later)
        assert np.array_equal(before, after)
        assert before.flags.writeable


def test_read_only_and_strided_pictures(engine: Engine, images):
    plain = engine.infer(images[2:])
    frozen = np.frombuffer(images[2:].tobytes(), dtype=np.uint8).reshape(1, 64, 96, 3)
    mirrored = images[:1, :, ::-1]
    assert not frozen.flags.writeable
    assert not mirrored.flags.c_contiguous
    for view in (frozen, mirrored):
        assert np.array_equal(engine.infer(view).labels, plain.labels)


def test_self_test_passes(engine: Engine):
    assert self_test(engine).failure(engine.precision) is None


@pytest.mark.slow
def test_pictures_of_another_shape_are_seen_as_by_a_graph_of_their_size(
    engine: Engine, tiny_model: Path, tiny_checkpoint: Path, tmp_path: Path
):
    if not engine.fits_quickly:
        pytest.skip(f'{engine.name} keeps to the size of its model')
    from dsn_core.export import export

    size = engine.size_for(96, 64)  # upright
    assert size in read_model(tiny_model).metadata.other_sizes
    export(tiny_checkpoint, tmp_path / 'alone.onnx', height=size[0], width=size[1])
    picture = golden_frame(*size)[None]
    with load_engine(tmp_path / 'alone.onnx', 'onnxruntime:cpu', threads=1) as alone:
        assert (alone.height, alone.width) == size
        expected = alone.infer(picture)
    answer = engine.infer(picture)
    depth_limit, label_limit, _ = TOLERANCES[engine.precision]
    assert np.median(np.abs(answer.depth - expected.depth) / expected.depth) <= depth_limit
    assert np.mean(answer.labels == expected.labels) >= label_limit


def test_a_size_that_cannot_be_made_is_not_tried_again(tiny_model: Path):
    made = []

    def make(size):
        made.append(size)
        raise EngineError('out of something')

    with load_engine(tiny_model, 'onnxruntime:cpu', threads=1) as engine:
        engine.fits_with(((96, 64),), make)
        assert engine.size_for(100, 60) == (96, 64)
        with pytest.raises(EngineError, match='out of something'):
            engine.infer(golden_frame(96, 64)[None])
        assert engine.size_for(100, 60) == (64, 96)
        assert engine.infer(golden_frame(64, 96)[None]).depth.shape == (1, 64, 96)
    assert made == [(96, 64)]


def test_what_it_says_of_itself(engine: Engine):
    assert (engine.height, engine.width) == (64, 96)
    assert engine.metadata.name == 'tiny'
    assert engine.device in ('CPU', 'cuda:0')
    assert engine.name in repr(engine)


def test_wrong_pictures_are_refused(engine: Engine, images):
    for bad, words in (
        (images.astype(np.float32), 'uint8 array, got float32'),
        (images.tolist(), 'uint8 array, got list'),
        (images[0], r'got \(64, 96, 3\)'),
        (images[:0], r'N >= 1, 64, 96, 3\), got \(0, 64, 96, 3\)'),
        (images[:, :32], r'got \(3, 32, 96, 3\)'),
        (images[..., :1], r'got \(3, 64, 96, 1\)'),
    ):
        with pytest.raises(ValueError, match=words):
            engine.infer(bad)


def test_closing_twice_and_using_after(tiny_model: Path, images):
    engine = load_engine(tiny_model)
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match='after close'):
        engine.infer(images)


def test_explicit_fp32_is_honoured(tiny_model: Path, images, expected):
    pytest.importorskip('openvino', reason='openvino is not installed')
    with load_engine(tiny_model, 'openvino', 'fp32') as engine:
        assert engine.precision == 'fp32'
        compiled = engine._request.get_compiled_model()
        assert compiled.get_property('INFERENCE_PRECISION_HINT').to_string() == 'f32'
        answer = engine.infer(images)
        assert np.abs(answer.depth / expected[0] - 1).max() < 1e-2
        assert np.median(np.abs(answer.depth / expected[0] - 1)) < 1e-4


def test_threads_are_honoured(tiny_model: Path):
    pytest.importorskip('openvino', reason='openvino is not installed')
    with load_engine(tiny_model, 'openvino', threads=1) as engine:
        compiled = engine._request.get_compiled_model()
        assert compiled.get_property('INFERENCE_NUM_THREADS') == 1


@pytest.mark.slow
def test_half_precision_graph_runs_everywhere(tiny_checkpoint: Path, tmp_path: Path, images):
    from dsn_core.export import export

    path = tmp_path / 'half.onnx'
    export(tiny_checkpoint, path, precision='fp16')
    for name in USABLE:
        with load_engine(path, name) as engine:
            assert engine.infer(images[:1]).depth.dtype == np.float32


def test_importing_the_package_loads_no_engine(python_environment: dict[str, str]):
    code = (
        'import sys, dsn_ros.engines\n'
        "heavy = {'torch', 'rclpy', 'openvino', 'onnxruntime', 'onnx', 'tensorrt', 'cv2'}\n"
        'print(sorted(heavy & set(sys.modules)))'
    )
    done = subprocess.check_output([sys.executable, '-c', code], env=python_environment, text=True)
    assert done.strip() == '[]'


@pytest.mark.parametrize('name', [n for n in USABLE if n.endswith(':cpu')])
def test_what_was_checked_is_what_runs_whatever_lies_there_a_moment_later(
    name: str, tiny_model: Path, tmp_path: Path
):
    path = tmp_path / 'model.onnx'
    path.write_bytes(tiny_model.read_bytes())
    model = read_model(path)
    path.write_bytes(b'another file')
    with engine_class(name.split(':')[0])(model, 'CPU', 'fp32') as engine:
        assert self_test(engine).failure('fp32') is None
