"""Checkpoint → deploy graph: one ONNX file that every engine takes, checked before it is kept."""

import contextlib
import io
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from dsn_core.checkpoint import CheckpointInfo, load_checkpoint
from dsn_core.digest import sha256
from dsn_core.errors import UserError
from dsn_core.files import replacing
from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.metadata import METADATA_KEY, MIN_SIDE, ModelMetadata, Precision, Size
from dsn_core.models import DepthSegNet
from dsn_core.models.deploy import DeployNet

__all__ = ['export', 'export_network']

OPSET = 18
_FEW_CONFIDENT = 0.1
_STRIDE = 32  # the encoder's: sides are multiples of it
# Width / height of cameras: upright, square, 5:4, 4:3, 3:2, 16:10, 16:9, 2:1, and wide ones.
_SHAPES = (3 / 4, 1.0, 5 / 4, 4 / 3, 3 / 2, 8 / 5, 16 / 9, 2.0, 12 / 5, 10 / 3)
_LEAST, _MOST = 0.8, 1.1  # times the pixels of the size that was trained for
_OF_AREA = 0.25  # a picture bent by so much is as bad as an area that is wrong by one
_LONGEST = 2  # times the longer side
_HALF_STORED = 1024  # parameters with at least this many elements are worth storing as half
_QUIET = ('torch.onnx', 'onnxscript', 'onnx_ir')

_logger = logging.getLogger(__name__)


def export(
    checkpoint: Path,
    out: Path,
    precision: Precision = 'fp32',
    height: int | None = None,
    width: int | None = None,
    half_weights: bool = False,
) -> ModelMetadata:
    """Export a checkpoint of ``dsn train`` as the deploy graph ``out``.

    ``height`` and ``width`` (multiples of 32) default to the size the network was trained for.
    The graph can be run at other sizes as well, of about as many pixels, for cameras of another
    shape (``ModelMetadata.other_sizes``).
    ``precision`` 'fp16' makes a graph that computes in half, for GPUs; ``half_weights`` stores the
    weights as half in a graph that computes in fp32 (half the file, the same speed).
    Raises CheckpointError for a bad checkpoint and UserError for sizes that do not fit.
    """
    network, info = load_checkpoint(checkpoint)
    return export_network(
        network, info, out, precision, height, width, half_weights, sha256(checkpoint)
    )


def export_network(
    network: DepthSegNet,
    info: CheckpointInfo,
    out: Path,
    precision: Precision = 'fp32',
    height: int | None = None,
    width: int | None = None,
    half_weights: bool = False,
    checkpoint_sha256: str = '',
) -> ModelMetadata:
    """Export a network in memory; see ``export``."""
    if precision == 'int8':
        raise UserError('int8 is made of an fp32 graph and frames: dsn export --precision int8')
    height, width = height or info.height, width or info.width
    for name, value in (('height', height), ('width', width)):
        if value < MIN_SIDE or value % _STRIDE:
            raise UserError(f'{name} must be a multiple of 32 from {MIN_SIDE} on, got {value}')
    deploy = DeployNet(network)
    if half_weights or precision == 'fp16':
        for parameter in deploy.parameters():
            parameter.data = parameter.data.half().float()
    figures = _golden_figures(deploy, height, width)
    if figures.confident_share < _FEW_CONFIDENT:
        _logger.warning(
            '%s is sure of %.0f %% of the golden frame only: engines cannot be checked for labels',
            info.name,
            100 * figures.confident_share,
        )
    metadata = ModelMetadata(
        name=info.name,
        height=height,
        width=width,
        class_names=info.class_names,
        min_depth=info.min_depth,
        max_depth=info.max_depth,
        scale='metric' if info.scale == 'metric' else 'relative',
        # Not by width / info.width: what tells distance is how many pixels a thing has.
        focal_length=info.focal_length,
        precision=precision,
        training_data=info.training_data,
        checkpoint_sha256=checkpoint_sha256,
        golden=figures,
        variant=info.variant,
        other_sizes={
            size: _golden_figures(deploy, *size) for size in _sizes_of_other_shapes(height, width)
        },
    )
    if precision == 'fp16':
        deploy = deploy.half()
    model = _to_onnx(deploy, height, width)
    if half_weights and precision == 'fp32':
        _store_weights_as_half(model, {name for name, _ in deploy.named_parameters()})
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.checker.check_model(model)
    _write(model, out)
    return metadata


def _sizes_of_other_shapes(height: int, width: int) -> list[Size]:
    """Sizes of cameras' usual shapes with about as many pixels as ``height`` x ``width``."""
    pixels = height * width
    sides = range(MIN_SIDE, _LONGEST * max(height, width), _STRIDE)
    fitting = [(h, w) for h in sides for w in sides if _LEAST <= h * w / pixels <= _MOST]

    def badness(size: Size, shape: float) -> float:
        bent = abs(math.log(size[1] / size[0] / shape))
        return bent + _OF_AREA * abs(math.log(size[0] * size[1] / pixels))

    sizes = (min(fitting, key=lambda size: badness(size, shape)) for shape in _SHAPES)
    return [size for size in dict.fromkeys(sizes) if size != (height, width)]


@torch.no_grad()
def _golden_figures(deploy: DeployNet, height: int, width: int) -> GoldenFigures:
    depth, labels, confidence = deploy(torch.from_numpy(golden_frame(height, width))[None])
    return GoldenFigures.of(depth[0].numpy(), labels[0].numpy(), confidence[0].numpy())


def _to_onnx(deploy: DeployNet, height: int, width: int) -> Any:
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    # The exporter prints its progress and warns of things that do not concern this graph.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            deploy,
            (example,),
            dynamo=True,
            input_names=['image'],
            output_names=['depth', 'labels', 'confidence'],
            dynamic_shapes={
                'image': {
                    0: torch.export.Dim('batch'),
                    1: _STRIDE * torch.export.Dim('rows'),
                    2: _STRIDE * torch.export.Dim('columns'),
                }
            },
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Names of source files and stack traces of the exporting machine have no place in a product.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ''
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.value_info[:]  # shapes in between, of the example's size
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return model


def _store_weights_as_half(model: Any, parameters: set[str]) -> None:
    """Store large parameters as half, followed by a cast that engines fold away at load."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in parameters or np.prod(tensor.dims) < _HALF_STORED:
            continue
        name, wide = tensor.name, f'{tensor.name}.float'
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, name))
        casts.append(helper.make_node('Cast', [name], [wide], to=TensorProto.FLOAT))
        for node in model.graph.node:
            for i, used in enumerate(node.input):
                if used == name:
                    node.input[i] = wide
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _write(model: Any, out: Path) -> None:
    with replacing(out) as beside:
        beside.write_bytes(model.SerializeToString())
    _logger.info('%s: %.1f MB', out, out.stat().st_size / 1e6)
