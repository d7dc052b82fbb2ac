"""``dsn calibrate-confidence``: a deploy graph that knows how far to believe itself, by light."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dsn_core.evaluation.config import load_evaluation
from dsn_core.evaluation.model_row import ModelRow, set_graph_loader
from dsn_core.evaluation.prediction import Predictor
from dsn_core.evaluation.recalibration import Reliability
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.files import replacing
from dsn_core.labels import CITYSCAPES
from dsn_core.metadata import METADATA_KEY
from dsn_ros.engines import load_engine, read_model, shipped_model
from dsn_ros.engines.base import import_library
from dsn_ros.errors import UserError
from dsn_ros.lighting import Lighting

__all__ = ['ConfidenceFit', 'calibrate_confidence', 'measure']

_OTHERS = 0.5  # what a pixel of another light counts: dozens of streets alone are a noisy table

set_graph_loader(load_engine, shipped_model)

_ByLight = dict[str, Reliability]


class ConfidenceFit(NamedTuple):
    """How far confidence can be believed in one light."""

    pictures: int
    table: tuple[float, ...]
    """What goes into the graph; see ``ModelMetadata.confidence``."""
    before: float
    """Expected calibration error of confidence as the network gives it."""
    after: float
    """The same after a table made of half of the sequences, on the other half; NaN where that
    cannot be."""


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


def measure(predictor: Predictor, samples: Iterable[EvaluationSample]) -> dict[str, ConfidenceFit]:
    """The fit by condition, which is what the robot would take each picture for.

    Samples without a true label, and answers without confidence, tell nothing.
    """
    light = Lighting(hold=0)
    pictures: Counter[str] = Counter()
    halves: tuple[_ByLight, _ByLight] = ({}, {})
    sequences: dict[str, _ByLight] = {}
    for sample in samples:
        known = sample.labels < len(CITYSCAPES)
        answer = predictor(sample).resized(*sample.image.shape[:2])
        if answer.labels is None or answer.confidence is None or not known.any():
            continue
        condition = light.update(sample.image, 0).condition
        pictures[condition] += 1
        half = sequences.setdefault(sample.sequence, halves[len(sequences) % 2])
        counts = half.setdefault(condition, Reliability())
        counts.add(answer.confidence[known], answer.labels[known] == sample.labels[known])
    return {name: _fit(name, count, halves) for name, count in pictures.items()}


def _fit(condition: str, pictures: int, halves: tuple[_ByLight, _ByLight]) -> ConfidenceFit:
    total = sum(half[condition].pixels.sum() for half in halves if condition in half)
    before = Reliability()
    errors = []
    for half, other in (halves, halves[::-1]):
        if condition in half:
            before.merge(half[condition])
            table = _table(condition, [other]) if other else None
            share = half[condition].pixels.sum() / total
            errors.append(share * half[condition].error(table) if table else math.nan)
    return ConfidenceFit(pictures, _table(condition, halves), before.error(), float(sum(errors)))


def _table(condition: str, parts: Sequence[_ByLight]) -> tuple[float, ...]:
    counts = Reliability()
    for part in parts:
        for name, each in part.items():
            counts.merge(each, 1.0 if name == condition else _OTHERS)
    return counts.table()


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
