"""The node's parameters: one table, from which declaration, checks and documentation come.

Pure Python: ROS is needed by :func:`declare` only. ``config/perception.yaml`` holds the same
defaults for users to copy; a test holds the two together.
"""

from collections.abc import Iterator
from typing import Any

from dsn_ros.parameter import Parameter
from dsn_ros.parameter_table import PARAMETERS

__all__ = [
    'PARAMETERS',
    'Parameter',
    'declare',
    'markdown_table',
    'parameter',
    'refusal',
    'validate',
]

_BY_NAME = {each.name: each for each in PARAMETERS}


def parameter(name: str) -> Parameter | None:
    """Return the row called ``name``; None where that is no parameter of this table."""
    return _BY_NAME.get(name)


def validate(name: str, value: Any) -> str | None:
    """Return what is wrong with ``value`` for the parameter ``name``, in one line, or None."""
    row = _BY_NAME.get(name)
    if row is None:
        return f'no parameter {name}: there are {", ".join(_BY_NAME)}'
    return row.problem(value)


def refusal(name: str, value: Any, configured: Any = None) -> str | None:
    """Return why a change of ``name`` to ``value`` must be refused, in one line, or None.

    ``configured`` is the value in use, None while the node isn't configured. Names that aren't in
    the table (use_sim_time, QoS overrides) are nobody's business here.
    """
    row = _BY_NAME.get(name)
    if row is None:
        return None
    problem = row.problem(value)
    if problem is None and not row.live and configured not in (None, value):
        return (
            f'parameter {name} is read when the node is configured: '
            'deactivate and clean up the node first (ros2 lifecycle set)'
        )
    return problem


def declare(node: Any) -> dict[str, str]:
    """Declare every parameter on ``node`` with its description and range.

    A value given at start (params file, command line) that doesn't fit is not taken: the
    parameter gets its default, so that the process lives and can be asked and mended.

    Returns:
        What was wrong, by name; the node must not be configured while this isn't empty.

    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    problems: dict[str, str] = {}
    for row in PARAMETERS:
        # rclpy raises where a start value has the wrong type or is out of range, with a text that
        # has no remedy. So look at the value untyped first.
        untyped = ParameterDescriptor(dynamic_typing=True)
        value = node.declare_parameter(row.name, _ros(row.default), untyped).value
        node.undeclare_parameter(row.name)
        problem = row.problem(value)
        if problem is not None:
            problems[row.name] = problem
            value = row.default
        descriptor = ParameterDescriptor(description=row.description)
        constraints = [f'one of {row.range_text}'] if row.choices else []
        constraints += [] if row.live else ['read when the node is configured']
        descriptor.additional_constraints = '; '.join(constraints)
        if row.minimum is not None and row.maximum is not None:
            if isinstance(row.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=row.minimum, to_value=row.maximum)
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum), step=1)
                ]
        started = _ros(row.coerced(value))
        node.declare_parameter(row.name, started, descriptor, ignore_override=True)
    return problems


def _ros(value: Any) -> Any:
    """The value as rclpy takes it."""
    return list(value) if isinstance(value, tuple) else value


def markdown_table() -> str:
    """Return the table for the documentation, one row per parameter."""
    return '\n'.join(_markdown_rows()) + '\n'


def _markdown_rows() -> Iterator[str]:
    yield '| parameter | type | default | allowed | live | what it does |'
    yield '|---|---|---|---|---|---|'
    for row in PARAMETERS:
        default = f"'{row.default}'" if isinstance(row.default, str) else f'{_ros(row.default)}'
        yield (
            f'| `{row.name}` | {row.type_name} | {default} | {row.range_text or "any"} | '
            f'{"yes" if row.live else "no"} | {row.description} |'
        )
