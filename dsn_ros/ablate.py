"""``dsn ablate``: variants of one training in one run; Table 5 with ours beside the paper's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dsn_ros.evaluate  # engines for deploy graphs
import dsn_ros.train  # noqa: F401  bags as sources, and where the weights are
from dsn_core.evaluation.config import EvaluationConfig
from dsn_core.evaluation.model_row import ModelRow
from dsn_core.evaluation.run import RowScore, evaluate
from dsn_core.evaluation.table_5 import ScoredVariant, part_effects, spreads, table_5
from dsn_core.evaluation.tables import Table
from dsn_core.training import world
from dsn_core.training.ablation import Trained, train_variants
from dsn_core.training.ablation_config import Ablation, Variant, load_ablation
from dsn_core.training.plain import plain
from dsn_core.training.plan import Plan
from dsn_ros.console import progress_bar
from dsn_ros.errors import UserError
from dsn_ros.evaluation_page import page
from dsn_ros.evaluation_text import to_markdown
from dsn_ros.results_folder import staged, write_json

__all__ = ['AblationResult', 'ablate', 'describe', 'load_ablation']


@dataclass(frozen=True)
class AblationResult:
    """What an ablation came to."""

    tables: list[Table]
    """Empty on a process that is not the first."""
    failures: list[str]
    """A line for each training that failed."""


def describe(ablation: Ablation) -> str:
    """What each variant has, leaves out and changes, and which stages it needs."""
    config, base = ablation.config, _flat(plain(ablation.base))
    seeds = ', '.join(map(str, config.seeds))
    lines = [f'out: {config.out}', f'seeds: {seeds}', f'domains: {config.domains}', 'variants:']
    for variant in ablation.variants:
        marks = '' if variant.marks is None else f' [{" ".join(variant.marks)}]'
        stages = [s for s in Plan(variant.config).stages if s != 'export' or config.export]
        lines.append(f'  {variant.name}{marks}: {", ".join(stages)}')
        for key, value in _flat(plain(variant.config)).items():
            if value != base.get(key) and key != 'out':
                lines.append(f'    {key}: {base.get(key)} → {value}')
    return '\n'.join(lines) + '\n'


def _flat(fields: dict[str, Any], place: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f'{place}{name}.')
        else:
            flat[f'{place}{name}'] = value
    return flat


def ablate(ablation: Ablation, only: Sequence[str] = ()) -> AblationResult:
    """Train the variants (those named in ``only``, or all), score them and fill ``out``.

    ``table_5.md``, ``ablation.json`` (every figure) and ``evaluation.html`` (with pictures) appear
    together; they hold the variants that were asked for. Raises UserError naming what cannot be
    used, before training where that can be known.
    """
    world.join()
    work = ablation.config.out / 'work'
    if not world.rank():
        _check(ablation.evaluation, work)
    trained = train_variants(ablation, only)
    failures = [f'{t.variant.name}, seed {t.seed}: {t.failure}' for t in trained if t.failure]
    if world.rank():
        return AblationResult([], failures)
    rows = tuple(
        ModelRow(path=str(t.checkpoint), name=_name(t), train='M') for t in trained if t.checkpoint
    )
    evaluation = replace(ablation.evaluation, rows=(*rows, *ablation.evaluation.rows))
    try:
        with progress_bar('scores') as progress:
            scores = evaluate(evaluation, work, progress)
    except OSError as error:
        raise UserError(f'{error.filename or work}: {error.strerror or error}') from error
    return AblationResult(_write(ablation, trained, scores), failures)


def _check(evaluation: EvaluationConfig, work: Path) -> None:
    """Find out now what scoring would find out after hours of training."""
    for row in evaluation.rows:
        row.fingerprint()
    for each in (*evaluation.sets, *evaluation.training):
        each.count(work / 'drives')


def _name(trained: Trained) -> str:
    return f'{trained.variant.name}, seed {trained.seed}'


def _write(
    ablation: Ablation, trained: Sequence[Trained], scores: Sequence[RowScore]
) -> list[Table]:
    asked = list(dict.fromkeys(t.variant.name for t in trained))
    variants = [v for v in ablation.variants if v.name in asked]
    of_variant = {
        v.name: tuple(
            score
            for t in trained
            for score in scores
            if t.variant.name == v.name and score.name == _name(t)
        )
        for v in variants
    }
    ours = {_name(t) for t in trained}
    others = [score for score in scores if score.name not in ours]
    scored = [ScoredVariant(v.name, v.marks, of_variant[v.name]) for v in variants]
    found = table_5(scored, others, ablation.evaluation.table_2)
    data = {
        'domains': ablation.config.domains,
        'seeds': list(ablation.config.seeds),
        'protocol': asdict(ablation.evaluation.table_2),
        'variants': [_variant_figures(v, of_variant[v.name], trained) for v in variants],
        'parts': [
            {**e._asdict(), 'full': e.full._asdict(), 'without': e.without._asdict()}
            for e in part_effects(scored)
        ],
        'others': [score.figures() for score in others],
    }
    with staged(ablation.config.out) as folder:
        (folder / 'table_5.md').write_text(to_markdown(found), encoding='utf-8')
        write_json(folder / 'ablation.json', data)
        html = page(found, scores, f'Ablation: {ablation.base.name}')
        (folder / 'evaluation.html').write_text(html, encoding='utf-8', errors='replace')
    return found


def _variant_figures(
    variant: Variant, scores: Sequence[RowScore], trained: Sequence[Trained]
) -> dict[str, Any]:
    by_set = {
        name: spreads([s for s in scores if s.set_name == name])
        for name in dict.fromkeys(s.set_name for s in scores)
    }
    return {
        'name': variant.name,
        'marks': None if variant.marks is None else list(variant.marks),
        'weights': asdict(variant.config.weights),
        'light': variant.config.distil.light,
        'runs': [
            {
                'seed': t.seed,
                'failure': t.failure,
                'scores': [s.figures() for s in scores if s.name == _name(t)],
            }
            for t in trained
            if t.variant.name == variant.name
        ],
        'over_seeds': {
            name: {c: {k: s._asdict() for k, s in f.items()} for c, f in conditions.items()}
            for name, conditions in by_set.items()
        },
    }
