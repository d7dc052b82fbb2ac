"""Tables as Markdown and in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.text import Text

from dsn_core.evaluation.tables import Table
from dsn_ros.console import OUTPUT

__all__ = ['print_tables', 'show_tables', 'to_markdown']

_WIDEST = 1000  # columns of a terminal
_STYLES = {'paper': 'dim', 'ours': 'bold', 'baseline': 'italic'}
_NOTES = {'paper': ' (paper)', 'ours': '', 'baseline': ''}


def to_markdown(tables: Sequence[Table]) -> str:
    """All tables; the paper's rows say that they are."""
    return '\n'.join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [f'## {_cell(table.title)}', '', _cell(table.note), '']
    for block in table.blocks:
        if block.heading:
            lines += [f'### {_cell(block.heading)}', '']
        lines += [
            _row(table.columns),
            _row(['---', *['---:'] * (len(table.columns) - 1)]),
            *(_row([line.name + _NOTES[line.origin], *line.cells]) for line in block.lines),
            '',
        ]
    return '\n'.join(lines)


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(_cell(each) for each in cells)} |'


def _cell(text: str) -> str:
    """A name may come from a file: it must neither end its cell nor become HTML."""
    flat = ' '.join(text.split()).replace('\\', '\\\\')
    return flat.replace('|', '\\|').replace('<', '&lt;').replace('`', '\\`')


def print_tables(tables: Sequence[Table], out: Path) -> None:
    """Print all tables, and say where the page is."""
    show_tables(tables)
    OUTPUT.print(f'look at {out / "evaluation.html"}', soft_wrap=True)


def show_tables(tables: Sequence[Table]) -> None:
    """Print all tables, however wide they are."""
    for table in tables:
        shown = rich_table.Table(
            title=Text(table.title), title_justify='left', box=box.SIMPLE_HEAD, pad_edge=False
        )
        for i, column in enumerate(table.columns):
            shown.add_column(Text(column), justify='right' if i else 'left', no_wrap=i > 0)
        for block in table.blocks:
            if block.heading:
                shown.add_row(Text(block.heading, 'underline'))
            for line in block.lines:
                cells = (line.name + _NOTES[line.origin], *line.cells)
                shown.add_row(*(Text(cell, _STYLES[line.origin]) for cell in cells))
            shown.add_section()
        # As wide as it is: on a narrow terminal, broken lines are better than cut figures.
        wide = Console(markup=False, file=OUTPUT.file, width=_WIDEST)
        wide.width = max(OUTPUT.width, wide.measure(shown).maximum)
        wide.print(shown)
        OUTPUT.print(Text(table.note, 'dim'))
        OUTPUT.print()
