"""Options that several verbs of ``dsn`` have in common, and what is made of them."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dsn_core.errors import UserError

if TYPE_CHECKING:
    from dsn_ros.engines import Engine
    from dsn_ros.pipeline import PipelineOptions
    from dsn_ros.sanity import SanityOptions
    from dsn_ros.scale import ScaleOptions

__all__ = [
    'CameraHeightOption',
    'EngineOption',
    'FovOption',
    'GraphPrecision',
    'IgnoreOption',
    'MinConfidenceOption',
    'ModelOption',
    'OutOption',
    'OutputSize',
    'PrecisionOption',
    'RayOption',
    'ScaleOption',
    'engine_from',
    'pipeline_options',
    'sanity_options',
    'scale_options',
]

ModelOption = Annotated[
    Path | None,
    typer.Option('--model', help='Deploy graph (.onnx), or lite2, which ships; default: lite.'),
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
    str,
    typer.Option(
        '--scale',
        help='How depth becomes metres: none (as the model gives it), ground (by the road and the '
        "camera's height), odometry, or a number: metres for one unit of the network.",
    ),
]
CameraHeightOption = Annotated[
    float,
    typer.Option(
        '--camera-height', min=0, help='Metres from the road up to the camera; 0: from tf.'
    ),
]
FovOption = Annotated[
    float,
    typer.Option(
        '--fov', min=0, max=179, help='Horizontal field of view, degrees, if not calibrated.'
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option(
        '--ignore',
        help='Give out frames that a check speaks against: black, white, covered, frozen, depth, '
        'labels, scale or all; again for more.',
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        '--ray',
        metavar='ADDRESS',
        help='Share the work out over a Ray cluster: local (starts one here), auto (this '
        "machine's, or RAY_ADDRESS) or HOST:PORT.",
    ),
]


class OutputSize(str, Enum):
    """Size of the outputs: that which the model is shown, or the camera's."""

    model = 'model'
    camera = 'camera'


class GraphPrecision(str, Enum):
    """What a deploy graph computes in."""

    fp32 = 'fp32'
    fp16 = 'fp16'
    int8 = 'int8'


def pipeline_options(
    scale: str,
    min_confidence: float,
    fov: float,
    size: Literal['model', 'camera'] = 'model',
    camera_height: float = 0.0,
    ignore: Sequence[str] = (),
) -> 'PipelineOptions':
    """The pipeline's options as the command's say them."""
    from dsn_ros.pipeline import PipelineOptions

    how, sanity = scale_options(scale, camera_height), sanity_options(ignore)
    return PipelineOptions(size, min_confidence, fov, scale=how, sanity=sanity)


def sanity_options(ignore: Sequence[str]) -> 'SanityOptions':
    """What makes a frame give out nothing; raises UserError for a check that there is not."""
    from dsn_ros.sanity import CHECKS, SanityOptions

    for each in ignore:
        if each not in (*CHECKS, 'all'):
            raise UserError(f'--ignore {each}: choose from {", ".join(CHECKS)}, all')
    return SanityOptions(tuple(c for c in CHECKS if c not in ignore and 'all' not in ignore))


def scale_options(scale: str, camera_height: float = 0.0) -> 'ScaleOptions':
    """How to find the scale, as ``--scale`` says it: a mode or a number.

    Raises UserError for anything else.
    """
    from dsn_ros.scale import ScaleOptions

    if camera_height and scale != 'ground':
        raise UserError('--camera-height is for --scale ground')
    if scale in ('none', 'ground', 'odometry'):
        return ScaleOptions(scale, camera_height=camera_height)  # type: ignore[arg-type]
    try:
        return ScaleOptions('fixed', float(scale))
    except ValueError:
        raise UserError(
            f'--scale {scale}: give none, ground, odometry, or a number above zero'
        ) from None


def engine_from(model: Path | None, engine: str, precision: str) -> 'Engine':
    """The engine that the command's options ask for, loaded."""
    from dsn_ros.engines import load_engine

    return load_engine(model, engine, precision)
