"""``dsn evaluate``: the scores, with deploy graphs run by our engines; a page, Markdown, JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from dsn_core.evaluation.config import load_evaluation
from dsn_core.evaluation.model_row import Graph, set_graph_loader
from dsn_core.evaluation.run import evaluate as score_all
from dsn_core.evaluation.tables import Table, tables
from dsn_ros.engines import load_engine, shipped_model
from dsn_ros.errors import UserError
from dsn_ros.evaluation_page import page
from dsn_ros.evaluation_text import to_markdown
from dsn_ros.results_folder import staged, write_json

__all__ = ['evaluate']


def _load(path: Path, engine: str, precision: str) -> Graph:
    return load_engine(path, engine, precision)


set_graph_loader(_load, shipped_model)


def evaluate(
    path: Path,
    overrides: Sequence[str],
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[Table]:
    """Score what the configuration says and fill the folder ``out``; returns its tables.

    ``tables.md``, ``evaluation.json`` (every figure) and ``evaluation.html`` (with pictures)
    appear together; ``out/work`` keeps drawn drives and scores for the next time. Raises UserError
    naming what cannot be used.
    """
    config = load_evaluation(path, overrides)
    try:
        scores = score_all(config, out / 'work', progress)
    except OSError as error:
        raise UserError(f'{error.filename or out}: {error.strerror or error}') from error
    found = tables(scores, config)
    with staged(out) as folder:
        (folder / 'tables.md').write_text(to_markdown(found), encoding='utf-8')
        protocols = {'table_1': asdict(config.table_1), 'table_2': asdict(config.table_2)}
        rows = [score.figures() for score in scores]
        write_json(folder / 'evaluation.json', {'protocols': protocols, 'rows': rows})
        html = page(found, scores, path.name)
        (folder / 'evaluation.html').write_text(html, encoding='utf-8', errors='replace')
    return found
