"""Options that several verbs of ``dsn`` have in common, and what is made of them."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from dsn_ros.engines import Engine
    from dsn_ros.pipeline import PipelineOptions

__all__ = [
    'EngineOption',
    'FovOption',
    'GraphPrecision',
    'MinConfidenceOption',
    'ModelOption',
    'OutOption',
    'OutputSize',
    'PrecisionOption',
    'ScaleOption',
    'engine_from',
    'pipeline_options',
]

ModelOption = Annotated[
    Path | None, typer.Option('--model', help='Deploy graph (.onnx); default: the shipped one.')
]
EngineOption = Annotated[
    str,
    typer.Option(
        help='auto, openvino, onnxruntime, torch or tensorrt; :cpu or :cuda behind it names the '
        'device.'
    ),
]
PrecisionOption = Annotated[
    str, typer.Option(help='What the engine computes in: auto, fp32, bf16, fp16 or int8.')
]
OutOption = Annotated[Path, typer.Option('--out', '-o', help='Folder for the results.')]
MinConfidenceOption = Annotated[
    float,
    typer.Option(
        '--min-confidence', min=0, max=1, help='Below this probability a pixel is unknown.'
    ),
]
ScaleOption = Annotated[
    float | None,
    typer.Option('--scale', min=1e-6, help='Metres for one unit of the network (a fixed scale).'),
]
FovOption = Annotated[
    float,
    typer.Option(
        '--fov', min=0, max=179, help='Horizontal field of view, degrees, if not calibrated.'
    ),
]


class OutputSize(str, Enum):
    """Size of the outputs: the model's own, or the camera's."""

    model = 'model'
    camera = 'camera'


class GraphPrecision(str, Enum):
    """What a deploy graph computes in."""

    fp32 = 'fp32'
    fp16 = 'fp16'


def pipeline_options(
    scale: float | None,
    min_confidence: float,
    fov: float,
    size: Literal['model', 'camera'] = 'model',
) -> 'PipelineOptions':
    """The pipeline's options as the command's say them."""
    from dsn_ros.pipeline import PipelineOptions
    from dsn_ros.scale import ScaleOptions

    how = ScaleOptions() if scale is None else ScaleOptions('fixed', scale)
    return PipelineOptions(size, min_confidence, fov, how)


def engine_from(model: Path | None, engine: str, precision: str) -> 'Engine':
    """The engine that the command's options ask for, loaded."""
    from dsn_ros.engines import load_engine

    return load_engine(model, engine, precision)
