"""All rows on all sets; what is scored already is not scored again."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsn_core.digest import digest_of
from dsn_core.evaluation.baselines import ConstantRow, MedianMapRow, TrainingDepth
from dsn_core.evaluation.config import EvaluationConfig
from dsn_core.evaluation.rows import Row
from dsn_core.evaluation.samples import EvaluationSet
from dsn_core.evaluation.score import score
from dsn_core.files import replacing

__all__ = ['RowScore', 'evaluate']

# To be raised with every change of what is measured: scores that were kept are then made anew.
_MEASURES = 2

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowScore:
    """One row on one set."""

    name: str
    train: str
    baseline: bool
    metric: bool
    set_name: str
    tables: tuple[int, ...]
    """The paper's tables that it appears in."""
    conditions: dict[str, dict[str, Any]]
    """Figures by condition, as ``score`` gives them."""

    def figures(self) -> dict[str, Any]:
        """Everything but the pictures, for JSON."""
        conditions = {
            name: {key: value for key, value in figures.items() if key != 'pictures'}
            for name, figures in self.conditions.items()
        }
        return {**asdict(self), 'conditions': conditions}


def evaluate(
    config: EvaluationConfig,
    work: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[RowScore]:
    """Score every row on every set, set by set; the baselines come last.

    ``work`` keeps what was drawn and each score as it is made (``scores/DIGEST.json``, named for
    model, set and protocol by content): a second run does what is missing. Raises UserError naming
    what cannot be used, before anything is scored where that can be known.
    """
    drawn = work / 'drives'
    rows = [*config.rows, *_baselines(config, drawn)]
    of_rows = [row.fingerprint() for row in rows]
    counts = [each.count(drawn) for each in config.sets]
    total = len(rows) * sum(counts)
    done = 0
    scores = []
    for each, count in zip(config.sets, counts, strict=True):
        of_set = each.fingerprint(drawn)
        for row, of_row in zip(rows, of_rows, strict=True):
            protocol = [asdict(config.table_1), asdict(config.table_2)]
            kept = work / 'scores' / f'{digest_of([_MEASURES, of_row, of_set, protocol])}.json'
            start = done

            def tick() -> None:
                nonlocal done
                done += 1
                if progress is not None:
                    progress(done, total)

            figures = _read(kept)
            if figures is None:
                figures = _score(row, each, config, drawn, tick)
                _write(kept, figures)
            done = start + count
            if progress is not None:
                progress(done, total)
            scores.append(_row_score(row, each, figures))
    return scores


def _baselines(config: EvaluationConfig, work: Path) -> list[Row]:
    if not config.training:
        return []
    training = TrainingDepth(config.training, config.training_frames, work)
    return [ConstantRow(training), MedianMapRow(training)]


def _score(
    row: Row, each: EvaluationSet, config: EvaluationConfig, work: Path, tick: Callable[[], None]
) -> dict[str, Any]:
    _logger.info('%s on %s', row.name, each.name)
    predictor = row.load()
    conditions = score(predictor, each.samples(work), config, tick)
    return {'metric': predictor.metric, 'conditions': conditions}


def _row_score(row: Row, each: EvaluationSet, figures: dict[str, Any]) -> RowScore:
    return RowScore(
        row.name,
        row.train,
        row.baseline,
        figures['metric'],
        each.name,
        each.tables,
        figures['conditions'],
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return found


def _write(path: Path, figures: dict[str, Any]) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(figures, allow_nan=False), encoding='utf-8')
