"""``dsn calibrate-confidence``: a deploy graph that knows how far to believe itself, by light."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dsn_core.evaluation.config import load_evaluation
from dsn_core.evaluation.model_row import ModelRow
from dsn_core.evaluation.prediction import Predictor
from dsn_core.evaluation.recalibration import Reliability
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.files import replacing
from dsn_core.labels import CITYSCAPES
from dsn_core.metadata import METADATA_KEY
from dsn_ros import evaluate  # says how deploy graphs are run
from dsn_ros.engines import read_model
from dsn_ros.engines.base import import_library
from dsn_ros.errors import UserError
from dsn_ros.lighting import Lighting

__all__ = ['ConfidenceFit', 'calibrate_confidence', 'measure']

assert evaluate.evaluate, 'imported for what it registers'


class ConfidenceFit(NamedTuple):
    """How far confidence can be believed in one light."""

    pictures: int
    table: tuple[float, ...]
    """What goes into the graph; see ``ModelMetadata.confidence``."""
    before: float
    """Expected calibration error of confidence as the network gives it."""
    after: float
    """The same after a table made of every other sequence, on the sequences between; NaN if there
    are not two."""


def calibrate_confidence(
    model: Path,
    config: Path,
    out: Path,
    overrides: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, ConfidenceFit]:
    """Measure the graph ``model`` on the sets of ``config`` and write it anew as ``out``.

    ``config`` is one of ``dsn evaluate`` (its rows are not asked); pictures that are drawn stay in
    OUT.work. Returns the fit by condition. Raises UserError naming what cannot be used.
    """
    sets = load_evaluation(config, overrides).sets
    predictor = ModelRow(path=str(model), precision='fp32').load()
    work = out.with_name(out.name + '.work')
    total, done = sum(each.count(work) for each in sets), 0

    def ticking() -> Iterable[EvaluationSample]:
        nonlocal done
        for each in sets:
            for sample in each.samples(work):
                yield sample
                done += 1
                if progress is not None:
                    progress(done, total)

    fits = measure(predictor, ticking())
    if not fits:
        raise UserError(f'{config}: no picture of its sets has true labels')
    _write(model, out, fits)
    return fits


def measure(
    predictor: Predictor, samples: Iterable[EvaluationSample]
) -> dict[str, ConfidenceFit]:
    """The fit by condition, which is what the robot would take each picture for.

    Samples without a true label, and rows without confidence, tell nothing.
    """
    light = Lighting(hold=0)
    pictures: dict[str, int] = {}
    sequences: dict[str, dict[str, Reliability]] = {}
    for sample in samples:
        known = sample.labels < len(CITYSCAPES)
        if not known.any():
            continue
        answer = predictor(sample).resized(*sample.image.shape[:2])
        if answer.labels is None or answer.confidence is None:
            continue
        condition = light.update(sample.image, 0).condition
        pictures[condition] = pictures.get(condition, 0) + 1
        of_light = sequences.setdefault(condition, {})
        counts = of_light.setdefault(sample.sequence, Reliability())
        counts.add(answer.confidence[known], answer.labels[known] == sample.labels[known])
    return {
        name: _fit(pictures[name], list(of_light.values())) for name, of_light in sequences.items()
    }


def _fit(pictures: int, sequences: Sequence[Reliability]) -> ConfidenceFit:
    halves = [_together(sequences[0::2]), _together(sequences[1::2])]
    everything = _together(halves)
    after = math.nan
    if len(sequences) > 1:
        n = [int(half.pixels.sum()) for half in halves]
        errors = [halves[0].error(halves[1].table()), halves[1].error(halves[0].table())]
        after = (n[0] * errors[0] + n[1] * errors[1]) / sum(n)
    return ConfidenceFit(pictures, everything.table(), everything.error(), after)


def _together(several: Iterable[Reliability]) -> Reliability:
    total = Reliability()
    for each in several:
        total.merge(each)
    return total


def _write(model: Path, out: Path, fits: dict[str, ConfidenceFit]) -> None:
    onnx = import_library('onnx', 'pip install onnx')
    file = read_model(model)
    tables = {name: fit.table for name, fit in fits.items()}
    text = dataclasses.replace(file.metadata, confidence=tables).to_json()
    graph = onnx.load_from_string(file.data)
    for prop in graph.metadata_props:
        if prop.key == METADATA_KEY:
            prop.value = text
    with replacing(out) as beside:
        beside.write_bytes(graph.SerializeToString())
