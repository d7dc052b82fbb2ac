"""Which engines this machine has for a model, and in which precisions."""

from typing import NamedTuple

from dsn_ros.engines import Engine, EngineError, ModelFile, list_engines, load_engine
from dsn_ros.engines.select import engine_class

__all__ = ['Choice', 'choices', 'load']


class Choice(NamedTuple):
    """An engine on a device ('CPU', 'cuda:0') in a precision."""

    engine: str
    device: str
    precision: str

    @property
    def name(self) -> str:
        """What a table calls it; the device is said elsewhere."""
        return f'{self.engine} {self.precision}'


def choices(model: ModelFile, wanted: str = 'all') -> list[Choice]:
    """All that this machine offers for ``model``, best first.

    ``wanted``: 'all', or an engine as ``load_engine`` takes it. Raises EngineError where there
    is none.
    """
    name, _, place = wanted.partition(':')
    usable = [
        status
        for status in list_engines()
        if status.usable
        and name in ('all', 'auto', status.name)
        and status.device.lower().startswith(place)
    ]
    if not usable:
        raise EngineError(f'engine {wanted!r} is not usable here: see dsn engine --list')
    return [
        Choice(status.name, status.device, precision)
        for status in usable
        for precision in engine_class(status.name).precisions(model, status.device)
    ]


def load(model: ModelFile, choice: Choice, threads: int | None) -> Engine:
    """The chosen engine, proven on the golden frame; raises EngineError where it can't be."""
    where = f'{choice.engine}:{choice.device.lower()}'
    return load_engine(model.path, where, choice.precision, threads)
