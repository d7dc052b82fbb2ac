"""``dsn export --precision int8``: of a checkpoint or a deploy graph, and frames to fit it to."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsn_core.files import replacing
from dsn_core.int8.answers import Loss, mean_loss
from dsn_core.int8.quantise import quantise
from dsn_core.metadata import ModelMetadata
from dsn_ros.engines import read_model
from dsn_ros.engines.base import import_library
from dsn_ros.errors import UserError
from dsn_ros.int8_frames import find_frames, read_frames

__all__ = ['DEMO', 'Int8Export', 'export_int8']

DEMO = Path(__file__).parents[1] / 'demo' / 'street'


@dataclass(frozen=True)
class Int8Export:
    """What was written, and how it compares.

    ``frames``: those it was fitted to, by light. ``kept``: parts of the network that stay in
    float. ``losses``: by light, against fp32 on some of the frames.
    """

    metadata: ModelMetadata
    frames: Counter[str]
    kept: tuple[str, ...]
    losses: dict[str, Loss]


def export_int8(
    source: Path,
    out: Path,
    calibrate: Sequence[Path],
    count: int,
    topic: str | None = None,
    size: tuple[int | None, int | None] = (None, None),
    progress: Callable[[int, int], None] | None = None,
) -> Int8Export:
    """Make the int8 deploy graph ``out`` of ``source``, a checkpoint or an fp32 deploy graph.

    It is fitted to ``count`` frames of ``calibrate``, of the demo bag if there is none; ``topic``
    is the camera's in bags. ``size``: height and width, of a checkpoint only. Raises UserError
    naming what cannot be used.
    """
    if not calibrate and not DEMO.exists():  # an installation without the repository
        raise UserError(
            'precision int8 needs frames to be fitted to, by day and by night: give --calibrate '
            'PATH (again for more), such as bags of the robot'
        )
    folders = find_frames(calibrate or [DEMO], topic)
    with tempfile.TemporaryDirectory() as folder:
        graph = source
        if source.suffix != '.onnx':
            graph = Path(folder) / 'fp32.onnx'
            _export_fp32(source, graph, size)
        elif size != (None, None):
            raise UserError(f'{source} has its size: --height and --width are for checkpoints')
        file = read_model(graph)
    about = file.metadata
    if about.precision != 'fp32':  # before frames are read, which takes a while
        raise UserError(f'{source} is an {about.precision} graph: int8 is made of fp32 ones')
    frames = read_frames(folders, count, about.height, about.width)
    onnx = import_library('onnx', 'pip install onnx')
    made = quantise(onnx.load_from_string(file.data), [frame.image for frame in frames], progress)
    with replacing(out) as beside:
        beside.write_bytes(made.model.SerializeToString())
    by_light: dict[str, list[Loss]] = {}
    for number, loss in made.losses.items():
        by_light.setdefault(frames[number].light, []).append(loss)
    return Int8Export(
        read_model(out).metadata,
        Counter(frame.light for frame in frames),
        made.kept,
        {light: mean_loss(losses) for light, losses in by_light.items()},
    )


def _export_fp32(checkpoint: Path, out: Path, size: tuple[int | None, int | None]) -> None:
    from dsn_core.export import export

    export(checkpoint, out, 'fp32', *size)
