"""A file that is not a deploy graph is refused in one line that names it and the remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dsn_core.evaluation.rows import SHIPPED as NAMES_IN_TABLES
from dsn_core.golden import GoldenFigures
from dsn_core.metadata import METADATA_KEY
from dsn_ros.engines import SHIPPED, EngineError, read_model, shipped_model

Edit = Callable[[Callable[[Any], None]], Path]


def refusal(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        read_model(path)
    text = str(caught.value)
    assert '\n' not in text
    assert 'Traceback' not in text
    assert str(path) in text
    return text


def test_deploy_graph_is_read(tiny_model: Path):
    model = read_model(str(tiny_model))
    assert model.path == tiny_model
    assert len(model.sha256) == 64
    assert (model.metadata.height, model.metadata.width) == (64, 96)
    assert model.data == tiny_model.read_bytes()


def test_weights_that_ship_have_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, variant in {'default': 'lite', 'lite': 'lite', 'lite2': 'lite2'}.items():
        model = read_model(name)
        assert model.path == shipped_model(name)
        assert model.metadata.variant == variant
    assert set(SHIPPED) == set(NAMES_IN_TABLES) == {'default', 'lite', 'lite2'}
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'lite2').write_bytes(b'')
    assert 'lite2 is not a deploy graph' in refusal(
        Path('lite2')
    )  # a file of one's own comes first


def test_missing_file(tmp_path: Path):
    assert 'dsn export' in refusal(tmp_path / 'none.onnx')


def test_folder(tmp_path: Path):
    assert 'cannot be read' in refusal(tmp_path)


@pytest.mark.parametrize('content', [b'', b'hello', b'\x00' * 1000, b'{"a": 1}\n' * 50])
def test_not_onnx(content: bytes, tmp_path: Path):
    path = tmp_path / 'not.onnx'
    path.write_bytes(content)
    assert 'dsn export' in refusal(path)


@pytest.mark.parametrize('share', [0.001, 0.5, 0.999, 0.99999])
def test_truncated(share: float, tiny_model: Path, tmp_path: Path):
    data = tiny_model.read_bytes()
    path = tmp_path / 'short.onnx'
    path.write_bytes(data[: int(len(data) * share)])
    assert 'dsn export' in refusal(path)


def test_no_metadata(edited: Edit):
    def change(model: Any) -> None:
        del model.metadata_props[:]

    assert f'no {METADATA_KEY!r} metadata' in refusal(edited(change))


@pytest.mark.parametrize('text', ['', 'null', '[]', '{}', '{"golden": 3}', '\x00'])
def test_bad_metadata(text: str, edited: Edit):
    def change(model: Any) -> None:
        helper.set_model_props(model, {METADATA_KEY: text})

    assert 'metadata' in refusal(edited(change))


def test_metadata_of_another_size(with_metadata: Callable[..., Path]):
    def wider(golden: GoldenFigures) -> GoldenFigures:
        maps = (golden.depth, golden.labels, golden.confidence)
        return GoldenFigures(*(np.pad(each, ((0, 0), (0, 2)), 'edge') for each in maps))

    path = with_metadata(width=128, golden=wider, other_sizes={})
    assert 'image is ? x ? x 3, the metadata says 64 x 128' in refusal(path)


def test_fixed_batch(edited: Edit):
    def change(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    assert 'fixed batch of 1' in refusal(edited(change))


def test_other_input_type(edited: Edit):
    def change(model: Any) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT

    assert 'input must be image uint8' in refusal(edited(change))


def test_other_input_name(edited: Edit):
    def change(model: Any) -> None:
        model.graph.input[0].name = 'x'

    assert 'input must be image uint8' in refusal(edited(change))


def test_missing_output(edited: Edit):
    def change(model: Any) -> None:
        del model.graph.output[2]

    assert 'outputs must be' in refusal(edited(change))


def test_opset_too_old(edited: Edit):
    def change(model: Any) -> None:
        model.opset_import[0].version = 9

    assert 'opset 9' in refusal(edited(change))


def test_foreign_operators(edited: Edit):
    def change(model: Any) -> None:
        model.opset_import.append(helper.make_opsetid('com.example', 1))

    assert 'com.example' in refusal(edited(change))


def test_external_data(tiny_model: Path, tmp_path: Path):
    path = tmp_path / 'external.onnx'
    onnx.save(onnx.load(tiny_model), path, save_as_external_data=True, location='elsewhere.bin')
    assert 'external data' in refusal(path)
